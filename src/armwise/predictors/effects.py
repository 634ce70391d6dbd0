"""Arithmetic of normal effects, each with mean (d,) and covariance (d, d): scores, and what a lesson changes.

A score is a sum of effects, sum over e of s[e] * (mean[e] . x), of variance sum over e of s[e]^2 * x' C[e] x.
The compiled kernel (``_effects.c``) does in one call what takes numpy a dozen; where there was no compiler when armwise
was installed, numpy serves. The two agree to rounding, not to the last bit.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from armwise.arrays import subtract_outer
from armwise.contracts import Vector

try:
    import armwise.predictors._effects as kernel
except ImportError:  # not built
    kernel = None  # type: ignore[assignment]  # the fallback is chosen by COMPILED

COMPILED: Final = kernel is not None

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


def scores(
    mean: Numbers, covariance: Numbers, loading: Numbers, squared: Numbers, context: Vector
) -> tuple[Vector, Vector]:
    """Mean and variance of each arm's score; shape (arms,) each.

    Args:
        mean, covariance: of E effects, shapes (E, d) and (E, d, d); each covariance symmetric.
        loading, squared: shape (arms, E): the strengths, and their squares where the variance counts.
        context: shape (d,).
    """
    if not COMPILED:
        return scores_by_numpy(mean, covariance, loading, squared, context)
    out = np.empty((2, len(loading)))
    kernel.scores(mean, covariance, loading, squared, np.ascontiguousarray(context), out)
    return out[0], out[1]


def scores_by_numpy(
    mean: Numbers, covariance: Numbers, loading: Numbers, squared: Numbers, context: Vector
) -> tuple[Vector, Vector]:
    """:func:`scores` without the compiled kernel."""
    rows = covariance.reshape(-1, mean.shape[1])  # one long product is faster than many short ones
    return loading @ (mean @ context), squared @ ((rows @ context).reshape(mean.shape) @ context)


def gains(
    mean: Numbers, covariance: Numbers, of: Places, strengths: Vector, context: Vector
) -> tuple[float, float, Numbers]:
    """Mean and variance of the score made of some effects, and each one's strength * C x; shape (len(of), d)."""
    if not COMPILED:
        return gains_by_numpy(mean, covariance, of, strengths, context)
    out = np.empty((len(of), mean.shape[1]))
    score, variance = kernel.gains(mean, covariance, of, strengths, np.ascontiguousarray(context), out)
    return score, variance, out


def gains_by_numpy(
    mean: Numbers, covariance: Numbers, of: Places, strengths: Vector, context: Vector
) -> tuple[float, float, Numbers]:
    """:func:`gains` without the compiled kernel."""
    out = np.array([(covariance[e] @ context) * strength for e, strength in zip(of, strengths, strict=True)])
    return float(strengths @ (mean[of] @ context)), float(strengths @ (out @ context)), out


def absorb(mean: Numbers, covariance: Numbers, of: Places, gained: Numbers, shrink: float, step: float) -> None:
    """C -= shrink * g g' and mean += step * g for the gains g of some effects, in place."""
    if COMPILED:
        kernel.absorb(mean, covariance, of, gained, shrink, step)
    else:
        absorb_by_numpy(mean, covariance, of, gained, shrink, step)


def absorb_by_numpy(
    mean: Numbers, covariance: Numbers, of: Places, gained: Numbers, shrink: float, step: float
) -> None:
    """:func:`absorb` without the compiled kernel."""
    for effect, gain in zip(of, gained, strict=True):
        if shrink:
            subtract_outer(covariance[effect], gain, shrink)
        mean[effect] += gain * step
