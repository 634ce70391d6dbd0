"""Are predictions of quality calibrated? Expected calibration error on real outcomes, and a reliability plot.

    python benchmarks/calibration.py [--seeds 20] [--jobs 1] [--engines ENGINE ...] [--plot reliability.html] [--json]

Every policy learns online from a cold start (cost weight 0.2), and what it predicts of a request is written down before
it learns from it. Two readings: of the arms that were drawn, which is what a service can see in its own log, and of all
arms, which only an outcome table can tell. ECE is over 15 bins of equally many predictions; "chance" is what it would
be were the predictor perfect, by the number of rows alone. "raw" is the engine as it is, "mended" the same with
``calibrate: true``; ``mixed`` is the default. Second half: the last half of the rounds, when the engine has seen
something. Null: every arm's running mean, which is calibrated but knows nothing; its squared error is 1.00 in the last
column, lower is better.
Intervals are Student's t over seeds, 95%. The packaged table always, the others where ARMWISE_DATA has them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from armwise.contracts import Decision
from armwise.evaluation import reliability
from armwise.simulation import OutcomeTable, plots, replay
from armwise.simulation.summary import interval

ROOT = Path(__file__).resolve().parent.parent
TABLES = {
    "routerbench": ("routerbench_subset.parquet", None),
    "mmlu": ("routellm.parquet", "routellm_mmlu"),
    "gsm8k": ("routellm.parquet", "routellm_gsm8k"),
}
POLICIES: dict[str, dict[str, Any]] = {
    "mixed, raw": {"name": "thompson", "engine": "mixed"},
    "mixed, mended": {"name": "thompson", "engine": "mixed", "model": {"calibrate": True}},
    "logistic, raw": {"name": "thompson", "engine": "logistic"},
    "logistic, mended": {"name": "thompson", "engine": "logistic", "model": {"calibrate": True}},
    "shared, raw": {"name": "thompson", "engine": "shared"},
    "shared, mended": {"name": "thompson", "engine": "shared", "model": {"calibrate": True}},
    "VW, raw": {"name": "squarecb", "engine": "vw"},
    "VW, mended": {"name": "squarecb", "engine": "vw", "model": {"calibrate": True}},
    "running means": {"name": "performance"},
}
ENGINES = tuple(dict.fromkeys(label.split(",")[0] for label in POLICIES))
MEASURES = ("drawn", "drawn_late", "all_late", "chance", "squared_error")
COST_WEIGHT = 0.2
CURVE_BINS = np.linspace(0.0, 1.0, 21)


def outcomes(data: Path) -> dict[str, OutcomeTable]:
    """Name -> table, of those that are there."""
    found = {"mmlu_pro": OutcomeTable.packaged()}
    for name, (file, dataset) in TABLES.items():
        if (data / file).is_file():
            found[name] = OutcomeTable.read_parquet(data / file, dataset=dataset)
    return found


def one(table: OutcomeTable, policy: dict[str, Any], seed: int) -> tuple[dict[str, float], np.ndarray]:
    """The measures of one run; and per bin of the prediction, over the drawn arms: rows, predictions, outcomes."""
    said = np.zeros(table.score.shape)

    def keep(number: int, decision: Decision) -> None:
        said[number] = decision.predictions.quality

    shuffled = table.take(np.random.default_rng(seed).permutation(len(table)))
    run = replay(table, policy=policy, cost_weight=COST_WEIGHT, seed=seed, on_round=keep)
    rows, half = np.arange(len(table)), len(table) // 2
    predicted, observed = said[rows, run.arm], shuffled.score[rows, run.arm]
    np.testing.assert_array_equal(observed, run.quality)  # the same order of prompts
    means = shuffled.score.mean(axis=0)[run.arm]
    late = reliability(predicted[half:], observed[half:])
    measures = {
        "drawn": reliability(predicted, observed).error,
        "drawn_late": late.error,
        "all_late": reliability(said[half:].ravel(), shuffled.score[half:].ravel()).error,
        "chance": late.chance,
        "squared_error": float(((observed - predicted) ** 2).mean() / ((observed - means) ** 2).mean()),
    }
    at = np.digitize(predicted, CURVE_BINS[1:-1])
    count = len(CURVE_BINS) - 1
    return measures, np.array(
        [np.bincount(at, w, minlength=count) for w in (np.ones_like(observed), predicted, observed)]
    )


def measure(tables: dict[str, OutcomeTable], labels: Sequence[str], seeds: int, jobs: int) -> list[dict[str, Any]]:
    cells = [(name, label) for name in tables for label in labels]
    done = Parallel(n_jobs=jobs)(
        delayed(one)(tables[name], POLICIES[label], seed) for name, label in cells for seed in range(seeds)
    )
    rows = []
    for place, (name, label) in enumerate(cells):
        part = done[place * seeds : (place + 1) * seeds]
        found: dict[str, Any] = {"table": name, "engine": label}
        for kind in MEASURES:
            found[kind] = list(interval([measures[kind] for measures, _ in part]))
        found["curve"] = sum(curve for _, curve in part).tolist()
        rows.append(found)
    return rows


def plot(rows: list[dict[str, Any]], labels: Sequence[str], path: Path) -> None:
    """One reliability curve per engine, of the drawn arms, all seeds and tables together."""
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], name="calibrated", mode="lines", line={"dash": "dot"}))
    for label in labels:
        count, predicted, observed = np.sum([row["curve"] for row in rows if row["engine"] == label], axis=0)
        kept = count >= 100
        figure.add_trace(
            go.Scatter(
                x=predicted[kept] / count[kept],
                y=observed[kept] / count[kept],
                name=label,
                mode="lines+markers",
                marker={"size": 4 + 10 * np.sqrt(count[kept] / count.max())},
            )
        )
    plots.style(figure, x="predicted quality", y="observed quality", height=560)
    figure.write_html(path, include_plotlyjs=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ARMWISE_DATA", ROOT / "../shared/data")))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path("reliability.html"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    labels = [label for label in POLICIES if label.split(",")[0] in options.engines]
    rows = measure(outcomes(options.data), labels, options.seeds, options.jobs)
    plot(rows, labels, options.plot)
    if options.json:
        json.dump(rows, sys.stdout)
        print()
        return
    board = Table("table", "engine", "ECE, drawn", "drawn, 2nd half", "all arms, 2nd half", "chance", "squared error")
    for row in rows:
        error = [f"{row[kind][0]:.3f} ± {row[kind][1]:.3f}" for kind in MEASURES[:3]]
        board.add_row(row["table"], row["engine"], *error, f"{row['chance'][0]:.3f}", f"{row['squared_error'][0]:.3f}")
    Console(width=140).print(board)
    print(f"{options.seeds} seeds; reliability plot in {options.plot}")


if __name__ == "__main__":
    main()
