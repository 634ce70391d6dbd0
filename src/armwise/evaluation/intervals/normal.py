"""The normal interval."""

import numpy as np
from scipy.special import ndtri

from armwise.evaluation.feedback import Floats


def normal_radius(standard_error: Floats, level: float) -> Floats:
    """Half the width of the central-limit interval.

    Asymptotic: right when many rows share the weight (see effective sample size), too narrow when few carry it.
    """
    return np.asarray(ndtri(0.5 + level / 2) * standard_error)
