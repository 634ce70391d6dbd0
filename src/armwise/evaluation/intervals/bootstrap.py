"""The batch bootstrap."""

import numpy as np

from armwise.evaluation.feedback import Floats
from armwise.evaluation.intervals.normal import normal_radius
from armwise.evaluation.moments import Layout, Moments

_CHUNK = 1 << 19


def bootstrap_replicates(moments: Moments, layout: Layout, resamples: int, rng: np.random.Generator) -> Floats:
    """[resamples, cells]: the estimates on resampled batches of neighbouring rows.

    Whole batches are drawn with replacement and every column is summed over the same draw, so the normaliser of a ratio
    is resampled with its numerator, and cells keep their joint distribution (differences, utilities). A thousand
    batches or more make it as good as resampling rows at a thousandth of the work, and batches of neighbours keep
    short-range dependence. Asymptotic, like the normal interval, but it follows the skewness of the estimate.
    Source: Efron (1979); blocks: Kuensch (1989).
    """
    sums = np.column_stack([moments.batch_counts, moments.batch_sums])
    batches = len(sums)
    step = max(1, _CHUNK // batches)
    replicates = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, batches, size=(size, batches), dtype=np.int32)
        drawn += (np.arange(size, dtype=np.int32) * batches)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * batches).reshape(size, batches)
        totals = counts.astype(np.float64) @ sums
        replicates.append(layout.values(totals[:, 1:] / totals[:, :1]))
    return np.concatenate(replicates)


def percentile_bounds(
    replicates: Floats, centre: Floats, spread: Floats, standard_error: Floats, bias: Floats, level: float
) -> tuple[Floats, Floats]:
    """[cells] bounds from replicates [resamples, cells] around ``centre``.

    Resampling rows repeats the sample's own ``spread``, which misses a tail that was not drawn; where the standard
    error is known better (:mod:`armwise.evaluation.design`) the percentiles are stretched to it, and as far as a bias
    would widen the normal interval.
    """
    tail = (1.0 - level) / 2
    lower, upper = np.nanquantile(replicates, [tail, 1.0 - tail], axis=0)
    plain = normal_radius(spread, level)
    wider = np.divide(normal_radius(standard_error, level, bias), plain, out=np.ones_like(plain), where=plain > 0)
    return np.asarray(centre + (lower - centre) * wider), np.asarray(centre + (upper - centre) * wider)
