"""Ridge regression, pooled over arms and corrected per arm."""

from dataclasses import dataclass

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class RidgeOutcome:
    """q(x, a) = x'(b + d_a): one ridge fit for all arms, then one of its residuals per arm.

    Seldom-drawn arms fall back on what all arms share. Features are standardised; the intercept of the pooled fit is
    free, that of an arm is shrunk. Without features (d = 0) this is a shrunken mean per arm.

    Attributes:
        l2: penalty, in rows: an arm with l2 rows moves half-way from the pooled fit to its own.
    """

    l2: float = 10.0

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise BadInput(f"l2 is {self.l2}; allowed: over 0")

    def fit(self, features: Floats, arm: Ints, outcome: Floats, weight: Floats | None, arms: int) -> "FittedRidge":
        """Solve K + 1 systems of size d + 1; rows of weight 0 count for nothing."""
        w = np.ones(len(arm)) if weight is None else weight * (len(arm) / max(float(weight.sum()), 1e-12))
        centre = features.mean(axis=0, dtype=np.float64)
        scale = features.std(axis=0, dtype=np.float64)
        scale = np.where(scale > 1e-12, scale, 1.0)
        x = _design(features, centre, scale)
        penalty = np.full(x.shape[1], self.l2)
        free = penalty.copy()
        free[0] = 1e-9
        pooled = _solve(x, outcome, w, free)
        rest = outcome - x @ pooled
        coefficients = np.tile(pooled, (arms, 1))
        order = np.argsort(arm, kind="stable")
        ends = np.searchsorted(arm[order], np.arange(arms + 1))
        for a in range(arms):
            rows = order[ends[a] : ends[a + 1]]
            if rows.size:
                coefficients[a] += _solve(x[rows], rest[rows], w[rows], penalty)
        return FittedRidge(centre=centre, scale=scale, coefficients=coefficients)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedRidge:
    """Coefficients [K, d + 1] on standardised features."""

    centre: Floats
    scale: Floats
    coefficients: Floats

    def predict(self, features: Floats) -> Floats:
        """[n, K]."""
        return np.asarray(_design(features, self.centre, self.scale) @ self.coefficients.T)


def _design(features: Floats, centre: Floats, scale: Floats) -> Floats:
    return np.column_stack([np.ones(len(features)), (features - centre) / scale])


def _solve(x: Floats, y: Floats, weight: Floats, penalty: Floats) -> Floats:
    weighted = x * weight[:, None]
    return np.asarray(np.linalg.solve(weighted.T @ x + np.diag(penalty), weighted.T @ y))
