"""The normal interval."""

import numpy as np
from scipy.special import chndtrix, ndtri

from armwise.evaluation.feedback import Floats

_FAR = 6.0


def normal_radius(standard_error: Floats, level: float, bias: float | Floats = 0.0) -> Floats:
    """Half the width of the central-limit interval, for an estimate whose bias is at most ``bias`` either way.

    Asymptotic: right when many rows share the weight (see effective sample size). A bound on the bias need not be added
    in full: the critical value is the quantile of |N(bias / standard_error, 1)|.
    Source of the latter: Armstrong & Kolesar (2018), "Optimal inference in a class of regression models", section 2.
    """
    error = np.asarray(standard_error, dtype=np.float64)
    ratio = np.divide(bias, error, out=np.full(np.broadcast(bias, error).shape, np.inf), where=error > 0)
    near = np.sqrt(chndtrix(level, 1.0, np.minimum(ratio, _FAR) ** 2))
    far = bias + ndtri(level) * error
    return np.asarray(
        np.where(np.asarray(bias) == 0.0, ndtri(0.5 + level / 2) * error, np.where(ratio < _FAR, near * error, far))
    )
