"""A policy's frontier: replays over a grid of budgets (or of constant trade-offs) and seeds, on all cores.

Budgets are the better sweep: a constant trade-off on either side of a corner of the hull plays one arm for ever, while
a pacer moves across the corner and so reaches the mixes between two arms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from armwise.errors import BadInput
from armwise.pacing import Objective
from armwise.simulation.baselines import Frontier, best_fixed
from armwise.simulation.replay import replay
from armwise.simulation.table import OutcomeTable

DEFAULT_BUDGETS: tuple[float, ...] = (0.25, 0.35, 0.42, 0.5, 0.6)
"""Shares of the best arm's mean cost."""


def frontiers(
    table: OutcomeTable,
    *,
    policy: str | Mapping[str, Any] = "thompson",
    budgets: Sequence[float] = DEFAULT_BUDGETS,
    cost_weights: Sequence[float] | None = None,
    seeds: Sequence[int] = (0,),
    jobs: int | None = None,
    on_run: Callable[[int, int], None] | None = None,
) -> list[Frontier]:
    """One frontier per seed, prequential over the whole table from a cold start.

    Args:
        budgets: mean spend asked for, as shares of the best arm's mean cost.
        cost_weights: constant trade-offs instead of budgets.
        jobs: processes; by default one per core.
        on_run: called after each replay with how many are done, and how many there are.

    Raises:
        BadInput: on an empty grid, a budget that is not positive, or an unknown policy.
    """
    if cost_weights is None:
        dearest = float(best_fixed(table).spend_usd[0])
        settings = [Objective.max_quality(spend_usd_per_request=share * dearest) for share in budgets]
    else:
        settings = [Objective.tradeoff(cost_weight=weight, cost_ref_usd=table.cost_ref_usd) for weight in cost_weights]
    cells = [(place, seed) for seed in seeds for place in range(len(settings))]
    if not cells:
        raise BadInput("a frontier needs at least one setting and one seed")
    workers = min(jobs or os.cpu_count() or 1, len(cells))
    done: Iterator[tuple[int, int, float, float]] = Parallel(n_jobs=workers, return_as="generator_unordered")(
        delayed(_cell)(table, policy, settings[place], place, seed) for place, seed in cells
    )
    found = {}
    for count, (place, seed, quality, cost_usd) in enumerate(done, 1):
        found[place, seed] = quality, cost_usd
        if on_run is not None:
            on_run(count, len(cells))
    name = policy if isinstance(policy, str) else str(policy["name"])
    points = [np.array([found[place, seed] for place in range(len(settings))]) for seed in seeds]
    return [Frontier(name=name, quality=part[:, 0], spend_usd=part[:, 1]) for part in points]


def mean_frontier(parts: Sequence[Frontier], *, name: str | None = None) -> Frontier:
    """Mean over seeds, setting by setting."""
    return Frontier(
        name=name or parts[0].name,
        quality=np.mean([part.quality for part in parts], axis=0),
        spend_usd=np.mean([part.spend_usd for part in parts], axis=0),
    )


def _cell(
    table: OutcomeTable, policy: str | Mapping[str, Any], objective: Objective, place: int, seed: int
) -> tuple[int, int, float, float]:
    run = replay(table, policy=policy, objective=objective, seed=seed)
    return place, seed, run.mean_quality, run.mean_cost_usd
