"""The direct method."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from armwise.evaluation.estimators.base import Rows, Terms, model_of
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class DirectMethod:
    """V = mean(sum_b pi(b|x) q(x, b)): little variance, and whatever bias the outcome model has.

    Its interval speaks of the contexts only; the error of the model is not in it. Never promote on it alone.
    Source: Dudik, Erhan, Langford & Li (2014), "Doubly robust policy evaluation and optimization", section 3.1.
    """

    name: ClassVar[str] = "dm"
    uses_model: ClassVar[bool] = True
    anytime: ClassVar[bool] = False
    randomised: ClassVar[bool] = False

    def weigh(self, weight: Floats) -> Floats:
        """0: no row corrects the model."""
        return np.zeros_like(weight)

    def terms(self, rows: Rows) -> Terms:
        """direct only."""
        _, direct = model_of(rows)
        return Terms(weighted=np.zeros_like(direct), direct=direct)
