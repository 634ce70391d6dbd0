"""A study's result as Markdown, for the page that stands beside it in a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from armwise.simulation.study import Study
from armwise.simulation.summary import Interval, savings, summarise


def markdown(study: Study, results: pa.Table, *, source: Path | None = None) -> str:
    """Question, tables, and how to repeat it. Intervals are Student's t over seeds, 95%; differences are paired."""
    rows = summarise(results, baseline=study.baseline)
    command = f"armwise simulate {source} --write-up {source.with_suffix('.md')}" if source else "run_study(...)"
    seconds, rounds = sum(results["seconds"].to_pylist()), sum(results["rounds"].to_pylist())
    parts = [
        f"# {study.name}",
        study.question,
        f"{results.num_rows:,} replays of {rounds / results.num_rows:,.0f} rounds on average, {len(study.seeds)} "
        "seeds. Means over seeds with 95% intervals (Student's t); gains are differences in pairs on the same "
        "episodes, and clear of chance where the interval leaves out zero. They speak of the luck of order and "
        "draws on these worlds, and of nothing beyond them.",
    ]
    saved = savings(results)
    if saved:
        parts += [
            "## Spend saved at 95% of the best arm's quality, %",
            _table(
                ["world", "policy", "saved", "seeds that never got there"],
                [[row["world"], row["policy"], row["saved"].text(1), str(row["missed"])] for row in saved],
            ),
        ]
    kind = study.setting.replace("_", " ")
    gained = f"gain on {study.baseline}, thousandths of {'utility' if study.setting == 'cost_weight' else 'quality'}"
    parts += [
        "## All settings",
        _table(
            ["world", "policy", kind, "quality", "USD per 1,000", "above hull", "regret per round", gained],
            [_cells(row) for row in rows],
        ),
        f"`{command}`",
        f"Core-seconds: {seconds:,.0f}, {rounds / max(seconds, 1e-9):,.0f} rounds a second and core.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["world"],
        row["policy"],
        f"{row['value']:g}",
        row["quality"].text(),
        _scaled(row["cost_usd"], 1e3).text(),
        row["above_hull"].text(),
        row["regret"].text(),
        "" if row["gain"] is None else _scaled(row["gain"], 1e3).text(1),
    ]


def _scaled(interval: Interval, factor: float) -> Interval:
    return Interval(factor * interval.mean, factor * interval.half if np.isfinite(interval.half) else interval.half)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
