"""Objectives, and the pacers that turn them into exchange rates: how many points of quality a dollar is worth now."""

from armwise.pacing.base import DAY, Pacer, chosen_usd, expected_usd
from armwise.pacing.constant import ConstantTrade
from armwise.pacing.evidence import Evidence, FloorReport
from armwise.pacing.floor import QualityFloor
from armwise.pacing.make import make_pacer
from armwise.pacing.objective import Objective
from armwise.pacing.report import BudgetReport
from armwise.pacing.spend import EACH, SpendPacer

__all__ = [
    "DAY",
    "EACH",
    "BudgetReport",
    "ConstantTrade",
    "Evidence",
    "FloorReport",
    "Objective",
    "Pacer",
    "QualityFloor",
    "SpendPacer",
    "chosen_usd",
    "expected_usd",
    "make_pacer",
]
