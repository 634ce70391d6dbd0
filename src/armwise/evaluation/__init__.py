"""Off-policy evaluation: what another policy would have achieved, from the log alone, with intervals that hold.

Arrays in, numbers out: no I/O, no clock, no global random state.

    feedback = LoggedFeedback(arms=("small", "large"), arm=arm, propensity=p, outcomes={"quality": q, "cost_usd": c})
    result = evaluate(feedback, {"candidate": probabilities}, estimator="dr")
    result.estimate("candidate", "quality"), result.difference("candidate", outcome="cost_usd")
    result.combine({"quality": 1.0, "cost_usd": -cost_weight / c_ref}, "candidate", versus="logging")
    result.verdict("candidate")
"""

from armwise.evaluation.blocks import Blocks
from armwise.evaluation.delay import arrival_probability
from armwise.evaluation.diagnostics import (
    CalibrationTest,
    Diagnosis,
    Finding,
    PropensityCalibration,
    Reliability,
    Thresholds,
    Verdict,
    WeightDiagnostics,
    pareto_k,
    propensity_calibration,
    reliability,
)
from armwise.evaluation.estimators import (
    DR,
    ESTIMATORS,
    IPS,
    MRDR,
    SNDR,
    SNIPS,
    ClippedIPS,
    DirectMethod,
    DROptimisticShrinkage,
    Estimator,
    Replay,
    SubGaussianIPS,
    SwitchDR,
)
from armwise.evaluation.evaluate import evaluate, evaluate_blocks
from armwise.evaluation.feedback import LOGGING, LoggedFeedback
from armwise.evaluation.intervals import INTERVALS, RunningMean, SequentialComparison, confidence_sequence
from armwise.evaluation.outcome_models import (
    OUTCOME_MODELS,
    OutcomeModel,
    OutcomePredictions,
    RidgeOutcome,
    VWOutcome,
    cross_fit,
)
from armwise.evaluation.result import Estimate, Evaluation
from armwise.evaluation.streaming import StreamingEvaluation
from armwise.evaluation.targets import TargetPolicy

__all__ = [
    "DR",
    "ESTIMATORS",
    "INTERVALS",
    "IPS",
    "LOGGING",
    "MRDR",
    "OUTCOME_MODELS",
    "SNDR",
    "SNIPS",
    "Blocks",
    "CalibrationTest",
    "ClippedIPS",
    "DROptimisticShrinkage",
    "Diagnosis",
    "DirectMethod",
    "Estimate",
    "Estimator",
    "Evaluation",
    "Finding",
    "LoggedFeedback",
    "OutcomeModel",
    "OutcomePredictions",
    "PropensityCalibration",
    "Reliability",
    "Replay",
    "RidgeOutcome",
    "RunningMean",
    "SequentialComparison",
    "StreamingEvaluation",
    "SubGaussianIPS",
    "SwitchDR",
    "TargetPolicy",
    "Thresholds",
    "VWOutcome",
    "Verdict",
    "WeightDiagnostics",
    "arrival_probability",
    "confidence_sequence",
    "cross_fit",
    "evaluate",
    "evaluate_blocks",
    "pareto_k",
    "propensity_calibration",
    "reliability",
]
