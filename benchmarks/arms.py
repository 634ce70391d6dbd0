"""How regret grows with the number of arms: MMLU-Pro's twelve models and its seventeen further ones, K = 3, 10, 29.

    python benchmarks/arms.py [--rounds 3000] [--seeds 60] [--jobs 1] [--output docs/results/arms.md] [--json]

Each seed draws K of the 29 models and an order of the prompts; every policy then meets the same episode from a cold
start, and sees the score of the arm it drew. Quality alone counts here (no cost weight), so that all arms compete.
Regret is per round against the best in hindsight: one ridge regression per arm fitted to all scores of the episode,
the highest predicted taken (in sample, so a little better than anyone could do). "growth" is mean regret at K = 29 over
that at K = 3; "of disjoint" is that growth as a share of disjoint LinUCB's (Li et al. 2010: linear, one ridge per arm).
Both have a bootstrap interval over seeds, drawn alike for the two policies. "To disjoint" is the paired ratio of a
policy's regret at K = 29 to disjoint LinUCB's. Intervals are Student's t over seeds, 95%. Nulls: uniform, the
context-free bandit, always the best arm in hindsight. Needs mmlu_pro.parquet and mmlu_pro_extra_models.parquet in
ARMWISE_DATA.

"Nothing published" shares by price, size, context and family alone; the default also knows models' published MMLU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from joblib import Parallel, delayed

from armwise.simulation import OutcomeTable, replay
from armwise.simulation.summary import interval
from armwise.simulation.worlds import TableWorld

ROOT = Path(__file__).resolve().parent.parent
FILES = ("mmlu_pro.parquet", "mmlu_pro_extra_models.parquet")
COLUMNS = ("prompt_id", "prompt", "task", "model", "score", "input_tokens", "output_tokens", "cost_est_usd")
COUNTS = (3, 10, 29)
RESAMPLES = 4_000
DISJOINT = "LinUCB, linear, disjoint"
UNPUBLISHED = {
    "kin": ["price", "size", "context", "family"],
    "slope_precision": 100.0,
    "intercept_precision": 0.7,
    "prior_quality": 0.88,
    "kinship": 0.6,
    "level_kinship": 0.6,
    "common": 0.6,
}
"""The shared engine without what is published of a model. Chosen on routerbench_subset and alpaca_eval_v2."""
POLICIES: dict[str, dict[str, Any]] = {
    DISJOINT: {"name": "linucb", "engine": "linear"},
    "LinUCB, logistic, disjoint": {"name": "linucb", "engine": "logistic"},
    "LinUCB, shared, nothing published": {"name": "linucb", "engine": "shared", "model": UNPUBLISHED},
    "Thompson, logistic, disjoint": {"name": "thompson", "engine": "logistic"},
    "Thompson, shared, nothing published": {"name": "thompson", "engine": "shared", "model": UNPUBLISHED},
    "Thompson, mixed (the default)": {"name": "thompson"},
    "context-free bandit": {"name": "performance"},
    "uniform": {"name": "uniform", "engine": "means"},
}


def outcomes(data: Path) -> OutcomeTable:
    """All 29 models on the prompts that all of them answered."""
    parts = [pq.read_table(data / name, columns=list(COLUMNS)) for name in FILES]
    rows = pa.concat_tables(parts, promote_options="permissive")
    prompts = np.array(rows.column("prompt_id").to_pylist(), dtype=object)
    names, counts = np.unique(prompts, return_counts=True)
    whole = set(names[counts == counts.max()])
    rows = rows.filter(pa.array([prompt in whole for prompt in prompts]))
    rows = rows.append_column("dataset", pa.array(["mmlu_pro"] * len(rows)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.parquet"
        pq.write_table(rows, path)
        return OutcomeTable.read_parquet(path)


def hindsight(vectors: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Score, round by round, of the arm that a ridge per arm, fitted to all of them, likes best."""
    ridge = np.eye(vectors.shape[1])
    weights = np.linalg.solve(vectors.T @ vectors + ridge, vectors.T @ score)
    had: np.ndarray = score[np.arange(len(score)), (vectors @ weights).argmax(axis=1)]
    return had


