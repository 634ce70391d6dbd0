"""The page of an account: traffic, bills and quality of a service over time, by arm, task and tenant."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import plotly.graph_objects as go

from armwise.evaluation import LOGGING, Estimate
from armwise.offline.account import Account, Measures, Reliability
from armwise.offline.evaluation import LogEvaluation
from armwise.offline.report import number, span, trade_off
from armwise.simulation.page import Page
from armwise.simulation.plots import MUTED, PALETTE, style

_MOST_SHOWN = 20
"""Rows of a table of tasks or tenants."""
_HEADER = ["decisions", "judged", "quality", "USD per 1,000", "USD in all", "latency ms\n95th", "errors", "explored"]


def write_account(found: Account, path: Path) -> Path:
    """Write the page; returns its path."""
    page = Page(
        "What the router did",
        f"{found.log}: {found.whole.decisions:,} decisions from {_when(found.since)} to {_when(found.until)}.",
    )
    page.cards(cards(found))
    page.figure(
        "Quality",
        "Mean of the judged decisions, each weighed by one over the probability that it was looked at, with its 95% "
        "interval.",
        _over_time(found, lambda one: one.quality, "quality", margin=lambda one: one.quality_margin),
    )
    page.figure(
        "Money", "Mean bill of an answer.", _over_time(found, lambda one: _thousand(one.cost_usd), "USD per 1,000")
    )
    page.figure("Where the requests went", "Share of each arm.", _shares(found))
    page.figure(
        "Latency",
        "Median, and the 95th percentile.",
        _over_time(found, lambda one: one.latency_ms, "latency, ms", second=lambda one: one.latency_ms_p95),
    )
    page.table("Arms", "What each was given, and what came of it.", ["arm", *_HEADER], _rows(found.arms))
    if found.evaluation is not None:
        page.figure(
            "What one arm alone would have been",
            "Estimated from this log, off-policy, with 95% intervals both ways. Up and to the left is better; the star "
            "is what was done.",
            trade_off(found.evaluation),
        )
        page.table(
            "The same in figures",
            "Spent: what was spent, as a multiple of the spend of that arm alone, answers only. Verdict: of that arm "
            "alone in utility, against what was done.",
            ["arm alone", "quality", "USD per 1,000", "spent", "verdict"],
            _alone(found, found.evaluation),
        )
    else:
        page.table("What one arm alone would have been", "", ["the log cannot say"], [[found.unanswered]])
    if len(found.tasks) > 1:
        page.table("Tasks", "The busiest.", ["task", *_HEADER], _rows(found.tasks))
    if len(found.tenants) > 1:
        page.table("Tenants", "The busiest.", ["tenant", *_HEADER], _rows(found.tenants))
    if found.reliability:
        page.figure(
            "Does predicted quality come true?",
            "Tenths of the judged decisions, by the quality that was predicted of the drawn arm. On the line, "
            "predictions are calibrated.",
            _reliability(found.reliability),
        )
    page.footer(f"Written by armwise report, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.")
    return page.write(path)


def cards(found: Account) -> dict[str, str]:
    """The figures that matter most, by what they are."""
    whole = found.whole
    shown = {
        "decisions": f"{whole.decisions:,}",
        "spent, USD": f"{whole.spend_usd:,.4g}",
        "quality of what was judged": _quality(whole),
        "latency, median": "–" if whole.latency_ms is None else f"{whole.latency_ms:,.0f} ms",
    }
    best = found.best()
    if best is not None:
        alone = found.alone[best]
        gap = alone.quality_lost
        if alone.saved is not None:
            shown[f"of the spend of {best} alone saved"] = f"{alone.saved:.0%}"
        shown[f"quality against {best} alone"] = f"{-gap.value:+.3f} [{-gap.upper:+.3f}, {-gap.lower:+.3f}]"
    return shown


def _alone(found: Account, evaluation: LogEvaluation) -> list[list[str]]:
    rows = [
        [
            arm,
            _span(one.quality, "quality"),
            _span(one.cost_usd, "cost_usd"),
            "–" if one.saved is None else f"{1.0 - one.saved:.2f} x",
            f"{one.verdict}\n{one.reason}" if one.reason else one.verdict,
        ]
        for arm, one in found.alone.items()
    ]
    cost = evaluation.estimate(LOGGING, "cost_usd") if "cost_usd" in evaluation.outcomes else None
    quality = evaluation.estimate(LOGGING, "quality")
    return [*rows, ["what was done", _span(quality, "quality"), _span(cost, "cost_usd"), "–", ""]]


def _span(estimate: Estimate | None, outcome: str) -> str:
    return "–" if estimate is None else span(estimate, outcome).replace(" [", "\n[")


def _rows(groups: Mapping[str, Measures]) -> list[list[str]]:
    total = sum(one.decisions for one in groups.values())
    return [
        [
            name or "(none)",
            f"{one.decisions:,}\n{one.decisions / total:.1%}",
            f"{one.judged:,}",
            _quality(one),
            "–" if one.cost_usd is None else number(one.cost_usd, "cost_usd"),
            f"{one.spend_usd:,.4g}",
            "–" if one.latency_ms is None else f"{one.latency_ms:,.0f}\n{one.latency_ms_p95:,.0f}",
            f"{one.errors:.2%}",
            f"{one.exploration:.1%}",
        ]
        for name, one in list(groups.items())[:_MOST_SHOWN]
    ]


def _quality(one: Measures) -> str:
    if one.quality is None:
        return "–"
    return f"{one.quality:.3f}" + ("" if one.quality_margin is None else f" ± {one.quality_margin:.3f}")


def _thousand(usd: float | None) -> float | None:
    return None if usd is None else 1e3 * usd


def _over_time(
    found: Account,
    value: Callable[[Measures], float | None],
    label: str,
    *,
    margin: Callable[[Measures], float | None] | None = None,
    second: Callable[[Measures], float | None] | None = None,
) -> go.Figure:
    at = [datetime.fromtimestamp(when, UTC) for when in found.stretches]
    ones = list(found.stretches.values())
    figure = go.Figure()
    error = None
    if margin is not None:
        error = {"type": "data", "array": [margin(one) for one in ones], "color": MUTED, "thickness": 1, "width": 0}
    lines = [(value, "median" if second else label, error)] + ([(second, "95th percentile", None)] if second else [])
    for of, name, bars in lines:
        figure.add_trace(
            go.Scatter(
                x=at,
                y=[of(one) for one in ones],
                name=name,
                mode="lines+markers",
                error_y=bars,
                showlegend=bool(second),
            )
        )
    return style(figure, x="", y=label, height=320)


def _shares(found: Account) -> go.Figure:
    figure = go.Figure()
    at = [datetime.fromtimestamp(when, UTC) for when in found.shares]
    for place, arm in enumerate(found.arms):
        figure.add_trace(
            go.Scatter(
                x=at,
                y=[of.get(arm, 0.0) for of in found.shares.values()],
                name=arm,
                stackgroup="one",
                mode="lines",
                line={"width": 0.5, "color": PALETTE[place % len(PALETTE)]},
            )
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    return style(figure, x="", y="share of requests")


def _reliability(tenths: list[Reliability]) -> go.Figure:
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": MUTED, "dash": "dot"}, showlegend=False)
    )
    figure.add_trace(
        go.Scatter(
            x=[one.predicted for one in tenths],
            y=[one.quality for one in tenths],
            mode="markers+lines",
            marker={"size": 9},
            showlegend=False,
            customdata=[one.judged for one in tenths],
            hovertemplate="predicted %{x:.3f}<br>came %{y:.3f}<br>%{customdata:,} judged<extra></extra>",
        )
    )
    return style(figure, x="predicted quality", y="quality that came")


def _when(unix_time: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(unix_time))
