"""What a router must beat: policies that know nothing of the prompt, and the oracle that knows everything.

Each gives a frontier: mean quality and mean spend over a grid of trade-offs. Those marked *prequential* choose each
prompt's arm from the outcomes of the prompts before it, of ALL arms: more than a bandit is ever told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from armwise.contracts import Vector
from armwise.errors import BadInput
from armwise.simulation.table import Matrix, OutcomeTable

COST_WEIGHTS: tuple[float, ...] = (0.0, *np.geomspace(0.01, 3.0, 40).tolist())
"""Trade-offs at which baselines are computed: points of quality per mean cost of the best arm."""

ALL = slice(None)
"""Rows over which a prequential baseline's means are taken; the choices are the same."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier:
    """Mean quality and spend per prompt of one method, one entry per setting of its trade-off."""

    name: str
    quality: Vector
    spend_usd: Vector

    def saved_at(self, table: OutcomeTable, fraction: float = 0.95) -> float:
        """:func:`spend_saved_at` against the table's best arm."""
        return spend_saved_at(
            self.quality,
            self.spend_usd,
            best_quality=float(table.score[:, table.best].mean()),
            best_spend_usd=table.cost_ref_usd,
            fraction=fraction,
        )


def spend_saved_at(
    quality: Sequence[float] | Vector,
    spend_usd: Sequence[float] | Vector,
    *,
    best_quality: float,
    best_spend_usd: float,
    fraction: float = 0.95,
) -> float:
    """Percent of the best arm's spend that is saved at ``fraction`` of its quality.

    Settings are ordered by spend, and quality is interpolated linearly between neighbours; the lowest spend that
    reaches the target counts. NaN where no setting reaches it.

    Raises:
        BadInput: if there is no setting, or the two differ in length.
    """
    q, c = np.asarray(quality, dtype=float), np.asarray(spend_usd, dtype=float)
    if q.shape != c.shape or q.ndim != 1 or not len(q):
        raise BadInput(f"a frontier needs as many qualities as spends, at least one, got {q.shape} and {c.shape}")
    order = np.lexsort((-q, c))
    q, c = q[order], c[order]
    target = fraction * best_quality
    reached = np.flatnonzero(q >= target)
    if not len(reached):
        return float("nan")
    i = int(reached[0])
    spend = c[i]
    if i:
        spend = c[i - 1] + (c[i] - c[i - 1]) * (target - q[i - 1]) / (q[i] - q[i - 1])
    return float(100.0 * (1.0 - spend / best_spend_usd))


def hull(table: OutcomeTable) -> Frontier:
    """The corners of the best random mixes of two arms: between neighbours, quality is linear in spend."""
    return hull_of(table.score, table.cost_usd)


def hull_of(score: Matrix, cost_usd: Matrix) -> Frontier:
    """:func:`hull` of matrices of shape (prompts, arms)."""
    quality, spend = score.mean(axis=0), cost_usd.mean(axis=0)
    corners: list[int] = []
    for arm in np.lexsort((-quality, spend)):
        if corners and quality[arm] <= quality[corners[-1]]:
            continue
        while len(corners) > 1 and _slope(quality, spend, corners[-2], arm) >= _slope(
            quality, spend, corners[-2], corners[-1]
        ):
            corners.pop()
        corners.append(int(arm))
    return Frontier(name="hull", quality=quality[corners], spend_usd=spend[corners])


def _slope(quality: Vector, spend: Vector, a: int, b: int) -> float:
    return float((quality[b] - quality[a]) / max(spend[b] - spend[a], 1e-300))


def known_cost_null(table: OutcomeTable, rows: slice = ALL) -> Frontier:
    """Prequential mean quality per arm, blind to the prompt, against what is known of each prompt's cost before the
    call: its input tokens at the list price, and the arm's mean output so far."""
    prices = np.array([(model.input_usd_per_mtok, model.output_usd_per_mtok) for model in table.models], dtype=float)
    output_tokens = running_mean(table.output_tokens)
    known = (table.input_tokens[:, None] * prices[:, 0] + output_tokens * prices[:, 1]) / 1e6
    return _greedy("known-cost null", table, running_mean(table.score), known, rows)


