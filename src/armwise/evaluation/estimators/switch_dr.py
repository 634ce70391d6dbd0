"""SWITCH, with the doubly robust correction where weights are small."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from armwise.evaluation.estimators.base import Rows, Terms, corrected_terms, weight_quantiles
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class SwitchDR:
    """V = mean(E_pi q + w 1[w <= tau] (r - q)): trusts the model alone where a weight exceeds tau.

    Bias: what the model gets wrong on the switched-off part.
    Source: Wang, Agarwal & Dudik (2017), "Optimal and adaptive off-policy evaluation in contextual bandits", section 4.

    Attributes:
        threshold: tau >= 0; None chooses it by SLOPE.
    """

    name: ClassVar[str] = "switch_dr"
    uses_model: ClassVar[bool] = True
    anytime: ClassVar[bool] = False
    randomised: ClassVar[bool] = False
    threshold: float | None = None

    def weigh(self, weight: Floats) -> Floats:
        """w 1[w <= tau]."""
        return weight if self.threshold is None else np.where(weight <= self.threshold, weight, 0.0)

    def terms(self, rows: Rows) -> Terms:
        """DR with the weights over tau set to zero."""
        return corrected_terms(rows, self.weigh(rows.weight))

    def at(self, threshold: float) -> "SwitchDR":
        """Switch at ``threshold``."""
        return SwitchDR(threshold=threshold)

    def candidates(self, weight: Floats) -> list[float]:
        """From DR (nothing switched off) down to the mean weight."""
        return weight_quantiles(weight)
