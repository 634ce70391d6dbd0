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

from dataclasses import dataclass

import numpy as np

from armwise.evaluation.estimators.base import Rows, Tunable
from armwise.evaluation.feedback import Floats
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """The weights of one target as far as they are known, and their probabilities.

    Attributes:
        weight: [n, K] of every arm, or [n] of the drawn one alone.
        probability: [n, K], with which each would be drawn; None for drawn ones.
    """

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

    def lost(self, rule: Tunable) -> float:
        """Mean over rows of sum_a |pi - p f(w)|: 0 when every weight is left as it is."""
        total = sum(float((p * np.abs(weight - rule.weigh(weight))).sum()) for weight, p in self._blocks())
        return min(total / len(self.weight), 1.0)

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
    corrected = kept = 0.0
    for at in range(0, n, _BLOCK):
        block = rows.part(at, min(at + _BLOCK, n))
        terms = [rule.terms(block) for rule in rules]
        moments.add(np.column_stack([(t.weighted if t.direct is None else t.weighted + t.direct)[:, 0] for t in terms]))
        corrected += float(terms[0].weighted.sum())
        kept += float((rules[0].weigh(block.weight) * block.observation[:, 0]).sum())
    chosen = paired_slope(moments.mean, moments.covariance / n)
    return Tuning(
        threshold=candidates[start + chosen],
        reference=candidates[start],
        shift=float(moments.mean[chosen] - moments.mean[0]),
        lost=tail.lost(rules[0]),
        error=corrected / kept if kept > 0 else 0.0,
    )
