"""Doubly robust estimation with optimistic shrinkage."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from armwise.evaluation.estimators.base import Rows, Terms, corrected_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class DROptimisticShrinkage:
    """V = mean(E_pi q + w' (r - q)), w' = t w / (w^2 + t): between DM (t = 0) and DR (t infinite).

    w' minimises a sharp bound on the mean squared error; its largest value is sqrt(t) / 2.
    Source: Su, Dimakopoulou, Krishnamurthy & Dudik (2020), "Doubly robust off-policy evaluation with shrinkage",
    section 3.1.

    Attributes:
        threshold: t >= 0; None chooses it by SLOPE.
    """

    name: ClassVar[str] = "dr_os"
    uses_model: ClassVar[bool] = True
    anytime: ClassVar[bool] = False
    randomised: ClassVar[bool] = False
    threshold: float | None = None

    def weigh(self, weight: Floats) -> Floats:
        """w' = t w / (w^2 + t)."""
        t = self.threshold
        if t is None or np.isinf(t):
            return weight
        return t * weight / (weight * weight + t) if t > 0 else np.zeros_like(weight)

    def terms(self, rows: Rows) -> Terms:
        """DR with shrunken weights."""
        return corrected_terms(rows, self.weigh(rows.weight))

    def at(self, threshold: float) -> "DROptimisticShrinkage":
        """Shrink with t = ``threshold``."""
        return DROptimisticShrinkage(threshold=threshold)

    def candidates(self, weight: Floats) -> list[float]:
        """DR itself, then geometrically down from a hundred times the largest squared weight to 1."""
        top = max(4.0, 100.0 * float(weight.max()) ** 2)
        return [np.inf, *(float(value) for value in np.geomspace(top, 1.0, 11))]
