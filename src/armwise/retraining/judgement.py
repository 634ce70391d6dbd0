"""What candidates would have achieved on rows that none of them learned from, beside what served at the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from armwise.contracts import Trade
from armwise.errors import BadInput
from armwise.evaluation import LOGGING, Estimate, Evaluation, LoggedFeedback, TargetPolicy, evaluate
from armwise.evaluation.intervals.normal import normal_radius
from armwise.offline import Candidate, LoggedRows
from armwise.offline.evaluation import utility_weights
from armwise.offline.observing import Observing, observe
from armwise.offline.rows import Array

ERROR = "error"


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """The answer, for one stretch of the log.

    Attributes:
        rows: those that count.
        tables: candidate -> its probabilities on them, float32 [n, K].
        evaluation: quality, cost_usd, latency_ms and error, by doubly robust estimates with cross-fitted models.
        trade: the exchange rates of utility.
        notes: what was assumed or left out.
    """

    rows: LoggedRows
    tables: dict[str, Array]
    evaluation: Evaluation
    observing: Observing
    trade: Trade
    level: float
    notes: tuple[str, ...]

    def utility(self, name: str) -> Estimate:
        """The candidate's utility less that of what served, in pairs."""
        return self.evaluation.combine(self._weights, name, versus=LOGGING)

    def value(self, name: str) -> Estimate:
        """A policy's utility; ``logging`` is what served."""
        return self.evaluation.combine(self._weights, name)

    def outcomes(self) -> tuple[str, ...]:
        """What was estimated."""
        return self.evaluation.outcomes

    def of_slice(self, name: str, which: Array, level: float) -> Estimate:
        """The difference in quality on some of the rows."""
        keep = np.flatnonzero(which)
        feedback = _feedback(self.rows.take(keep), self.observing, keep, only_quality=True)
        target = TargetPolicy(name=name, probabilities=self.tables[name][keep])
        return evaluate(feedback, {name: np.asarray(target.probabilities)}, level=level, force=True).difference(
            name, outcome="quality"
        )

    def exploration(self, name: str) -> tuple[float, Estimate]:
        """Share of the candidate's draws that are not of its likeliest arm, and that less what served had."""
        ours = 1.0 - self.tables[name].max(axis=1).astype(np.float64)
        gap = ours - (1.0 - self.rows.probabilities.max(axis=1))
        error = float(gap.std(ddof=1) / np.sqrt(len(gap)))
        radius = float(normal_radius(np.array(error), self.level))
        mean = float(gap.mean())
        return float(ours.mean()), Estimate(
            value=mean,
            standard_error=error,
            lower=mean - radius,
            upper=mean + radius,
            level=self.level,
            guarantee="asymptotic",
        )

    @property
    def _weights(self) -> dict[str, float]:
        weights = utility_weights(self.trade)
        return {name: weight for name, weight in weights.items() if name in self.evaluation.outcomes}


def judge(candidates: Sequence[Candidate], rows: LoggedRows, *, level: float, trade: Trade | None = None) -> Judgement:
    """Judge candidates on rows that none has learned from.

    Args:
        trade: exchange rates of utility; by default the usual of late.

    Raises:
        BadInput: if a candidate learned from the rows, or the rows cannot be weighed.
    """
    late = [one.name for one in candidates if one.learned_to >= rows.position[0]]
    if late:
        raise BadInput(f"{', '.join(late)} learned from rows that were to judge it")
    known = np.array([name in candidates[0].decider.pool for name in rows.arms])
    able = (rows.eligible & known).any(axis=1)
    rows = rows.take(able) if not able.all() else rows
    observing = observe(rows)
    keep = np.flatnonzero(observing.keep)
    rows = rows.take(keep) if len(keep) < len(rows) else rows
    tables = {one.name: one.probabilities(rows) for one in candidates}
    found = evaluate(
        _feedback(rows, observing, keep),
        [TargetPolicy(name=name, probabilities=table) for name, table in tables.items()],
        level=level,
        force=True,
    )
    cut = Observing(
        keep=observing.keep[keep],
        outcomes=observing.outcomes,
        probability={name: p[keep] for name, p in observing.probability.items()},
        notes=observing.notes,
    )
    return Judgement(
        rows=rows,
        tables=tables,
        evaluation=found,
        observing=cut,
        trade=trade or rows.trade,
        level=level,
        notes=cut.notes,
    )


def _feedback(rows: LoggedRows, observing: Observing, keep: Array, *, only_quality: bool = False) -> LoggedFeedback:
    names = ("quality",) if only_quality else observing.outcomes
    outcomes = {name: getattr(rows, name) for name in names}
    if not only_quality and rows.error.any():
        outcomes[ERROR] = rows.error.astype(np.float64)
    chance = {name: p[keep] for name, p in observing.probability.items() if name in outcomes}
    return rows.feedback(outcomes, chance, bounds={"quality": (0.0, 1.0)}, slices=("task", "tenant"))
