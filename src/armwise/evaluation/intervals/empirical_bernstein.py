"""The empirical Bernstein interval."""

import numpy as np

from armwise.evaluation.feedback import Floats


def empirical_bernstein_radius(variance: Floats, span: float, n: int, level: float) -> Floats:
    """Half the width around a mean of n independent terms, each within a known range of length ``span``.

    Holds at every n, for a sample size fixed beforehand. ``variance`` is the unbiased variance of one term. Two
    one-sided bounds at (1 - level) / 2 each.
    Source: Maurer & Pontil (2009), "Empirical Bernstein bounds and sample variance penalization", theorem 4.
    """
    log_term = np.log(4.0 / (1.0 - level))
    return np.asarray(np.sqrt(2.0 * variance * log_term / n) + 7.0 * span * log_term / (3.0 * max(n - 1, 1)))
