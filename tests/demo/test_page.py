"""The demo's page in a browser: every figure is drawn, nothing is fetched, nothing goes wrong."""

from pathlib import Path

from armwise.demo import run_demo
from armwise.demo.page import percent
from browser import needs_browser, show


@needs_browser
def test_the_page_draws_all_its_figures(tmp_path: Path) -> None:
    page = Path(run_demo(json=True, out=tmp_path, limit=200).page)
    shown = show(page, tmp_path / "profile")
    assert shown.figures == page.read_text().count("Plotly.newPlot(") >= 4
    assert shown.complaints == []


def test_what_was_not_reached_is_said_in_words() -> None:
    assert percent(58.06, "%") == "58.1%"
    assert percent(float("nan"), "%") == percent(None) == "not reached"
