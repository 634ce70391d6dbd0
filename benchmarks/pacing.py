"""Budgets and quality floors on real outcomes: is the spend kept, at what price in quality, and is the quality held?

    python benchmarks/pacing.py [--seeds 20] [--tables GSM8K ...] [--budgets 8] [--jobs 1] [--json]

Four tables; everything online from a cold start, told the drawn arm's score and bill alone. A seed is an order of the
prompts and the luck of the draws.

Budgets are spread evenly between the mean cost of the cheapest and of the dearest arm. Printed for each, over seeds:

- spend / budget over the second half of the run (mean with Student's 95% interval, lowest, highest), and over all of
  it, beside ParetoBandit's pacer on the same stream, which is told each real bill (its feedback call would not);
- "wants": what the same policy spends, per budget, where money is no matter. Below about 1 the budget does not bind:
  there is nothing better to buy, and less is spent. Only budgets that bind are held to 1.00 +- 0.02;
- quality less that of the same policy under the best constant trade of the same spend, chosen in hindsight from a grid
  (interpolated, paired by seed), in points: what pacing costs.

Floors ask for 95% of the best arm's quality by the quality-floor controller alone, every answer judged: where it lands
(quality / the best arm's on the same prompts), what it saves of always the best arm's spend, the share of runs below
the floor over the second half, and the coverage of the anytime-valid sequence: the share of runs in which its bounds
held the true running difference at every one of the looks, 100 rounds apart.

The pacers' settings were chosen on mmlu_pro_extra_models and alpaca_eval_v1, neither of which is reported. Needs the
tables in ARMWISE_DATA and ``pip install armwise[bench]``; without ParetoBandit its columns are empty.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from armwise.contracts import Decision
from armwise.pacing import Evidence, Objective
from armwise.simulation import OutcomeTable, replay
from armwise.simulation.summary import interval

ROOT = Path(__file__).resolve().parent.parent
TABLES = {
    "mmlu_pro": ("mmlu_pro.parquet", None),
    "routerbench": ("routerbench_subset.parquet", None),
    "MMLU": ("routellm.parquet", "routellm_mmlu"),
    "GSM8K": ("routellm.parquet", "routellm_gsm8k"),
}
CONSTANTS = (0.0, *np.geomspace(0.01, 3.0, 11).tolist())
"""Cost weights per mean cost of the best arm."""
FRACTION = 0.95
LOOK_EVERY = 100


@cache
def table_of(data: Path, name: str) -> OutcomeTable:
    """One of the four, without the prompts that RouteLLM calls contaminated, and without task labels."""
    file, dataset = TABLES[name]
    rows = pq.read_table(data / file)
    if "contaminated" in rows.column_names:
        rows = rows.filter(pc.invert(rows.column("contaminated")))
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(rows, Path(folder) / file)
        return OutcomeTable.read_parquet(Path(folder) / file, dataset=dataset, labels=False)


def budgets_of(table: OutcomeTable, count: int) -> list[float]:
    """USD per request, evenly between the cheapest and the dearest arm."""
    mean = table.cost_usd.mean(axis=0)
    spread: list[float] = np.linspace(mean.min(), mean.max(), count + 2)[1:-1].tolist()
    return spread


def one_seed(data: Path, name: str, seed: int, count: int, constants: bool) -> dict[str, Any]:
    """All that is measured on one order of one table's prompts."""
    table = table_of(data, name)
    budgets = budgets_of(table, count)
    half = len(table) // 2
    free = replay(table, cost_weight=0.0, seed=seed)
    frontier = [replay(table, cost_weight=weight, seed=seed) for weight in CONSTANTS[1:]] if constants else []
    frontier = sorted([free, *frontier], key=lambda run: run.mean_cost_usd)
    spends = [run.mean_cost_usd for run in frontier]
    qualities = [run.mean_quality for run in frontier]
    rows = []
    for budget in budgets:
        run = replay(table, objective=Objective.max_quality(spend_usd_per_request=budget), seed=seed)
        peer = pareto_bandit(table, budget, seed)
        rows.append(
            {
                "budget": budget,
                "late": float(run.cost_usd[half:].mean() / budget),
                "whole": float(run.mean_cost_usd / budget),
                "wants": float(free.cost_usd[half:].mean() / budget),
                "cost_of_pacing": float(run.mean_quality - np.interp(run.mean_cost_usd, spends, qualities))
                if constants
                else None,
                "peer_late": None if peer is None else float(peer[half:].mean() / budget),
                "peer_whole": None if peer is None else float(peer.mean() / budget),
            }
        )
    return {"table": name, "seed": seed, "rows": rows, "floor": floor(table, seed)}


def pareto_bandit(table: OutcomeTable, budget: float, seed: int) -> np.ndarray | None:
    """What ParetoBandit spends under its own pacer, USD per round, with its own defaults; None where it is missing."""
    try:
        from pareto_bandit import BanditRouter, FeatureService
        from pareto_bandit.budget_pacer import BudgetPacer
    except ImportError:
        return None
    logging.getLogger("pareto_bandit").setLevel(logging.ERROR)
    router = BanditRouter(
        {
            model.name: {"input_cost_per_m": model.input_usd_per_mtok, "output_cost_per_m": model.output_usd_per_mtok}
            for model in table.models
        },
        feature_service=FeatureService.for_precomputed(table.dimension),
        bandit_seed=seed,
        budget_pacer=BudgetPacer(budget),
    )
    order = np.random.default_rng(seed).permutation(len(table))
    column = {arm: k for k, arm in enumerate(table.arms)}
    spent = np.zeros(len(table))
    for t, row in enumerate(order):
        vector = np.roll(table.vectors[row], -1)  # it wants the intercept last
        name, log = router.route(vector, input_tokens=int(table.input_tokens[row]))
        log.cost_usd = spent[t] = float(table.cost_usd[row, column[name]])
        router.process_feedback(log.request_id, reward=float(table.score[row, column[name]]))
    return spent


