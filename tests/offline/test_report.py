"""The page of an evaluation, as a browser shows it."""

from __future__ import annotations

from pathlib import Path

from armwise.log.reading import Reading
from armwise.offline import Question, evaluate_log, make_candidates, summary
from armwise.offline.report import number, span, write_page
from browser import needs_browser, show


def page_of(log: Reading, path: Path, **question: object) -> Path:
    found = evaluate_log(log, make_candidates(["arm:*", "squarecb"], log, summary(log)), Question(**question))
    return write_page(found, path)


@needs_browser
def test_every_figure_is_drawn_and_nothing_complains(log: Reading, tmp_path: Path) -> None:
    shown = show(page_of(log, tmp_path / "page.html"), tmp_path / "profile")
    assert shown.figures == 6  # differences, money, quality, spend, latency, shares
    assert shown.complaints == []


def test_figures_of_the_table_are_those_of_the_answer(log: Reading, tmp_path: Path) -> None:
    found = evaluate_log(log, make_candidates(["dear=arm:large"], log, summary(log)))
    text = write_page(found, tmp_path / "page.html").read_text()
    for outcome in found.outcomes:
        value, _, ends = span(found.estimate("dear", outcome), outcome).partition(" ")
        assert f"<td>{value}<br><small>{ends}</small></td>" in text
    assert "better" in text


def test_a_refusal_shows_no_number(log: Reading) -> None:
    assert number(float("nan"), "quality") == "–"
    assert number(1.23456e-3, "cost_usd") == "1.2346"
    assert number(0.5, "utility", signed=True) == "+0.5000"
