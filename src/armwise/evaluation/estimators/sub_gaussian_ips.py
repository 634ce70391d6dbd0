"""Importance weighting with a smooth, sub-Gaussian correction."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from armwise.evaluation.estimators.base import Rows, Terms, importance_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class SubGaussianIPS:
    """V = mean(w' r), w' = w / (1 - t + t w): the power-mean correction of order -1.

    Weights stay under 1/t and are differentiable in pi; with t of order sqrt(log(1/delta) / n) / sqrt(E w^2) the error
    is sub-Gaussian. Weights under one are raised, so its bias has no fixed sign.
    Source: Metelli, Russo & Restelli (2021), "Subgaussian and differentiable importance sampling for off-policy
    evaluation and learning", section 4 (s = -1).

    Attributes:
        threshold: t in [0, 1]; 0 is IPS, 1 makes every weight one. None chooses it by SLOPE.
    """

    name: ClassVar[str] = "sub_gaussian_ips"
    uses_model: ClassVar[bool] = False
    anytime: ClassVar[bool] = False
    randomised: ClassVar[bool] = False
    threshold: float | None = None

    def weigh(self, weight: Floats) -> Floats:
        """w' = w / (1 - t + t w)."""
        return weight / ((1.0 - self.threshold) + self.threshold * weight) if self.threshold else weight

    def terms(self, rows: Rows) -> Terms:
        """weighted = w' o r."""
        return importance_terms(rows, self.weigh(rows.weight))

    def at(self, threshold: float) -> "SubGaussianIPS":
        """Correct with t = ``threshold``."""
        return SubGaussianIPS(threshold=threshold)

    def candidates(self, weight: Floats) -> list[float]:
        """0, then geometrically up, around the theoretical choice sqrt(2 log(20) / (n E w^2))."""
        second = float(np.mean(weight * weight))
        best = min(0.5, float(np.sqrt(2.0 * np.log(20.0) / (len(weight) * max(second, 1e-12)))))
        return [0.0, *(float(value) for value in np.geomspace(best / 16, min(0.5, best * 16), 9))]
