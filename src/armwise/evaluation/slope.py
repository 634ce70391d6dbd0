"""Choosing a threshold from the data: SLOPE, with paired widths.

Su, Srinath & Krishnamurthy (2020), "Adaptive estimator selection for off-policy evaluation", algorithm 1, orders
candidates so that bias grows and the confidence width c falls, and takes the last one whose interval still meets those
of all before it: |V_i - V_j| <= c_i + (sqrt(6) - 1) c_j. Its error is within a constant, about 5.4, of the best one's.

That rule (``slope``) treats candidates as strangers. Ours are weighted means of the very same rows, and the error of a
difference V_i - V_j is known and much smaller than c_i + c_j. ``paired_slope`` keeps the order and the rule of stopping
and asks |V_i - V_j| <= z se(V_i - V_j). ``tune`` uses it; with the published widths clipped weights keep several times
the bias before it is seen (benchmarks/ope.py prints both).
A candidate with threshold t has passed the test against the least biased one, V_0, so its bias is within what that test
can miss, z se(V_t - V_0). ``tune`` gives that back as an allowance, and intervals are widened by it: they then cover at
least as often as they claim.
"""

import numpy as np

from armwise.evaluation.estimators.base import Rows, Tunable
from armwise.evaluation.feedback import Floats
from armwise.evaluation.moments import Scatter

_Z = 1.96
_BLOCK = 1 << 16


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


def tune(estimator: Tunable, rows: Rows) -> tuple[float, float]:
    """A threshold for ``rows`` of a single outcome, and the allowance for its bias."""
    candidates = estimator.candidates(rows.weight)
    n = len(rows.weight)
    moments = Scatter(columns=len(candidates))
    for start in range(0, n, _BLOCK):
        block = rows.part(start, min(start + _BLOCK, n))
        columns = []
        for threshold in candidates:
            terms = estimator.at(threshold).terms(block)
            columns.append((terms.weighted if terms.direct is None else terms.weighted + terms.direct)[:, 0])
        moments.add(np.column_stack(columns))
    covariance = moments.covariance / n
    chosen = paired_slope(moments.mean, covariance)
    spread = covariance[chosen, chosen] + covariance[0, 0] - 2.0 * covariance[chosen, 0]
    return candidates[chosen], _Z * float(np.sqrt(max(spread, 0.0)))
