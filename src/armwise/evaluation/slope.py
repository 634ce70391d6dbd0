"""Choosing a threshold from the data: SLOPE with paired widths, and the interval that goes with it.

Su, Srinath & Krishnamurthy (2020), "Adaptive estimator selection for off-policy evaluation", algorithm 1, orders
candidates so that bias grows and the confidence width c falls, and takes the last one whose interval still meets those
of all before it: |V_i - V_j| <= c_i + (sqrt(6) - 1) c_j. Its error is within a constant, about 5.4, of the best one's.

That rule (``slope``) treats candidates as strangers. Ours are weighted means of the very same rows, and the error of a
difference V_i - V_j is known and much smaller than c_i + c_j. ``paired_slope`` keeps the order and the rule of stopping
and asks |V_i - V_j| <= z se(V_i - V_j). With the published widths clipped weights keep several times the bias before it
is seen (benchmarks/ope.py prints both).

What SLOPE gains is error, not width: no interval that holds whatever the bias can be much shorter than that of the
least biased candidate (Low 1997). So the value is SLOPE's, and the interval that of the *reference*: the least shrunk
threshold at which REFERENCE_ROWS rows carry the variance, which the central limit needs. It is found from weights
alone, so that no outcome has a say in it; SLOPE starts from there. What the reference gives up is known too: ``lost``,
the share of the target's probability that its weights no longer speak for. There the bias is the error of the model
(without one, the outcome itself), which is taken to be no larger than what is seen of it on the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from armwise.evaluation.estimators.base import Rows, Tunable
from armwise.evaluation.feedback import Floats
from armwise.evaluation.moments import Scatter

REFERENCE_ROWS = 10.0
"""(sum f^2)^2 / sum f^4: the excess kurtosis of a mean is at most about one over this."""

_Z = 1.96


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What was chosen for one target and outcome.

    Attributes:
        threshold: SLOPE's.
        reference: the threshold whose interval is given.
        shift: the value at ``threshold`` less that at ``reference``.
        lost: share of the target's probability that the reference's weights leave out.
        error: what the correction is on average where they do not.
    """

    threshold: float
    reference: float
    shift: float
    lost: float
    error: float

    def bias(self, standard_error: float, z: float) -> float:
        """How far the reference may be off by what it leaves out."""
        return self.lost * (abs(self.error) + z * standard_error / max(1.0 - self.lost, 1e-9))


def slope(estimates: Floats, widths: Floats) -> int:
    """The index chosen by the published rule; both [c], from least to most biased."""
    factor = np.sqrt(6.0) - 1.0
    for i in range(1, len(estimates)):
        gap = np.abs(estimates[i] - estimates[:i])
        if (gap > widths[i] + factor * widths[:i]).any():
            return i - 1
    return len(estimates) - 1


def paired_slope(estimates: Floats, covariance: Floats, *, z: float = _Z) -> int:
    """The index chosen with paired widths; estimates [c] from least to most biased, and their covariance [c, c]."""
    variance = np.diag(covariance)
    for i in range(1, len(estimates)):
        gap = np.abs(estimates[i] - estimates[:i])
        spread = np.sqrt(np.maximum(variance[i] + variance[:i] - 2.0 * covariance[i, :i], 0.0))
        if (gap > z * spread + 1e-12).any():
            return i - 1
    return len(estimates) - 1


class Tuner:
    """Finds the thresholds of one target, one for each outcome, in passes over its rows.

    First as many passes of ``look`` and ``step`` as it takes until it is ``settled`` on the reference, which is usually
    one; then one of ``add``; then ``tunings``.

    Args:
        rule: the estimator.
        weight: [n], the weights at the drawn arms of all rows.
        outcomes: m.
        thresholds: from least to most biased; by default, those that the rule holds worth trying.
    """

    def __init__(self, rule: Tunable, weight: Floats, outcomes: int, thresholds: Sequence[float] | None = None) -> None:
        self._rule, self._rows, self._outcomes = rule, len(weight), outcomes
        self._thresholds = list(rule.candidates(weight) if thresholds is None else thresholds)
        self._at = 0
        self._second = self._fourth = 0.0
        self.settled = len(self._thresholds) == 1
        self._start()

    def _start(self) -> None:
        self._rules = [self._rule.at(threshold) for threshold in self._thresholds[self._at :]]
        self._moments = [Scatter(columns=len(self._rules)) for _ in range(self._outcomes)]
        self._corrected, self._kept = np.zeros(self._outcomes), np.zeros(self._outcomes)
        self._lost = 0.0

    @property
    def reference(self) -> float:
        """The least shrunk threshold, as far as is known, at which enough rows carry the variance."""
        return self._thresholds[self._at]

    def look(self, weight: Floats, probability: Floats) -> None:
        """Add a block to what says how many rows carry the variance at ``reference``.

        Args:
            weight: [b, K] of every arm, or [b] of the drawn one where no more is known.
            probability: with which each would be drawn; ones for drawn ones.
        """
        square = self._rules[0].weigh(weight) ** 2
        self._second += float((probability * square).sum())
        self._fourth += float((probability * square * square).sum())

    @property
    def carrying(self) -> float:
        """How many rows carry the variance at ``reference``, by the blocks that were looked at."""
        return self._second * self._second / self._fourth if self._fourth > 0 else 0.0

    def step(self) -> None:
        """At the end of a pass: settle on this reference, or go on to the next threshold."""
        last = self._at == len(self._thresholds) - 1
        self.settled = last or self.carrying >= REFERENCE_ROWS
        if not self.settled:
            self._at += 1
            self.settled = self._at == len(self._thresholds) - 1
            self._second = self._fourth = 0.0
            self._start()

    def add(self, rows: Rows, weight: Floats, probability: Floats) -> None:
        """Add a block to what the choice is made by; ``weight`` and ``probability`` as of ``look``."""
        self._lost += float((probability * np.abs(weight - self._rules[0].weigh(weight))).sum())
        kept = self._rules[0].weigh(rows.weight)
        terms = [rule.terms(rows) for rule in self._rules]
        for j in range(self._outcomes):
            self._moments[j].add(
                np.column_stack(
                    [t.weighted[:, j] if t.direct is None else (t.weighted + t.direct)[:, j] for t in terms]
                )
            )
            self._corrected[j] += float(terms[0].weighted[:, j].sum())
            self._kept[j] += float(kept @ np.broadcast_to(rows.observation, rows.outcome.shape)[:, j])

    def tunings(self) -> list[Tuning]:
        """What was chosen for each outcome."""
        return [self._tuning(j) for j in range(self._outcomes)]

    def _tuning(self, j: int) -> Tuning:
        moments = self._moments[j]
        chosen = paired_slope(moments.mean, moments.covariance / self._rows)
        return Tuning(
            threshold=self._thresholds[self._at + chosen],
            reference=self.reference,
            shift=float(moments.mean[chosen] - moments.mean[0]),
            lost=min(self._lost / self._rows, 1.0),
            error=float(self._corrected[j] / self._kept[j]) if self._kept[j] > 0 else 0.0,
        )