def one(table: OutcomeTable, count: int, seed: int, rounds: int) -> dict[str, float]:
    """Regret per round of everybody in one episode."""
    rng = np.random.default_rng((seed, count))
    arms = np.sort(rng.choice(len(table.models), count, replace=False))
    rows = rng.permutation(len(table))[:rounds]
    part = OutcomeTable(
        name=table.name,
        models=tuple(table.models[k] for k in arms),
        tasks=tuple(np.array(table.tasks, dtype=object)[rows]),
        vectors=table.vectors[rows],
        input_tokens=table.input_tokens[rows],
        output_tokens=table.output_tokens[np.ix_(rows, arms)],
        cost_usd=table.cost_usd[np.ix_(rows, arms)],
        score=table.score[np.ix_(rows, arms)],
        feature_version=table.feature_version,
    )
    best = hindsight(part.vectors, part.score).mean()
    episode = TableWorld(part).ordered()
    found = {label: best - replay(episode, policy=policy, seed=seed).mean_quality for label, policy in POLICIES.items()}
    found["best arm in hindsight"] = best - part.score.mean(axis=0).max()
    return {label: float(value) for label, value in found.items()}


def growth(few: np.ndarray, many: np.ndarray, draws: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean regret at the most arms over that at the fewest, also in every draw of seeds [resamples, 2, seeds]."""
    return float(many.mean() / few.mean()), many[draws[:, 1]].mean(axis=1) / few[draws[:, 0]].mean(axis=1)


def between(ratio: float, resampled: np.ndarray) -> list[float]:
    """A ratio, with the ends of its 95% bootstrap interval."""
    return [ratio, *np.quantile(resampled, [0.025, 0.975]).tolist()]


def measure(data: Path, rounds: int, seeds: int, jobs: int) -> dict[str, Any]:
    table = outcomes(data)
    cells = [(count, seed) for seed in range(seeds) for count in COUNTS]
    done = Parallel(n_jobs=jobs)(delayed(one)(table, count, seed, rounds) for count, seed in cells)
    by: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
    for (count, _), found in zip(cells, done, strict=True):
        by[count].append(found)
    draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, 2, seeds))
    regret = {
        label: {count: np.array([found[label] for found in by[count]]) for count in COUNTS}
        for label in by[COUNTS[0]][0]
    }
    grown = {label: growth(values[COUNTS[0]], values[COUNTS[-1]], draws) for label, values in regret.items()}
    rows = []
    for label, values in regret.items():
        ratio, resampled = grown[label]
        disjoint, disjoint_resampled = grown[DISJOINT]
        rows.append(
            {
                "policy": label,
                "regret": {count: list(interval(values[count])) for count in COUNTS},
                "growth": between(ratio, resampled),
                "of_disjoint": between(ratio / disjoint, resampled / disjoint_resampled),
                "to_disjoint": list(interval(values[COUNTS[-1]] / regret[DISJOINT][COUNTS[-1]])),
            }
        )
    return {"prompts": len(table), "arms": len(table.models), "rounds": rounds, "seeds": seeds, "policies": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ARMWISE_DATA", ROOT / "../shared/data")))
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the table there as Markdown")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not all((options.data / name).is_file() for name in FILES):
        raise SystemExit(f"{' or '.join(FILES)} is not in {options.data}: set ARMWISE_DATA")
    found = measure(options.data, options.rounds, options.seeds, options.jobs)
    if options.json:
        json.dump(found, sys.stdout)
        print()
        return
    text = "\n".join(report(found)) + "\n"
    if options.output:
        options.output.write_text(text)
    print(text)


def report(found: dict[str, Any]) -> Iterator[str]:
    """The results as Markdown."""
    yield "# Regret by the number of arms\n"
    yield "Written by `python benchmarks/arms.py`, whose first lines say what each figure means. Regret a round is in"
    yield f"points of .001; {found['seeds']} seeds, {found['rounds']:,} of {found['prompts']:,} prompts; ± is a 95%"
    yield "interval.\n"
    yield (
        "| policy | "
        + " | ".join(f"K = {count}" for count in COUNTS)
        + " | growth | of disjoint | to disjoint, K = 29 |"
    )
    yield "|---" * (len(COUNTS) + 4) + "|"
    for row in found["policies"]:
        regrets = " | ".join(f"{1e3 * mean:.1f} ± {1e3 * half:.1f}" for mean, half in row["regret"].values())
        ratio, half = row["to_disjoint"]
        grown, of_disjoint = (
            f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
            for digits, (mean, low, high) in ((1, row["growth"]), (2, row["of_disjoint"]))
        )
        yield f"| {row['policy']} | {regrets} | {grown} | {of_disjoint} | {ratio:.3f} ± {half:.3f} |"


if __name__ == "__main__":
    main()
