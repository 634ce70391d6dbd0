"""The marginals of Thompson sampling: for each arm, the probability that its sampled utility is the highest.

With disjoint arms, to sample weights is to sample scores z ~ N(m, s^2), so that probability is a one-dimensional
integral: of the arm's density times the others' distribution functions, over utility. It is taken on a grid laid over
the utilities at which the best can lie, from the highest of the lower ends to the highest of the upper ends; between
two nodes the others' distribution functions are averaged.

The compiled kernel (``_marginals.c``) computes the same some five times faster; where no compiler was at hand when
armwise was installed, numpy serves. The two agree to about 1e-8, not to the last bit.
"""

from typing import Final

import numpy as np
from scipy.special import ndtr

from armwise.arrays import sigmoid
from armwise.contracts import Posterior, Vector
from armwise.policies.base import one_hot

try:
    from armwise.policies._marginals import best_arm
except ImportError:  # not built
    best_arm = None  # type: ignore[assignment]  # the fallback is chosen by COMPILED

COMPILED: Final = best_arm is not None

_ENDS = np.array([[-4.0], [4.0]])
"""Deviations beyond which a normal belief is taken to be nothing."""


def best_arm_probabilities(belief: Posterior, penalty: Vector, nodes: int) -> Vector:
    """Probability that each arm's sampled utility is the highest; shape (arms,), sums to one.

    Args:
        belief: about each arm's score; deviations of zero are allowed. Where nothing is left open, the best mean
            takes all.
        penalty: what cost and latency take off each arm's quality; shape (arms,).
        nodes: intervals of the grid.
    """
    if not COMPILED:
        return by_numpy(belief, penalty, nodes)
    probabilities = np.empty(len(penalty))
    best_arm(belief.mean, belief.deviation, penalty, probabilities, nodes, belief.logit)
    return probabilities


def by_numpy(belief: Posterior, penalty: Vector, nodes: int) -> Vector:
    """:func:`best_arm_probabilities` without the compiled kernel."""
    ends = belief.mean + _ENDS * belief.deviation
    if belief.logit:
        ends = sigmoid(ends)
    ends -= penalty
    start, stop = np.maximum.reduce(ends, axis=1).tolist()
    if not stop - start > 1e-12:
        return one_hot(int((ends[0] + ends[1]).argmax()), len(penalty))
    level = np.linspace(start, stop, nodes + 1) + penalty[:, None]  # (arms, nodes + 1): the quality of a utility
    if belief.logit:
        np.clip(level, 1e-9, 1.0 - 1e-9, out=level)
        level = np.log(level / (1.0 - level))
    level -= belief.mean[:, None]
    level /= np.maximum(belief.deviation, 1e-9)[:, None]
    below = np.maximum(ndtr(level), 1e-12)
    below[:, -1] = 1.0
    others = np.multiply.reduce(below, axis=0) / below
    probabilities: Vector = np.einsum("ij,ij->i", np.diff(below), others[:, 1:] + others[:, :-1])
    probabilities /= np.add.reduce(probabilities)
    return probabilities
