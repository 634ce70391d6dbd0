"""Replay by rejection sampling."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation.estimators.base import Rows, Terms
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class Replay:
    """V = the mean outcome of accepted rows, each accepted with probability w / M, M the bound on the weights.

    Accepted rows are distributed as if the target had chosen. For a uniform log and a deterministic target this is the
    rule of Li et al.: keep the rows where the two agree. It throws away all but n/M rows; its use is that the accepted
    rows are plain on-policy data. With M read off the data (no logged distribution, no floor) it is approximate.
    Source: Li, Chu, Langford & Wang (2011), "Unbiased offline evaluation of contextual-bandit-based news article
    recommendation algorithms", section 3; stochastic form: Dudik, Erhan, Langford & Li (2012).
    """

    name: ClassVar[str] = "replay"
    uses_model: ClassVar[bool] = False
    anytime: ClassVar[bool] = False
    randomised: ClassVar[bool] = True

    def weigh(self, weight: Floats) -> Floats:
        """w itself."""
        return weight

    def terms(self, rows: Rows) -> Terms:
        """weighted = accepted o r, normaliser = accepted o."""
        if rows.uniform is None:
            raise BadInput("replay draws which rows to accept; pass rng=numpy.random.default_rng(seed)")
        accepted = np.where(rows.uniform * rows.weight_bound < rows.weight, 1.0, 0.0)[:, None] * rows.observation
        return Terms(weighted=accepted * rows.outcome, normaliser=accepted)
