"""Outcomes as estimators see them: numbers and inverse probabilities of having been observed."""

from dataclasses import dataclass

import numpy as np

from armwise.evaluation.estimators.base import Rows
from armwise.evaluation.feedback import Floats, LoggedFeedback


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """Outcomes [n, m] with gaps as 0, and 1 / P(observed) where seen; [1, 1] ones when nothing is censored."""

    outcome: Floats
    weight: Floats

    @classmethod
    def of(cls, feedback: LoggedFeedback) -> "Observed":
        columns = list(feedback.outcomes.values())
        outcome = columns[0][:, None] if len(columns) == 1 else np.column_stack(columns)
        seen = feedback.observation_probability
        if not seen:
            return cls(outcome=outcome, weight=np.ones((1, 1)))
        weight = np.ones_like(outcome)
        for j, name in enumerate(feedback.outcomes):
            if name in seen:
                weight[:, j] = np.where(np.isnan(outcome[:, j]), 0.0, 1.0 / seen[name])
        return cls(outcome=np.where(np.isnan(outcome), 0.0, outcome), weight=weight)


def one_outcome(rows: Rows, j: int) -> Rows:
    """The rows with outcome column j alone."""
    cut = slice(j, j + 1)
    return Rows(
        weight=rows.weight,
        outcome=rows.outcome[:, cut],
        observation=rows.observation if rows.observation.shape[0] == 1 else rows.observation[:, cut],
        logged=None if rows.logged is None else rows.logged[:, cut],
        direct=None if rows.direct is None else rows.direct[:, cut],
        weight_bound=rows.weight_bound,
        uniform=rows.uniform,
    )
