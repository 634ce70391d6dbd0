"""The page of an evaluation: what each candidate would have achieved, how sure that is, and where the log is thin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from armwise.evaluation import LOGGING, Estimate
from armwise.offline.evaluation import UTILITY, LogEvaluation
from armwise.simulation.page import Page
from armwise.simulation.plots import INK, MUTED, PALETTE, style

LABELS = {
    "quality": "quality",
    "cost_usd": "USD per 1,000 requests",
    "latency_ms": "latency, ms",
    UTILITY: "utility",
}
_SCALE = {"cost_usd": 1e3}
_DIGITS = {"cost_usd": 4, "latency_ms": 0}
_COLOURS = {
    "better": "#059669",
    "worse": "#dc2626",
    "no difference shown": PALETTE[0],
    "refused": MUTED,
    LOGGING: INK,
}


def number(value: float, outcome: str, *, signed: bool = False) -> str:
    """A value of an outcome in the unit of its label; a dash where there is none."""
    if not np.isfinite(value):
        return "–"
    return f"{value * _SCALE.get(outcome, 1.0):{'+' if signed else ''}.{_DIGITS.get(outcome, 4)}f}"


def span(estimate: Estimate, outcome: str, *, signed: bool = False) -> str:
    """``0.6512 [0.6481, 0.6543]``"""
    if not np.isfinite(estimate.value):
        return "–"
    ends = ", ".join(number(end, outcome, signed=signed) for end in (estimate.lower, estimate.upper))
    return f"{number(estimate.value, outcome, signed=signed)} [{ends}]"


def write_page(found: LogEvaluation, path: Path) -> Path:
    """Write the page; returns its path."""
    e = found.evaluation
    page = Page(
        "What other policies would have achieved",
        f"{found.log.name}: {found.log.decisions:,} decisions, of which {found.rows:,} judge the candidates. Estimator "
        f"{e.estimator}, {e.interval} intervals at {e.level:.0%} ({e.guarantee}).",
    )
    page.cards(_cards(found))
    page.figure(
        "Better than what runs now?",
        "Utility of each candidate less that of the logging policy, on the same rows. Right of the line, the candidate "
        f"is better. {_rates(found)}",
        _forest(found, UTILITY, differences=True),
    )
    if "cost_usd" in found.outcomes:
        page.figure(
            "Quality for money",
            "Each policy's mean quality and mean bill, with intervals both ways. Up and to the left is better.",
            trade_off(found),
        )
    page.table(
        "Estimates",
        f"With {e.level:.0%} intervals. Effective sample size: as many rows of the candidate's own would say as much.",
        ["policy", *(LABELS[outcome] for outcome in found.outcomes), "effective rows", "verdict"],
        [_row(found, policy) for policy in (*found.candidates, LOGGING)],
    )
    for outcome in found.outcomes[:-1]:
        page.figure(
            LABELS[outcome][0].upper() + LABELS[outcome][1:],
            "The line is the logging policy's own mean.",
            _forest(found, outcome),
        )
    page.figure(
        "Where each policy sends the traffic",
        "Shares of the requests that judge. What the logging policy hardly tried cannot be answered well.",
        _shares(found),
    )
    findings = [
        [policy, finding.status, finding.message]
        for policy in found.candidates
        for finding in e.verdict(policy).findings
    ]
    if findings or found.notes:
        page.table(
            "What to know before acting on this",
            "Warnings and refusals of each candidate, and what was assumed.",
            ["candidate", "status", "finding"],
            findings + [["all", "note", note] for note in found.notes],
        )
    page.table(
        "How the weights behave",
        "Importance weights of each candidate on the log: Pareto k over 0.7 means that rows not yet seen may carry "
        "much of the value; a mean far from 1 means wrong propensities or missing support.",
        ["candidate", "effective rows", "largest weight", "its share", "Pareto k", "mean", "unsupported"],
        [_weights(found, policy) for policy in found.candidates],
    )
    if e.calibration is not None:
        c = e.calibration
        page.table(
            "Are the logged propensities true?",
            f"Draws against logged probabilities: chi-squared {c.statistic:.1f} on {c.degrees_of_freedom} degrees of "
            f"freedom, p = {c.p_value:.3g}.",
            ["arm", "drawn", "expected", "standard errors"],
            [
                [arm.arm, f"{seen:,.0f}", f"{expected:,.1f}", f"{z:+.2f}"]
                for arm, seen, expected, z in zip(
                    next(iter(e.diagnosis.values())).arms, c.observed, c.expected, c.z, strict=True
                )
            ],
        )
    page.footer("Written by armwise evaluate. Each interval holds at its level by itself, not for all of them at once.")
    return page.write(path)


def _cards(found: LogEvaluation) -> dict[str, str]:
    able = [name for name in found.candidates if np.isfinite(found.estimate(name, UTILITY).value)]
    cards = {"decisions in the log": f"{found.log.decisions:,}", "rows that judge": f"{found.rows:,}"}
    if able:
        best = max(able, key=lambda name: found.estimate(name, UTILITY).value)
        cards["highest utility among the candidates"] = best
        cards["it against the logging policy"] = found.verdict(best)
    return cards


def _rates(found: LogEvaluation) -> str:
    trade = found.trade
    text = f"Utility is quality less {trade.cost_weight:.3g} per {trade.cost_ref_usd:.3g} USD"
    if trade.latency_weight:
        text += f" and {trade.latency_weight:.3g} per {trade.latency_ref_ms:.0f} ms"
    return text + "."


def _row(found: LogEvaluation, policy: str) -> list[str]:
    cells = [span(found.estimate(policy, outcome), outcome).replace(" [", "\n[") for outcome in found.outcomes]
    if policy == LOGGING:
        return ["logging policy", *cells, f"{found.rows:,}", "runs now"]
    return [policy, *cells, f"{found.effective_sample_size(policy, 'quality'):,.0f}", found.verdict(policy)]


def _weights(found: LogEvaluation, policy: str) -> list[str]:
    diagnosis = found.evaluation.diagnosis[policy]
    stats = diagnosis.weights["quality"]
    k = "–" if stats.pareto_k is None else f"{stats.pareto_k:.2f}"
    return [
        policy,
        f"{stats.effective_sample_size:,.0f}",
        f"{stats.largest:,.1f}",
        f"{stats.largest_share:.2%}",
        k,
        f"{stats.mean:.3f}",
        f"{diagnosis.unsupported:.2%}",
    ]


def _forest(found: LogEvaluation, outcome: str, *, differences: bool = False) -> go.Figure:
    """One line per policy: the estimate, and its interval."""
    scale = _SCALE.get(outcome, 1.0)
    names = list(found.candidates)
    figure = go.Figure()
    for name in names:
        got = found.difference(name, outcome) if differences else found.estimate(name, outcome)
        verdict = found.verdict(name)
        if not np.isfinite(got.value):
            figure.add_annotation(
                y=name,
                x=0.5,
                xref="paper",
                text="refused: the log cannot answer",
                showarrow=False,
                font={"color": MUTED},
            )
        figure.add_trace(
            go.Scatter(
                x=[scale * got.value],
                y=[name],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [scale * (got.upper - got.value)],
                    "arrayminus": [scale * (got.value - got.lower)],
                    "thickness": 3,
                    "width": 7,
                },
                mode="markers",
                marker={"size": 12, "color": _COLOURS[verdict] if differences else PALETTE[0]},
                name=verdict,
                showlegend=False,
                hovertemplate=f"{name}<br>{span(got, outcome, signed=differences)}<br>{verdict}<extra></extra>",
            )
        )
    base = 0.0 if differences else scale * found.estimate(LOGGING, outcome).value
    figure.add_vline(x=base, line={"color": INK, "width": 1.5, "dash": "dot"})
    label = LABELS[outcome]
    figure = style(
        figure, x=f"{label}, less the logging policy's" if differences else label, y="", height=130 + 46 * len(names)
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], automargin=True, range=[-0.6, len(names) - 0.4]
    )
    return figure


def trade_off(found: LogEvaluation) -> go.Figure:
    """Mean quality against mean bill, one mark a policy."""
    figure = go.Figure()
    for name in (*found.candidates, LOGGING):
        quality, cost = found.estimate(name, "quality"), found.estimate(name, "cost_usd")
        if not np.isfinite(quality.value):
            continue
        colour = INK if name == LOGGING else PALETTE[found.candidates.index(name) % len(PALETTE)]
        label = "logging policy" if name == LOGGING else name
        ends = {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": colour}
        figure.add_trace(
            go.Scatter(
                x=[1e3 * cost.value],
                y=[quality.value],
                error_x={
                    **ends,
                    "array": [1e3 * (cost.upper - cost.value)],
                    "arrayminus": [1e3 * (cost.value - cost.lower)],
                },
                error_y={
                    **ends,
                    "array": [quality.upper - quality.value],
                    "arrayminus": [quality.value - quality.lower],
                },
                mode="markers",
                name=label,
                marker={"size": 12, "color": colour, "symbol": "star" if name == LOGGING else "circle"},
                hovertemplate=f"{label}<br>{span(cost, 'cost_usd')} USD per 1,000<br>"
                f"quality {span(quality, 'quality')}<extra></extra>",
            )
        )
    return style(figure, x=LABELS["cost_usd"], y="mean quality", height=420)


def _shares(found: LogEvaluation) -> go.Figure:
    """Stacked shares of the arms, one bar a policy."""
    diagnosis = found.evaluation.diagnosis
    names = [*found.candidates, "logging policy"]
    figure = go.Figure()
    first = diagnosis[found.candidates[0]].arms
    order = np.argsort([-arm.logged_share for arm in first], kind="stable")
    for k in order:
        shares = [diagnosis[name].arms[k].target_share for name in found.candidates] + [first[k].logged_share]
        figure.add_trace(
            go.Bar(
                x=shares,
                y=names,
                name=first[k].arm,
                orientation="h",
                hovertemplate="%{y}<br>" + first[k].arm + " %{x:.1%}<extra></extra>",
            )
        )
    figure.update_layout(barmode="stack", bargap=0.35, legend_traceorder="normal")
    figure = style(figure, x="share of requests", y="", height=150 + 42 * len(names))
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], automargin=True, ticksuffix="  ")
    return figure
