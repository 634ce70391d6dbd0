"""Self-normalised inverse propensity scoring."""

from dataclasses import dataclass
from typing import ClassVar

from armwise.evaluation.estimators.base import Rows, Terms, importance_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class SNIPS:
    """V = mean(w r) / mean(w): stays within the range of the outcomes, and does not move when a constant is added.

    Biased by O(1/n), consistent. Its finite-sample error depends on the random normaliser, so only asymptotic
    intervals are offered. With censored outcomes the normaliser counts observed rows: mean(w o).
    Source: Hajek (1971); Swaminathan & Joachims (2015), "The self-normalized estimator for counterfactual learning",
    section 4.
    """

    name: ClassVar[str] = "snips"
    uses_model: ClassVar[bool] = False
    anytime: ClassVar[bool] = False
    randomised: ClassVar[bool] = False

    def weigh(self, weight: Floats) -> Floats:
        """w itself."""
        return weight

    def terms(self, rows: Rows) -> Terms:
        """weighted = w o r, normaliser = w o."""
        weighted = importance_terms(rows, rows.weight).weighted
        return Terms(weighted=weighted, normaliser=rows.weight[:, None] * rows.observation)
