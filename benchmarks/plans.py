"""What cascades and ensembles as arms are worth: frontiers with and without them, prequential from a cold start.

    python benchmarks/plans.py [--seeds 20] [--rounds 3000] [--jobs 1] [--json]

Two worlds:

- ``simulated``: tasks with checkable answers, put to simulated models whose log-probabilities know something of their
  being right (calibration 0.8). Every call of a plan is really made: answers, votes and tokens are the models' own.
- ``mmlu-pro``: the packaged table of real outcomes. Its answers are gone, so a check is simulated on top: a score that
  is normal about +-d' / 2 for a right or wrong answer. d' = 1.5 tells them apart in 86% of pairs (AUC), d' = 0 in 50%.
  A majority of three is right where two are; where one is and the two others, of ten choices, disagree, a third of the
  time.

Null baselines: the same plans with a check that knows nothing (``blind``), the best random mix of arms (the hull, with
and without plans), and the best single arm. The figure is mean quality at the spend of each budget; differences are
paired by seed, with their 95% interval over seeds.
"""

from __future__ import annotations

import argparse
import json
from random import Random
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from armwise.contracts import Arm, Model, Request
from armwise.features import TextEncoder
from armwise.orchestration.votes import ballot, winner
from armwise.pacing import Objective
from armwise.plans import plan_arms
from armwise.simulation.baselines import hull_of
from armwise.simulation.replay import replay
from armwise.simulation.table import OutcomeTable
from armwise.testing.answering import Ask, answer
from armwise.testing.models import SimulatedModel
from armwise.testing.tasks import generate, score

THRESHOLDS = (0.5, 0.7, 0.9)
BUDGETS = (0.1, 0.25, 0.5, 0.8)
"""Mean spend asked for, as shares of the dearest plain arm's."""

