"""Doubly robust estimation."""

from dataclasses import dataclass
from typing import ClassVar

from armwise.evaluation.estimators.base import Rows, Terms, corrected_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class DR:
    """V = mean(E_pi q + w (r - q)): unbiased when the propensities are true, whatever the cross-fitted model is.

    Also consistent when the model is right and the propensities are not. Censored outcomes enter through o, which makes
    it doubly robust in the observation probability as well.
    Source: Dudik, Langford & Li (2011), "Doubly robust policy evaluation and learning", section 3; cross-fitting:
    Chernozhukov et al. (2018).
    """

    name: ClassVar[str] = "dr"
    uses_model: ClassVar[bool] = True
    anytime: ClassVar[bool] = True
    randomised: ClassVar[bool] = False

    def weigh(self, weight: Floats) -> Floats:
        """w itself."""
        return weight

    def terms(self, rows: Rows) -> Terms:
        """direct = E_pi q, weighted = w o (r - q)."""
        return corrected_terms(rows, rows.weight)