def task_mean(table: OutcomeTable, rows: slice = ALL) -> Frontier:
    """Prequential mean quality and cost per task and arm, shrunk to the arm's own with the weight of 20 prompts."""
    score, cost = running_mean(table.score), running_mean(table.cost_usd)
    tasks = np.array(table.tasks)
    quality, spend = score.copy(), cost.copy()
    for task in set(table.tasks):
        of = np.flatnonzero(tasks == task)
        seen = np.arange(len(of))[:, None]
        quality[of] = (_before(table.score[of]) + 20 * score[of]) / (seen + 20)
        spend[of] = (_before(table.cost_usd[of]) + 20 * cost[of]) / (seen + 20)
    return _greedy("task mean", table, quality, spend, rows)


def prompt_length(table: OutcomeTable) -> Frontier:
    """Longest prompts to the best arm, the others to the next corner of the hull; nothing is learned."""
    corners = hull(table)
    spend = table.cost_usd.mean(axis=0)
    by_spend = [int(np.abs(spend - s).argmin()) for s in corners.spend_usd]
    best, cheap = by_spend[-1], by_spend[-2] if len(by_spend) > 1 else by_spend[-1]
    order = np.argsort(-table.input_tokens, kind="stable")
    quality, cost = [], []
    for share in np.linspace(0, 1, 41):
        arm = np.full(len(table), cheap)
        arm[order[: round(share * len(table))]] = best
        q, c = _mean(table, arm)
        quality.append(q)
        cost.append(c)
    return Frontier(name="prompt length", quality=np.array(quality), spend_usd=np.array(cost))


def uniform(table: OutcomeTable) -> Frontier:
    """Each arm with the same probability: one point."""
    return Frontier(name="uniform", quality=np.array([table.score.mean()]), spend_usd=np.array([table.cost_usd.mean()]))


def best_fixed(table: OutcomeTable) -> Frontier:
    """Always the arm with the highest mean score, known in hindsight: one point."""
    best = table.best
    return Frontier(
        name=f"always {table.arms[best]}",
        quality=np.array([table.score[:, best].mean()]),
        spend_usd=np.array([table.cost_usd[:, best].mean()]),
    )


def oracle(table: OutcomeTable) -> Frontier:
    """The best arm of each prompt, known in hindsight. No real router can reach it."""
    return _greedy("oracle", table, table.score, table.cost_usd)


def running_mean(values: Matrix, prior: float | None = None) -> Matrix:
    """Mean of the rows before each row; the first row gets ``prior``, or the grand mean of the first ten rows."""
    start = float(values[:10].mean()) if prior is None else prior
    seen = np.arange(len(values))[:, None]
    mean: Matrix = (_before(values) + start) / (seen + 1)
    return mean


def _before(values: Matrix) -> Matrix:
    total: Matrix = np.cumsum(values, axis=0) - values
    return total


def _greedy(name: str, table: OutcomeTable, quality: Matrix, cost_usd: Matrix, rows: slice = ALL) -> Frontier:
    points = [
        _mean(table, (quality - weight * cost_usd / table.cost_ref_usd - 1e-9 * cost_usd).argmax(axis=1), rows)
        for weight in COST_WEIGHTS
    ]
    return Frontier(name=name, quality=np.array([q for q, _ in points]), spend_usd=np.array([c for _, c in points]))


def _mean(table: OutcomeTable, arm: np.ndarray, rows: slice = ALL) -> tuple[float, float]:
    every = np.arange(len(table))
    return float(table.score[every, arm][rows].mean()), float(table.cost_usd[every, arm][rows].mean())
