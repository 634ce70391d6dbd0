"""Inverse propensity scoring."""

from dataclasses import dataclass
from typing import ClassVar

from armwise.evaluation.estimators.base import Rows, Terms, importance_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class IPS:
    """V = mean(w r): unbiased, with a variance that grows with the largest weights.

    Estimand: the mean outcome had the target chosen on the logged contexts.
    Source: Horvitz & Thompson (1952); Strehl, Langford, Li & Kakade (2010), "Learning from logged implicit
    exploration data", section 3.
    """

    name: ClassVar[str] = "ips"
    uses_model: ClassVar[bool] = False
    anytime: ClassVar[bool] = True
    randomised: ClassVar[bool] = False

    def weigh(self, weight: Floats) -> Floats:
        """w itself."""
        return weight

    def terms(self, rows: Rows) -> Terms:
        """weighted = w o r."""
        return importance_terms(rows, rows.weight)
