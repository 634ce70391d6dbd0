"""Figures of runs: learning, frontiers, shares, regret. Each function takes records and gives a plotly figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from armwise.contracts import Vector
from armwise.simulation.baselines import Frontier
from armwise.simulation.replay import Run

INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
PALETTE = (
    "#2563eb", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#0891b2", "#db2777", "#65a30d", "#9a3412", "#475569",
    "#7dd3fc", "#fcd34d",
)  # fmt: skip
MOST_POINTS = 400
"""Points of a curve: more only make a page heavy."""


def style(figure: go.Figure, *, x: str, y: str, height: int = 380) -> go.Figure:
    """The common look."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        font={"family": "Inter, system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "y": -0.22, "x": 0, "yanchor": "top"},
        hovermode="closest",
        colorway=PALETTE,
    )
    figure.update_xaxes(title=x, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title=y, gridcolor=GRID, zeroline=False)
    return figure


def thin(length: int) -> np.ndarray:
    """At most :data:`MOST_POINTS` positions spread over a length, the last one included."""
    return np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int))


def rolling(values: Vector, window: int) -> Vector:
    """Mean of the last ``window`` values at each position, of fewer at the start."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    mean: Vector = (total[end] - total[start]) / (end - start)
    return mean


def learning_curve(curves: Mapping[str, Vector], *, y: str, window: int = 1000, percent: bool = False) -> go.Figure:
    """Rolling means of named per-round series; the first is drawn heaviest."""
    figure = go.Figure()
    for i, (name, values) in enumerate(curves.items()):
        at = thin(len(values))
        at = at[at >= min(window // 5, len(values) - 1)]
        line = {"width": 3} if i == 0 else {"width": 2, "dash": "dot"}
        smooth = rolling(values, window)[at]
        figure.add_trace(go.Scatter(x=at + 1, y=smooth, name=name, mode="lines", line=line))
    if percent:
        figure.update_yaxes(tickformat=".0%")
    return style(figure, x=f"round (mean of the last {window:,})", y=y)


def spend_curve(curves: Mapping[str, Vector]) -> go.Figure:
    """Cumulative sums of named per-round series."""
    figure = go.Figure()
    for i, (name, values) in enumerate(curves.items()):
        at = thin(len(values))
        line = {"width": 3} if i == 0 else {"width": 2, "dash": "dot"}
        figure.add_trace(go.Scatter(x=at + 1, y=np.cumsum(values)[at], name=name, mode="lines", line=line))
    return style(figure, x="round", y="spent so far, USD")


def frontier(
    curves: Sequence[Frontier],
    *,
    arms: Mapping[str, tuple[float, float]] | None = None,
    target: float | None = None,
    marks: Mapping[str, tuple[float, float]] | None = None,
) -> go.Figure:
    """Quality against spend. ``arms`` and ``marks`` map names to (spend per 1,000 requests in USD, quality)."""
    figure = go.Figure()
    for i, curve in enumerate(curves):
        order = np.argsort(curve.spend_usd, kind="stable")
        figure.add_trace(
            go.Scatter(
                x=1e3 * curve.spend_usd[order],
                y=curve.quality[order],
                name=curve.name,
                mode="lines+markers" if i == 0 or len(order) == 1 else "lines",
                line=_frontier_line(i, curve.name),
                marker={"size": 8},
            )
        )
    for name, points, symbol in (("models", arms, "circle-open"), ("this run", marks, "star")):
        if points:
            figure.add_trace(
                go.Scatter(
                    x=[x for x, _ in points.values()],
                    y=[y for _, y in points.values()],
                    text=list(points),
                    name=name,
                    mode="markers" if name == "models" else "markers+text",
                    textposition="bottom right",
                    marker={"size": 8 if name == "models" else 15, "symbol": symbol, "color": INK},
                    hovertemplate="%{text}<br>%{x:.3f} USD per 1,000<br>quality %{y:.3f}<extra></extra>",
                )
            )
    if target is not None:
        figure.update_yaxes(range=[0.93 * target, 1.1 * target])
        figure.add_hline(y=target, line={"color": MUTED, "width": 1}, annotation_text="95% of the best model")
    return style(figure, x="USD per 1,000 requests", y="mean quality", height=460)


def _frontier_line(place: int, name: str) -> dict[str, Any]:
    if name == "hull":
        return {"width": 2, "dash": "dash", "color": MUTED}
    return {"width": 3.5} if place == 0 else {"width": 2, "dash": "dot"}


def arm_shares(run: Run, *, blocks: int = 60) -> go.Figure:
    """Share of each arm in consecutive stretches of a run, the most used at the bottom."""
    edges = np.linspace(0, len(run), blocks + 1).round().astype(int)
    figure = go.Figure()
    for k in np.argsort(-np.bincount(run.arm, minlength=len(run.arms)), kind="stable"):
        share = [float((run.arm[a:b] == k).mean()) for a, b in pairwise(edges)]
        figure.add_trace(
            go.Scatter(x=edges[1:], y=share, name=run.arms[k], stackgroup="one", mode="lines", line={"width": 0.5})
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    return style(figure, x="round", y="share of requests")


def bands(curves: Mapping[str, Sequence[Vector]], *, x: Sequence[int] | Vector, y: str) -> go.Figure:
    """Means over seeds of named series, with the band of 95% of a normal interval of the mean."""
    figure = go.Figure()
    for i, (name, runs) in enumerate(curves.items()):
        values = np.array(runs)
        mean = values.mean(axis=0)
        colour = PALETTE[i % len(PALETTE)]
        if len(values) > 1:
            half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
            figure.add_trace(
                go.Scatter(
                    x=np.concatenate((x, np.asarray(x)[::-1])),
                    y=np.concatenate((mean + half, (mean - half)[::-1])),
                    fill="toself",
                    fillcolor=colour,
                    opacity=0.15,
                    line={"width": 0},
                    hoverinfo="skip",
                    showlegend=False,
                    legendgroup=name,
                )
            )
        figure.add_trace(
            go.Scatter(x=x, y=mean, name=name, mode="lines", line={"width": 2.5, "color": colour}, legendgroup=name)
        )
    return style(figure, x="round", y=y)


def as_div(figure: go.Figure) -> str:
    """The figure as HTML without plotly's script, which the page carries once."""
    config: dict[str, Any] = {"displayModeBar": False, "responsive": True}
    div: str = figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return div
