"""The value of the logging policy itself."""

from dataclasses import dataclass
from typing import ClassVar

from armwise.evaluation.estimators.base import Rows, Terms, corrected_terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class OnPolicy:
    """V = mean(r), or its inverse-probability form where outcomes are censored.

    With a model the censored part is filled in doubly robustly (weights are one); without, and with censoring, the mean
    is normalised by the observed weight. With everything observed both are the plain mean.
    """

    name: ClassVar[str] = "on_policy"
    uses_model: ClassVar[bool] = False
    anytime: ClassVar[bool] = True
    randomised: ClassVar[bool] = False
    anytime_form: bool = False

    def weigh(self, weight: Floats) -> Floats:
        """w itself."""
        return weight

    def terms(self, rows: Rows) -> Terms:
        """Plain terms; the normaliser only where censoring makes it useful and no finite-sample bound is asked for."""
        if rows.logged is not None:
            return corrected_terms(rows, rows.weight)
        seen = rows.observation
        normaliser = None if self.anytime_form or seen.shape[0] == 1 else seen + 0.0 * rows.outcome
        return Terms(weighted=seen * rows.outcome, normaliser=normaliser)
