"""How far each source stretches or compresses the scale of quality.

Two sources alone cannot tell a smaller scale from less noise: both make reports differ less. Arms can. Over an arm's
answers errors average out, so what the arms' mean reports differ by is quality, and the ratio of two sources'
deviations between arms is the ratio of their scales: errors in variables resolved by groups (Wald 1940), with the
reduced major axis, which treats both sources alike. What noise is left in the arms' means is subtracted as in the
analysis of variance (of unweighted means, for a bandit's arms are of unequal size).

The logarithm of each ratio is a difference of log scales, known up to an error that comes from few arms more than from
few reports; least squares combines the pairs, shrunk towards 1. A stretch that is common to all cannot be seen, as a
common bias cannot: the scale is that of sources that are exact or were set by anchors, where there are any, else that
of whoever tells most (weighted by variance between arms over variance within).

It stops being right where a source prefers some arms for other reasons than quality; the variance given allows for that
as far as it shows in the correlation between arms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

_LEAST_ARMS = 3
_LEAST_REPORTS = 5
"""Of an arm, for its mean to be used."""


class Moments(NamedTuple):
    """Sums over the decisions that two sources speak of: how many, reports of each, their squares, their product."""

    decisions: float = 0.0
    first: float = 0.0
    second: float = 0.0
    first_squared: float = 0.0
    second_squared: float = 0.0
    product: float = 0.0

    def plus(self, sign: float, first: float, second: float) -> Moments:
        """With one more decision, or, where ``sign`` is -1, with one less."""
        return Moments(
            self.decisions + sign,
            self.first + sign * first,
            self.second + sign * second,
            self.first_squared + sign * first * first,
            self.second_squared + sign * second * second,
            self.product + sign * first * second,
        )


class Scale(NamedTuple):
    """How sources are to be read so that all are on one scale."""

    slope: np.ndarray
    """Of each source's reports, shape (sources,)."""
    variance: np.ndarray
    """Of the logarithm of the ratio of the slopes of each pair, shape (pairs,)."""


class Ratio(NamedTuple):
    """How much wider the first source's scale is than the second's."""

    log: float
    variance: float
    """Of ``log``, by the delta method."""
    tells: tuple[float, float]
    """Variance between arms over variance within, of each source."""


def ratio(groups: Mapping[str, Moments]) -> Ratio | None:
    """The ratio of two sources' scales from their reports by arm; None where the arms do not show it."""
    arms = np.array([moments for moments in groups.values() if moments.decisions >= _LEAST_REPORTS])
    if len(arms) < _LEAST_ARMS:
        return None
    count = arms[:, :1]
    means = arms[:, 1:3] / count
    within = (arms[:, 3:5] - count * means * means).sum(axis=0) / (count.sum() - len(arms))
    noise = np.maximum(within, 0.0) * float((1.0 / count).mean())  # variance of an arm's mean that is not quality
    between = np.cov(means.T)
    signal = np.diag(between) - noise
    if signal.min() <= 0.0 or between[0, 1] <= 0.0:
        return None
    correlation = between[0, 1] ** 2 / (between[0, 0] * between[1, 1])
    first, second = np.diag(between) / signal
    freedom = 2.0 * (len(arms) - 1)
    variance = (first**2 + second**2 - 2.0 * first * second * correlation) / freedom
    tells = signal / np.maximum(within, 1e-6)
    return Ratio(0.5 * math.log(signal[0] / signal[1]), max(float(variance), 1e-6), (float(tells[0]), float(tells[1])))


def common_scale(
    pairs: Sequence[Mapping[str, Moments]],
    left: np.ndarray,
    right: np.ndarray,
    center: np.ndarray,
    declared: np.ndarray,
    settled: np.ndarray,
    spread: float,
) -> Scale:
    """The slope by which each source's reports are to be read.

    Args:
        pairs: for each pair of sources, arm -> moments.
        left: number of the first source of each pair; ``right``: of the second.
        center: the slope at which each source is held while nothing is seen.
        declared: variance that each source declares; 0 is exact, and keeps its slope.
        settled: whose scale is known: the others' is brought to it.
        spread: standard deviation of the logarithm of a source's scale, before anything is seen.
    """
    found = [(s, t, seen) for s, t, groups in zip(left, right, pairs, strict=True) if (seen := ratio(groups))]
    prior = np.where(declared > 0.0, 1.0 / max(spread, 1e-4) ** 2, 1e8)
    held = -np.log(center)  # of a source's scale: the inverse of the slope by which it is read
    system, target, tells = np.diag(prior), prior * held, np.zeros(len(center))
    for s, t, seen in found:
        weight = 1.0 / seen.variance
        system[s, s] += weight
        system[t, t] += weight
        system[s, t] -= weight
        system[t, s] -= weight
        target[s] += weight * seen.log
        target[t] -= weight * seen.log
        tells[[s, t]] += seen.tells
    scale = np.linalg.solve(system, target)
    for joined in _components(len(center), found):
        weight = settled[joined].astype(float) if settled[joined].any() else tells[joined]
        if weight.sum() > 0.0:
            scale[joined] -= weight @ (scale - held)[joined] / weight.sum()
    error = np.linalg.inv(system)
    return Scale(np.exp(-scale), error[left, left] + error[right, right] - 2.0 * error[left, right])


def _components(sources: int, found: Sequence[tuple[int, int, Ratio]]) -> list[np.ndarray]:
    """Sources whose scales are compared with each other, directly or through others."""
    of = np.arange(sources)
    for s, t, _ in found:
        of[of == of[t]] = of[s]
    return [np.flatnonzero(of == one) for one in np.unique(of)]