def floor(table: OutcomeTable, seed: int) -> dict[str, float]:
    """One run of the quality floor, with a record of its own of what is proved on the way."""
    reference = table.arms[table.best]
    order = np.random.default_rng(seed).permutation(len(table))
    score, half = table.score[order], len(table) // 2
    column = {arm: k for k, arm in enumerate(table.arms)}
    evidence = Evidence(fraction=FRACTION)
    true, held = 0.0, True

    def look(t: int, decision: Decision) -> None:
        nonlocal true, held
        place = decision.arms.index(reference)
        drawn = decision.arm == reference
        evidence.add(
            float(score[t, column[decision.arm]]),
            predicted_reference=float(decision.predictions.quality[place]),
            reference_weight=1.0 / decision.propensity if drawn else 0.0,
            seen_weight=1.0,
        )
        mean = float(decision.probability_of @ score[t, [column[arm] for arm in decision.arms]])
        true += mean - FRACTION * float(score[t, table.best])
        if t % LOOK_EVERY == LOOK_EVERY - 1:
            _, lower, upper = evidence.bounds
            held = held and lower <= true / (t + 1) <= upper

    objective = Objective.min_cost(quality_fraction=FRACTION, reference=reference)
    run = replay(table, objective=objective, seed=seed, on_round=look)
    best_quality, best_cost = score[:, table.best], table.cost_usd[order, table.best]
    difference, lower, upper = evidence.bounds
    return {
        "whole": float(run.mean_quality / best_quality.mean()),
        "late": float(run.quality[half:].mean() / best_quality[half:].mean()),
        "saved_whole": float(100 * (1 - run.mean_cost_usd / best_cost.mean())),
        "saved_late": float(100 * (1 - run.cost_usd[half:].mean() / best_cost[half:].mean())),
        "held": float(held),
        "difference": difference,
        "lower": lower,
        "upper": upper,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budgets", type=int, default=8)
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--constant-seeds", type=int, default=None, help="seeds with the constant trades; default: all")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = Path(os.environ.get("ARMWISE_DATA", ROOT.parent / "shared" / "data"))
    missing = {TABLES[name][0] for name in options.tables if not (data / TABLES[name][0]).exists()}
    if missing:
        raise SystemExit(
            f"{', '.join(sorted(missing))} not found in {data}: set ARMWISE_DATA to the folder that has it"
        )
    constant = options.seeds if options.constant_seeds is None else options.constant_seeds
    found = Parallel(n_jobs=options.jobs)(
        delayed(one_seed)(data, name, seed, options.budgets, seed < constant)
        for name in options.tables
        for seed in range(options.seeds)
    )
    if options.json:
        print(json.dumps(found))
        return
    console = Console(width=150)
    for name in options.tables:
        runs = [run for run in found if run["table"] == name]
        console.print(spend_table(name, [run["rows"] for run in runs]))
    console.print(floor_table(options.tables, found))


def spend_table(name: str, runs: list[list[dict[str, Any]]]) -> Table:
    """One row per budget."""
    shown = Table(
        "USD / 1000 requests", "wants", "spend / budget, 2nd half", "lowest", "highest", "whole run",
        "quality less constant trade", "ParetoBandit 2nd half", "highest",
        title=f"{name}: {len(runs)} seeds",
    )  # fmt: skip
    for place in range(len(runs[0])):
        rows = [run[place] for run in runs]
        late = [row["late"] for row in rows]
        cost = [100 * row["cost_of_pacing"] for row in rows if row["cost_of_pacing"] is not None]
        peer = [row["peer_late"] for row in rows if row["peer_late"] is not None]
        shown.add_row(
            f"{1000 * rows[0]['budget']:.4g}",
            f"{np.mean([row['wants'] for row in rows]):.2f}",
            spread(late),
            f"{min(late):.4f}",
            f"{max(late):.4f}",
            f"{np.mean([row['whole'] for row in rows]):.4f}",
            spread(cost, 2) if cost else "",
            spread(peer) if peer else "",
            f"{max(peer):.4f}" if peer else "",
        )
    return shown


def floor_table(names: list[str], found: list[dict[str, Any]]) -> Table:
    """One row per table."""
    shown = Table(
        "asked for 95%", "quality / best, whole", "2nd half", "below the floor", "saved %, whole", "2nd half",
        "sequence covers", "difference proved",
    )  # fmt: skip
    for name in names:
        floors = [run["floor"] for run in found if run["table"] == name]
        column = {key: [one[key] for one in floors] for key in floors[0]}
        shown.add_row(
            name,
            spread(column["whole"]),
            spread(column["late"]),
            f"{100 * np.mean(np.array(column['late']) < FRACTION):.0f}% of {len(floors)}",
            spread(column["saved_whole"], 1),
            spread(column["saved_late"], 1),
            f"{100 * np.mean(column['held']):.0f}%",
            f"{np.mean(column['lower']):+.3f} to {np.mean(column['upper']):+.3f}",
        )
    return shown


def spread(values: list[float], digits: int = 4) -> str:
    """Mean and half-width of its interval."""
    return interval(values).text(digits)


if __name__ == "__main__":
    main()
