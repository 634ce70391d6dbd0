"""Intervals, one kind a file. Each says how far its guarantee reaches."""

from armwise.evaluation.intervals.betting import betting_bounds, betting_lower_bound
from armwise.evaluation.intervals.bootstrap import bootstrap_replicates, percentile_bounds
from armwise.evaluation.intervals.empirical_bernstein import empirical_bernstein_radius
from armwise.evaluation.intervals.normal import normal_radius
from armwise.evaluation.intervals.sequences import RunningMean, SequentialComparison, confidence_sequence

INTERVALS = ("normal", "bootstrap", "empirical_bernstein", "betting")
"""Names that ``evaluate`` takes."""

__all__ = [
    "INTERVALS",
    "RunningMean",
    "SequentialComparison",
    "betting_bounds",
    "betting_lower_bound",
    "bootstrap_replicates",
    "confidence_sequence",
    "empirical_bernstein_radius",
    "normal_radius",
    "percentile_bounds",
]
