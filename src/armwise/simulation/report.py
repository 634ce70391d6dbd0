"""The report of a sweep: one page with regret curves, frontiers, arm shares, intervals and paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from armwise.simulation import plots
from armwise.simulation.baselines import Frontier, hull_of
from armwise.simulation.page import Page
from armwise.simulation.study import Study
from armwise.simulation.summary import savings, summarise

_AGAINST = {
    "cost_weight": "Against the utility of the best fixed arm in hindsight",
    "budget": "Against the quality of the best random mix of two arms at the same budget, in hindsight",
}


def write_report(study: Study, results: pa.Table, path: Path) -> Path:
    """Write the page; returns its path."""
    rows = results.to_pylist()
    kind = study.setting.replace("_", " ")
    page = Page(study.name, study.question or "A sweep of policies over worlds.")
    rounds, seconds = sum(row["rounds"] for row in rows), sum(row["seconds"] for row in rows)
    page.cards(
        {
            "replays": f"{len(rows):,}",
            "rounds": f"{rounds:,}",
            "seeds": str(len(study.seeds)),
            "rounds a second and core": f"{rounds / max(seconds, 1e-9):,.0f}",
        }
    )
    summary = summarise(results, baseline=study.baseline)
    saved = savings(results)
    if saved:
        page.table(
            "Spend saved at 95% of the best arm's quality",
            "Percent of the best arm's spend, whole runs from a cold start; mean over seeds with its 95% interval.",
            ["world", "policy", "saved, %", "seeds that never got there"],
            [[row["world"], row["policy"], row["saved"].text(1), str(row["missed"])] for row in saved],
        )
    for world in study.worlds:
        name = str(world["name"])
        part = [row for row in rows if row["world"] == name]
        if len(study.values) > 1:
            page.figure(f"{name}: quality for money", "Means over seeds.", _frontier(part))
        value = study.values[len(study.values) // 2]
        middle = [row for row in part if row["value"] == value]
        page.figure(
            f"{name}: regret",
            f"{_AGAINST[study.setting]}, cumulative, at {kind} {value:g}; below zero, the context has paid. Bands: 95% "
            "interval of the mean over seeds.",
            plots.bands(
                {
                    label: [np.array(row["curve_regret"]) for row in middle if row["policy"] == label]
                    for label in study.policies
                },
                x=middle[0]["curve_round"],
                y="cumulative regret, points of quality",
            ),
        )
        page.figure(f"{name}: where the requests went", f"At {kind} {value:g}, mean over seeds.", _shares(middle))
    what = "Compared by utility." if study.setting == "cost_weight" else "Compared by quality above the hull."
    page.table(
        "All settings",
        f"Means over seeds with 95% intervals. {what} Gain: that of the policy less that of {study.baseline!r} on the "
        "same episodes, in pairs, in thousandths; it is clear of chance where the interval leaves out zero.",
        [
            "world",
            "policy",
            kind,
            "quality",
            "USD per 1,000",
            "above hull",
            "regret",
            f"gain on {study.baseline}",
        ],
        [_cells(row) for row in summary],
    )
    return page.write(path)


def _cells(row: Mapping[str, Any]) -> list[str]:
    cost = row["cost_usd"]
    gain = row["gain"]
    texts = [
        row["quality"].text(),
        type(cost)(1e3 * cost.mean, 1e3 * cost.half).text(),
        row["above_hull"].text(),
        row["regret"].text(),
        type(gain)(1e3 * gain.mean, 1e3 * gain.half).text(1) if gain is not None else "",
    ]
    return [row["world"], row["policy"], f"{row['value']:g}", *(text.replace(" ±", "\n±") for text in texts)]


def _frontier(rows: list[dict[str, Any]]) -> go.Figure:
    """Each policy's means, the hull it has to beat, and the arms themselves."""
    curves = []
    for label in dict.fromkeys(row["policy"] for row in rows):
        values = sorted({row["value"] for row in rows})
        groups = [[row for row in rows if row["policy"] == label and row["value"] == v] for v in values]
        spend = np.array([np.mean([row["cost_usd"] for row in group]) for group in groups])
        quality = np.array([np.mean([row["quality"] for row in group]) for group in groups])
        if np.ptp(spend) < 1e-3 * spend.mean():  # it does not listen to money: one point
            spend, quality = spend[:1], quality[:1]
        curves.append(Frontier(name=label, quality=quality, spend_usd=spend))
    arms = rows[0]["arms"]
    quality = np.mean([row["arm_quality"] for row in rows], axis=0)
    spend = np.mean([row["arm_cost_usd"] for row in rows], axis=0)
    curves.append(hull_of(quality[None], spend[None]))
    points = {arm: (1e3 * float(x), float(y)) for arm, x, y in zip(arms, spend, quality, strict=True)}
    return plots.frontier(curves, arms=points)


def _shares(rows: list[dict[str, Any]]) -> go.Figure:
    figure = go.Figure()
    labels = list(dict.fromkeys(row["policy"] for row in rows))
    means = {label: np.mean([row["shares"] for row in rows if row["policy"] == label], axis=0) for label in labels}
    for k in np.argsort(-np.mean(list(means.values()), axis=0), kind="stable"):
        figure.add_trace(
            go.Bar(y=labels, x=[means[label][k] for label in labels], name=rows[0]["arms"][k], orientation="h")
        )
    figure.update_layout(barmode="stack", bargap=0.35, legend_traceorder="normal")
    figure = plots.style(figure, x="share of requests", y="", height=190 + 40 * len(labels))
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1], automargin=True, ticksuffix="  ")
    return figure
