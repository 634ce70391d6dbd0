"""Are predictions of quality true? Predicted against observed, in bins: the reliability curve and its summaries."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability curve over bins of equally many predictions (Murphy & Winkler 1977), and its summaries.

    Attributes:
        predicted, observed: [bins] means; a calibrated predictor has them equal up to chance.
        half_width: [bins] of the normal 95% interval of ``observed``.
        count: [bins].
        error: expected calibration error, mean |observed - predicted| weighted by count (Naeini et al. 2015).
        chance: what ``error`` would be on average by chance alone, were the predictor calibrated: it is never 0, and
            falls with the square root of the count.
        brier: mean squared error of the predictions; of outcomes 0 and 1, the Brier score.
        brier_of_mean: the same for a predictor that always says the overall mean.
    """

    predicted: Floats
    observed: Floats
    half_width: Floats
    count: Floats
    error: float
    chance: float
    brier: float
    brier_of_mean: float


def reliability(predicted: Floats, observed: Floats, *, bins: int = 15) -> Reliability:
    """The curve of predictions in [0, 1] against outcomes in [0, 1], both of shape (n,).

    Equal predictions stay in one bin, so there may be fewer than ``bins``. Rows are taken as independent given their
    predictions. Pass what was predicted *before* the outcome was learned from. On logged feedback the rows are those of
    the drawn arms: a curve over them says nothing of arms that the policy has stopped drawing.

    Raises:
        BadInput: on no rows, shapes that differ, values outside [0, 1], or fewer than 1 bin.
    """
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape or not len(p):
        raise BadInput(f"reliability needs two vectors of one length, at least one row, got {p.shape} and {y.shape}")
    for name, values in (("predicted", p), ("observed", y)):
        if not ((values >= 0) & (values <= 1)).all():
            raise BadInput(f"{name} must be within [0, 1], got values from {values.min():g} to {values.max():g}")
    if bins < 1:
        raise BadInput(f"bins must be at least 1, got {bins}")
    inner = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    at = np.searchsorted(inner, p, side="right")
    count = np.bincount(at).astype(np.float64)
    kept = count > 0
    count_kept = count[kept]

    def mean(values: Floats) -> Floats:
        out: Floats = np.bincount(at, values, minlength=len(count))[kept] / count_kept
        return out

    in_bin, seen = mean(p), mean(y)
    spread = np.maximum(mean(y * y) - seen**2, 0.0)
    share = count_kept / len(p)
    deviation = np.sqrt(spread / count_kept)
    return Reliability(
        predicted=in_bin,
        observed=seen,
        half_width=1.96 * deviation,
        count=count_kept,
        error=float(share @ np.abs(seen - in_bin)),
        chance=float(share @ deviation) * math.sqrt(2.0 / math.pi),
        brier=float(((y - p) ** 2).mean()),
        brier_of_mean=float(y.var()),
    )
