"""Self-normalised doubly robust estimation."""

from dataclasses import dataclass
from typing import ClassVar

from armwise.evaluation.estimators.base import Rows, Terms, corrected_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class SNDR:
    """V = mean(E_pi q) + mean(w (r - q)) / mean(w): DR whose correction cannot leave the range of the residuals.

    Consistent, biased by O(1/n); asymptotic intervals only.
    Source: Robins, Sued, Lei-Gomez & Rotnitzky (2007), "Performance of double-robust estimators when inverse
    probability weights are highly variable", section 4; Thomas & Brunskill (2016) for bandits.
    """

    name: ClassVar[str] = "sndr"
    uses_model: ClassVar[bool] = True
    anytime: ClassVar[bool] = False
    randomised: ClassVar[bool] = False

    def weigh(self, weight: Floats) -> Floats:
        """w itself."""
        return weight

    def terms(self, rows: Rows) -> Terms:
        """direct = E_pi q, weighted = w o (r - q), normaliser = w o."""
        return corrected_terms(rows, rows.weight, self_normalised=True)