LADDER = (
    SimulatedModel("small", skill=0.45, input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
    SimulatedModel(
        "medium", skill={"default": 0.6, "code": 0.8, "facts": 0.4}, input_usd_per_mtok=0.5, output_usd_per_mtok=2.0
    ),
    SimulatedModel("large", skill=0.95, input_usd_per_mtok=3.0, output_usd_per_mtok=12.0),
)
REAL = ("gemini-1.5-flash-002", "Mathstral-7B", "Llama-3.1-70B-Instruct", "gemini-1.5-pro-002")
"""Of the packaged table: a cheap one, two between, the best."""


def plans(models: tuple[Model, ...]) -> list[Arm]:
    """The plans that are tried: two cascades at three thresholds, and a majority of the first three models."""
    names = [model.name for model in models]
    first, middle, last = names[0], names[-2], names[-1]
    return plan_arms(
        {
            "short": {"cascade": {"tiers": [first, last], "threshold": list(THRESHOLDS)}},
            "tall": {"cascade": {"tiers": [first, middle, last], "threshold": list(THRESHOLDS)}},
            "council": {"ensemble": {"members": names[:3], "pick": "majority"}},
        },
        models,
    )


def with_plans(
    table: OutcomeTable, arms: list[Arm], confidence: np.ndarray, council: tuple[np.ndarray, np.ndarray]
) -> OutcomeTable:
    """The table with one column more per plan; ``confidence`` has shape (prompts, models)."""
    column = {name: k for k, name in enumerate(table.arms)}
    every = np.arange(len(table))
    scores, costs = [table.score], [table.cost_usd]
    for arm in arms:
        if arm.plan == "ensemble":
            quality, cost = council
        else:
            tiers = [column[model.name] for model in arm.models]
            threshold = float(arm.options["threshold"])
            accepted = np.full(len(table), tiers[-1])
            cost = np.zeros(len(table))
            going = np.ones(len(table), dtype=bool)
            for tier in tiers:
                cost += np.where(going, table.cost_usd[:, tier], 0.0)
                stops = going & ((confidence[:, tier] >= threshold) | (tier == tiers[-1]))
                accepted[stops] = tier
                going &= ~stops
            quality = table.score[every, accepted]
        scores.append(quality[:, None])
        costs.append(cost[:, None])
    stand_ins = tuple(Model(arm.name, input_usd_per_mtok=0.0, output_usd_per_mtok=0.0) for arm in arms)
    tokens = np.concatenate([table.output_tokens, np.zeros((len(table), len(arms)))], axis=1)
    return OutcomeTable(
        name=f"{table.name} with plans",
        models=table.models + stand_ins,
        tasks=table.tasks,
        vectors=table.vectors,
        input_tokens=table.input_tokens,
        output_tokens=tokens,
        cost_usd=np.concatenate(costs, axis=1),
        score=np.concatenate(scores, axis=1),
        feature_version=table.feature_version,
    )


# ---------------------------------------------------------------------------------------------- worlds

World = tuple[OutcomeTable, np.ndarray, tuple[np.ndarray, np.ndarray]]
"""Plain table, confidence of each answer, quality and cost of the council."""


def simulated(rounds: int) -> World:
    """Tasks put to the simulated models."""
    encoder = TextEncoder()
    tasks = list(generate(rounds, seed=11))
    shape = rounds, len(LADDER)
    quality, cost, tokens, confidence = (np.zeros(shape) for _ in range(4))
    contexts, voted = [], np.zeros(rounds)
    for t, task in enumerate(tasks):
        contexts.append(encoder.encode(Request.from_text(task.prompt)))
        texts = []
        for k, model in enumerate(LADDER):
            ask = Ask(model=model.name, turns=(("user", task.prompt),))
            reply = answer(model, ask, Random(f"{t}/{k}"))
            texts.append(reply.text)
            quality[t, k] = score(task, reply.text)
            tokens[t, k] = reply.output_tokens
            cost[t, k] = (
                reply.input_tokens * model.input_usd_per_mtok + reply.output_tokens * model.output_usd_per_mtok
            ) / 1e6
            confidence[t, k] = np.exp(reply.logprob)
        won = winner([ballot({"content": text}) for text in texts], [1.0] * len(texts))
        voted[t] = quality[t, won.position]
    table = OutcomeTable(
        name="simulated",
        models=tuple(model.model("http://127.0.0.1") for model in LADDER),
        tasks=tuple(context.task for context in contexts),
        vectors=np.array([context.vector for context in contexts]),
        input_tokens=np.array([context.input_tokens for context in contexts]),
        output_tokens=tokens,
        cost_usd=cost,
        score=quality,
        feature_version=encoder.version,
    )
    return table, confidence, (voted, cost.sum(axis=1))


def mmlu_pro(rounds: int, *, apart: float) -> World:
    """Real outcomes, with a simulated check that tells right from wrong by ``apart`` standard deviations."""
    whole = OutcomeTable.packaged().take(np.arange(rounds))
    columns = [whole.arms.index(name) for name in REAL]
    table = OutcomeTable(
        name="mmlu-pro",
        models=tuple(whole.models[k] for k in columns),
        tasks=whole.tasks,
        vectors=whole.vectors,
        input_tokens=whole.input_tokens,
        output_tokens=whole.output_tokens[:, columns],
        cost_usd=whole.cost_usd[:, columns],
        score=whole.score[:, columns],
        feature_version=whole.feature_version,
    )
    rng = np.random.default_rng(5)
    signal = apart * (table.score - 0.5) + rng.normal(size=table.score.shape)
    confidence = 1.0 / (1.0 + np.exp(-max(apart, 1.0) * signal))
    right = table.score[:, :3].sum(axis=1)
    lucky = rng.random(rounds) < 8.0 / 9.0  # two wrong ones of nine wrong choices differ
    tie = (right == 1) & lucky & (rng.random(rounds) < 1.0 / 3.0)  # three ways: the first wins
    return table, confidence, (((right >= 2) | tie).astype(float), table.cost_usd[:, :3].sum(axis=1))


# ---------------------------------------------------------------------------------------------- replays


def cell(table: OutcomeTable, arms: list[Arm], spend_usd: float, seed: int) -> tuple[float, float, float]:
    """Mean quality, mean cost and share of plans of one replay."""
    run = replay(table, objective=Objective.max_quality(spend_usd_per_request=spend_usd), seed=seed, plans=arms)
    share = sum(run.shares.get(arm.name, 0.0) for arm in arms)
    return run.mean_quality, run.mean_cost_usd, share


def at_spend(table: OutcomeTable, spend_usd: float) -> float:
    """Quality of the best random mix of two arms at a spend."""
    corners = hull_of(table.score, table.cost_usd)
    return float(np.interp(spend_usd, corners.spend_usd, corners.quality))


def measure(world: World, blind: World, seeds: int, jobs: int) -> list[dict[str, Any]]:
    """One row per budget."""
    table, confidence, council = world
    arms = plans(table.models)
    tables = {
        "plain": (table, []),
        "plans": (with_plans(table, arms, confidence, council), arms),
        "blind": (with_plans(table, arms, blind[1], council), arms),
    }
    dearest = float(table.cost_usd.mean(axis=0).max())
    cells = [(name, budget, seed) for name in tables for budget in BUDGETS for seed in range(seeds)]
    done = Parallel(n_jobs=jobs)(delayed(cell)(*tables[name], budget * dearest, seed) for name, budget, seed in cells)
    found = dict(zip(cells, done, strict=True))
    rows = []
    for budget in BUDGETS:
        runs = {name: np.array([found[name, budget, seed] for seed in range(seeds)]) for name in tables}
        gain = runs["plans"][:, 0] - runs["plain"][:, 0]
        rows.append(
            {
                "world": table.name,
                "budget": budget,
                **{name: float(part[:, 0].mean()) for name, part in runs.items()},
                "spend_share": {name: float(part[:, 1].mean() / dearest) for name, part in runs.items()},
                "gain": float(gain.mean()),
                "gain_95": float(1.96 * gain.std(ddof=1) / np.sqrt(len(gain))) if seeds > 1 else float("nan"),
                "plan_share": float(runs["plans"][:, 2].mean()),
                "hull_plain": at_spend(table, float(runs["plain"][:, 1].mean())),
                "hull_plans": at_spend(tables["plans"][0], float(runs["plans"][:, 1].mean())),
                "best_single": float(table.score.mean(axis=0).max()),
            }
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    first = simulated(given.rounds)
    shuffled = first[0], np.random.default_rng(1).permuted(first[1], axis=0), first[2]
    rows = measure(first, shuffled, given.seeds, given.jobs)
    rows += measure(mmlu_pro(given.rounds, apart=1.5), mmlu_pro(given.rounds, apart=0.0), given.seeds, given.jobs)
    if given.json:
        print(json.dumps({"seeds": given.seeds, "rounds": given.rounds, "rows": rows}))
        return
    print(f"{given.seeds} seeds x {given.rounds} rounds; quality at a budget (spend as a share of the dearest arm's)\n")
    print(
        "| world | budget | plain arms | + plans | gain (95%) | blind plans | hull, plain | hull, plans | plans drawn |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        spend = row["spend_share"]
        print(
            f"| {row['world']} | {row['budget']:.2f} | {row['plain']:.4f} at {spend['plain']:.2f} "
            f"| {row['plans']:.4f} at {spend['plans']:.2f} | {row['gain']:+.4f} ± {row['gain_95']:.4f} "
            f"| {row['blind']:.4f} at {spend['blind']:.2f} | {row['hull_plain']:.4f} | {row['hull_plans']:.4f} "
            f"| {row['plan_share']:.0%} |"
        )


if __name__ == "__main__":
    main()
