"""Inverse propensity scoring with clipped weights."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from armwise.evaluation.estimators.base import Rows, Terms, importance_terms, weight_quantiles
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class ClippedIPS:
    """V = mean(min(w, M) r): less variance for a bias towards zero, E[(w - M)+ r].

    For outcomes of one sign the bias has a known direction, so anytime bounds with a threshold fixed beforehand hold.
    Asymptotic intervals describe the clipped mean and leave its bias out.
    Source: Ionides (2008), "Truncated importance sampling"; Bottou et al. (2013), "Counterfactual reasoning and
    learning systems", section 4.4.

    Attributes:
        threshold: M > 0; None chooses it by SLOPE.
    """

    name: ClassVar[str] = "clipped_ips"
    uses_model: ClassVar[bool] = False
    anytime: ClassVar[bool] = True
    randomised: ClassVar[bool] = False
    threshold: float | None = None

    def weigh(self, weight: Floats) -> Floats:
        """min(w, M)."""
        return weight if self.threshold is None else np.minimum(weight, self.threshold)

    def terms(self, rows: Rows) -> Terms:
        """weighted = min(w, M) o r."""
        return importance_terms(rows, self.weigh(rows.weight))

    def at(self, threshold: float) -> "ClippedIPS":
        """Clip at ``threshold``."""
        return ClippedIPS(threshold=threshold)

    def candidates(self, weight: Floats) -> list[float]:
        """From no clipping down to the mean weight."""
        return weight_quantiles(weight)
