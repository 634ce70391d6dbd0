"""Ridge regression, pooled over arms and corrected per arm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats, Ints
from armwise.evaluation.moments import Scatter


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
        """Fit on rows; those of weight 0 count for nothing."""
        sums = self.sums(arms)
        sums.add(features, arm, outcome, weight)
        return sums.fit([])

    def sums(self, arms: int) -> "RidgeSums":
        """Sums of no row yet."""
        return RidgeSums(l2=self.l2, arms=arms)


class RidgeSums:
    """Means and scatters of features and outcome, arm by arm: all that the fit needs of the rows. O(K d^2).

    Weights are taken relative to their mean, so that the penalty stays one in rows; features are standardised by all
    rows alike.
    """

    def __init__(self, *, l2: float, arms: int) -> None:
        self._l2, self._arms = l2, arms
        self._of_arm: list[Scatter] = []
        self._features: Scatter | None = None

    def add(self, features: Floats, arm: Ints, outcome: Floats, weight: Floats | None) -> None:
        """Add a block."""
        rows = np.column_stack([features, outcome]).astype(np.float64, copy=False)
        if self._features is None:
            self._of_arm = [Scatter(columns=rows.shape[1]) for _ in range(self._arms)]
            self._features = Scatter(columns=rows.shape[1] - 1)
        self._features.add(rows[:, :-1])
        order = np.argsort(arm, kind="stable")
        ends = np.searchsorted(arm[order], np.arange(self._arms + 1))
        for a, scatter in enumerate(self._of_arm):
            mine = order[ends[a] : ends[a + 1]]
            if weight is None:
                scatter.add(rows[mine])
            else:
                scatter.add_weighted(rows[mine], weight[mine])

    def fit(self, others: Sequence["RidgeSums"]) -> "FittedRidge":
        """Solve K + 1 systems of size d + 1.

        Raises:
            BadInput: no row was given.
        """
        given = [sums for sums in (self, *others) if sums._features is not None]
        if not given:
            raise BadInput("no rows were given; there is nothing to fit")
        features = _merged([sums._features for sums in given if sums._features is not None])
        of_arm = [_merged([sums._of_arm[a] for sums in given]) for a in range(self._arms)]
        pooled = _merged(of_arm)
        scale = np.sqrt(np.diag(features.scatter) / features.count)
        scale = np.where(scale > 1e-12, scale, 1.0)
        per_row = features.count / max(pooled.weight, 1e-12)
        penalty = np.full(len(scale) + 1, self._l2)
        free = penalty.copy()
        free[0] = 1e-9
        gram, moment = _normal_equations(pooled, features.mean, scale, per_row)
        shared = np.linalg.solve(gram + np.diag(free), moment)
        coefficients = np.tile(shared, (self._arms, 1))
        for a, scatter in enumerate(of_arm):
            if scatter.weight > 0:
                gram, moment = _normal_equations(scatter, features.mean, scale, per_row)
                coefficients[a] += np.linalg.solve(gram + np.diag(penalty), moment - gram @ shared)
        return FittedRidge(centre=features.mean, scale=scale, coefficients=coefficients)


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


def _merged(parts: Sequence[Scatter]) -> Scatter:
    whole = Scatter(columns=parts[0].columns)
    for part in parts:
        whole.merge(part)
    return whole


def _normal_equations(rows: Scatter, centre: Floats, scale: Floats, per_row: float) -> tuple[Floats, Floats]:
    """X'X and X'y of the rows, each ``per_row`` times, for X = [1, (features - centre) / scale]."""
    units = np.append(scale, 1.0)
    mean = np.concatenate([[1.0], (rows.mean - np.append(centre, 0.0)) / units])
    both = np.outer(mean, mean) * rows.weight
    both[1:, 1:] += rows.scatter / np.outer(units, units)
    both *= per_row
    return both[:-1, :-1], both[:-1, -1]
