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
(without one, the outcome itself), which is taken to be no larger than what the arm's own draws show of it, within their
error: a log that has settled knows little of its rare arms, and then the interval is wide.
"""

from dataclasses import dataclass

import numpy as np

from armwise.evaluation.estimators.base import Rows, Tunable
from armwise.evaluation.feedback import Floats, Ints
from armwise.evaluation.moments import Scatter

REFERENCE_ROWS = 10.0
"""(sum f^2)^2 / sum f^4: the excess kurtosis of a mean is at most about one over this."""

_Z = 1.96
_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What was chosen for one target and outcome.

    Attributes:
        threshold: SLOPE's.
        reference: the threshold whose interval is given.
        shift: the value at ``threshold`` less that at ``reference``.
        lost: share of the target's probability that the reference's weights leave out.
        bias: how far the reference may be off by that.
    """

    threshold: float
    reference: float
    shift: float
    lost: float
    bias: float


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """The weights of one target as far as they are known, and their probabilities.

    Attributes:
        arms: K.
        arm: [n], drawn.
        weight: [n, K] of every arm, or [n] of the drawn one alone.
        probability: [n, K], with which each would be drawn; None for drawn ones.
    """

    arms: int
    arm: Ints
    weight: Floats
    probability: Floats | None = None

    def spread(self, rule: Tunable) -> float:
        """How many rows carry the variance."""
        second = fourth = 0.0
        for weight, p in self._blocks():
            square = rule.weigh(weight) ** 2
            second += float((p * square).sum())
            fourth += float((p * square * square).sum())
        return second * second / fourth if fourth > 0 else 0.0

    def lost(self, rule: Tunable) -> Floats:
        """[K], mean over rows of |pi - p f(w)|: 0 when every weight is left as it is."""
        if self.probability is None:
            gone = np.abs(self.weight - rule.weigh(self.weight))
            return np.bincount(self.arm, gone, minlength=self.arms) / len(gone)
        parts = [(p * np.abs(weight - rule.weigh(weight))).sum(axis=0) for weight, p in self._blocks()]
        return np.asarray(np.sum(parts, axis=0) / len(self.weight))

    def error(self, rule: Tunable, rows: Rows) -> Floats:
        """[K], how far the mean correction of each arm may be from 0; of an arm that was never drawn, as of one row."""
        used = rule.weigh(rows.weight) * rows.observation[:, 0]
        terms = rule.terms(rows).weighted[:, 0]
        kept, off, square = (np.bincount(self.arm, x, minlength=self.arms) for x in (used, terms, terms * terms))
        one_row = np.sqrt(square.sum() / max(float((used * used).sum()), 1e-300))
        seen = kept > 0
        divisor = np.where(seen, kept, 1.0)
        return np.where(seen, (np.abs(off) + _Z * np.sqrt(square)) / divisor, _Z * one_row)

    def reference(self, rule: Tunable, thresholds: list[float]) -> int:
        """Index of the first threshold, from the least shrunk, at which enough rows carry the variance."""
        for i, threshold in enumerate(thresholds):
            if self.spread(rule.at(threshold)) >= REFERENCE_ROWS:
                return i
        return len(thresholds) - 1

    def _blocks(self) -> list[tuple[Floats, Floats]]:
        cuts = [slice(start, start + _BLOCK) for start in range(0, len(self.weight), _BLOCK)]
        return [(self.weight[cut], np.ones(1) if self.probability is None else self.probability[cut]) for cut in cuts]


def tune(estimator: Tunable, rows: Rows, tail: Tail) -> Tuning:
    """Thresholds for ``rows`` of a single outcome."""
    candidates = estimator.candidates(rows.weight)
    start = tail.reference(estimator, candidates)
    rules = [estimator.at(threshold) for threshold in candidates[start:]]
    n = len(rows.weight)
    moments = Scatter(columns=len(rules))
    for at in range(0, n, _BLOCK):
        block = rows.part(at, min(at + _BLOCK, n))
        terms = [rule.terms(block) for rule in rules]
        moments.add(np.column_stack([(t.weighted if t.direct is None else t.weighted + t.direct)[:, 0] for t in terms]))
    chosen = paired_slope(moments.mean, moments.covariance / n)
    lost = tail.lost(rules[0])
    return Tuning(
        threshold=candidates[start + chosen],
        reference=candidates[start],
        shift=float(moments.mean[chosen] - moments.mean[0]),
        lost=min(float(lost.sum()), 1.0),
        bias=float(lost @ tail.error(rules[0], rows)),
    )
