"""The report of a sweep: one page with regret curves, frontiers, arm shares, intervals and paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from armwise.simulation import plots
from armwise.simulation.baselines import Frontier
from armwise.simulation.page import Page
from armwise.simulation.study import Study
from armwise.simulation.summary import savings, summarise


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
            f"Against the best fixed arm in hindsight, cumulative, at {kind} {value:g}; below zero, the context "
            "has paid. Bands: 95% interval of the mean over seeds.",
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
    return [
        row["world"],
        row["policy"],
        f"{row['value']:g}",
        row["quality"].text(),
        type(cost)(1e3 * cost.mean, 1e3 * cost.half).text(),
        row["above_hull"].text(),
        row["regret"].text(),
        type(gain)(1e3 * gain.mean, 1e3 * gain.half).text(1) if gain is not None else "",
    ]


def _frontier(rows: list[dict[str, Any]]) -> go.Figure:
    curves = []
    for label in dict.fromkeys(row["policy"] for row in rows):
        values = sorted({row["value"] for row in rows})
        groups = [[row for row in rows if row["policy"] == label and row["value"] == v] for v in values]
        curves.append(
            Frontier(
                name=label,
                quality=np.array([np.mean([row["quality"] for row in group]) for group in groups]),
                spend_usd=np.array([np.mean([row["cost_usd"] for row in group]) for group in groups]),
            )
        )
    return plots.frontier(curves)


def _shares(rows: list[dict[str, Any]]) -> go.Figure:
    figure = go.Figure()
    labels = list(dict.fromkeys(row["policy"] for row in rows))
    for k, arm in enumerate(rows[0]["arms"]):
        share = [float(np.mean([row["shares"][k] for row in rows if row["policy"] == label])) for label in labels]
        figure.add_trace(go.Bar(y=labels, x=share, name=arm, orientation="h"))
    figure.update_layout(barmode="stack")
    figure = plots.style(figure, x="share of requests", y="", height=180 + 40 * len(labels))
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return figure
