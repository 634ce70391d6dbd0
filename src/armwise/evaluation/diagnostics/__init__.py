"""What stops a wrong answer: weights, overlap, the truth of the propensities, and a verdict."""

from armwise.evaluation.diagnostics.calibration import CalibrationTest, PropensityCalibration, propensity_calibration
from armwise.evaluation.diagnostics.overlap import ArmOverlap, OverlapSums, SliceOverlap
from armwise.evaluation.diagnostics.reliability import Reliability, reliability
from armwise.evaluation.diagnostics.verdict import Diagnosis, Finding, Thresholds, Verdict, judge
from armwise.evaluation.diagnostics.weights import WeightDiagnostics, WeightSums, pareto_k

__all__ = [
    "ArmOverlap",
    "CalibrationTest",
    "Diagnosis",
    "Finding",
    "OverlapSums",
    "PropensityCalibration",
    "Reliability",
    "SliceOverlap",
    "Thresholds",
    "Verdict",
    "WeightDiagnostics",
    "WeightSums",
    "judge",
    "pareto_k",
    "propensity_calibration",
    "reliability",
]
