"""Anytime-valid bounds on the mean of non-negative terms, by betting.

A gambler with one unit bets against "the mean is v": her capital after n terms is prod(1 + b (y_i - v)) for a stake b.
Were the mean v, capital would be a non-negative martingale and would ever reach 1/alpha with probability alpha at most
(Ville). Every v at which it did is rejected, at any stopping time, by an analyst who looks at every step.

Stakes are a fixed mixture of constants, b = 0.9 / 2^l: no variance has to be guessed, terms need no upper bound (heavy
importance weights only ever help her), and capital falls in v, so the rejected set is an interval, found by bisection.
The unbounded side is why both bounds of a policy value are had as lower bounds: one of w r, one of w (1 - r), whose
means are v and 1 - v.
Sources: Waudby-Smith & Ramdas (2023), "Estimating means of bounded random variables by betting", section 4;
Karampatziakis, Mineiro & Ramdas (2021), "Off-policy confidence sequences"; Waudby-Smith, Wu, Ramdas, Karampatziakis &
Mineiro (2022), "Anytime-valid off-policy inference for contextual bandits", section 2.
Where it stops: terms must have one and the same conditional mean given the past. For a drifting mean use
``confidence_sequence``, which bounds the running average.
"""

import numpy as np

from armwise.evaluation.feedback import Floats

STAKES = 0.9 / 2.0 ** np.arange(14)
"""Smallest 1.1e-4: enough for n * variance up to about 1e9."""

LOG_PRIOR = -np.log(float(len(STAKES)))

_GROUP = 16


def log_capital(terms: Floats, value: float) -> float:
    """Log of the mixed capital against a mean of ``value`` in [0, 1]; terms [n], all >= 0."""
    return float(np.logaddexp.reduce(_log_growth(terms - value)) + LOG_PRIOR)


def _log_growth(excess: Floats) -> Floats:
    # Products of 16 factors before one logarithm: factors lie within [0.1, 1 + 0.9 max], far from overflow.
    whole = len(excess) - len(excess) % _GROUP
    grouped, rest = excess[:whole].reshape(-1, _GROUP), excess[whole:]
    growth = np.empty(len(STAKES))
    for i, stake in enumerate(STAKES):
        product = np.multiply.reduce(1.0 + stake * grouped, axis=1)
        growth[i] = np.log(product).sum() + np.log1p(stake * rest).sum()
    return growth


def betting_lower_bound(terms: Floats, alpha: float, *, tolerance: float = 1e-5) -> float:
    """The largest v in [0, 1] that is rejected at level alpha (0 when none is): the mean of ``terms`` lies above it.

    ``terms`` [n] >= 0 with mean in [0, 1], in the order in which they came.
    """
    need = -np.log(alpha)
    if log_capital(terms, 0.0) < need:
        return 0.0
    low, high = 0.0, min(1.0, float(terms.mean()))
    if log_capital(terms, high) >= need:  # the mean itself above one: everything below is rejected
        return high
    while high - low > tolerance:
        middle = (low + high) / 2
        if log_capital(terms, middle) >= need:
            low = middle
        else:
            high = middle
    return low


def betting_bounds(lower_terms: Floats, upper_terms: Floats, level: float) -> tuple[float, float]:
    """Bounds on v from terms with mean v and terms with mean 1 - v, each at half the error."""
    alpha = (1.0 - level) / 2
    return betting_lower_bound(lower_terms, alpha), 1.0 - betting_lower_bound(upper_terms, alpha)
