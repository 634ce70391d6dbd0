"""More robust doubly robust estimation."""

from dataclasses import dataclass
from typing import ClassVar

from armwise.evaluation.estimators.base import Rows, Terms, corrected_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class MRDR:
    """DR whose outcome model is fitted to minimise the variance of the estimate and not the error of the model.

    The model of each target is fitted with row weights w^2 (1 - p): for a deterministic target that is the variance of
    DR itself; for a stochastic one the cross terms between arms are left out (hence "style").
    Source: Farajtabar, Chow & Ghavamzadeh (2018), "More robust doubly robust off-policy evaluation", section 4.
    """

    name: ClassVar[str] = "mrdr"
    uses_model: ClassVar[bool] = True
    anytime: ClassVar[bool] = True
    randomised: ClassVar[bool] = False

    def weigh(self, weight: Floats) -> Floats:
        """w itself."""
        return weight

    def terms(self, rows: Rows) -> Terms:
        """As DR; the difference is in the model that came with the rows."""
        return corrected_terms(rows, rows.weight)
