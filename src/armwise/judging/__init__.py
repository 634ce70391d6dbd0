"""Judges: answers graded in the background, on a budget, by judges that are themselves watched.

=====================  ==============================================================================================
``bench``              the judges at work: draws, queue, reports
``case``               what a judge is shown and what it says
``pointwise``          a model grades by a rubric, with a right answer beside it or without
``pairwise``           a model compares two answers in both orders
``checks``             judges without a model: exact, pattern, schema, number, code, your own function
``sandbox``            where a stranger's code runs
``sampling``           which decisions are judged, with what probability
``anchors``, ``drift`` whether a judge still grades as it did
``bias``               what a judge likes besides quality
=====================  ==============================================================================================
"""

from armwise.judging.anchors import Anchor, load_anchors
from armwise.judging.asking import Asking
from armwise.judging.bench import Bench, Seat
from armwise.judging.bias import LengthBias, PositionBias
from armwise.judging.case import Case, Judge, JudgeFailed, Verdict
from armwise.judging.drift import DriftGuard, Finding, Phase
from armwise.judging.pairwise import PairwiseJudge
from armwise.judging.pointwise import PointwiseJudge
from armwise.judging.sampling import JudgeSampler, drawn, uncertainty

__all__ = [
    "Anchor",
    "Asking",
    "Bench",
    "Case",
    "DriftGuard",
    "Finding",
    "Judge",
    "JudgeFailed",
    "JudgeSampler",
    "LengthBias",
    "PairwiseJudge",
    "Phase",
    "PointwiseJudge",
    "PositionBias",
    "Seat",
    "Verdict",
    "drawn",
    "load_anchors",
    "uncertainty",
]
