"""From an objective to the pacer that serves it."""

from __future__ import annotations

from armwise.contracts import Trade
from armwise.pacing.constant import ConstantTrade
from armwise.pacing.floor import QualityFloor
from armwise.pacing.objective import Objective
from armwise.pacing.spend import Base, SpendPacer


def make_pacer(objective: Objective, *, cost_ref_usd: float, budgets: bool = True) -> SpendPacer:
    """The pacer that serves an objective, under its budgets.

    Args:
        cost_ref_usd: the cost that weights are per, where the objective gives none.
        budgets: whether they are in force at once; or are set by events, as a log has them.
    """
    cost_ref_usd = objective.cost_ref_usd or objective.spend_usd_per_request or cost_ref_usd
    return SpendPacer(_base(objective, cost_ref_usd), objective.all_budgets if budgets else ())


def _base(objective: Objective, cost_ref_usd: float) -> Base:
    if objective.kind == "min_cost":
        assert objective.quality_fraction is not None
        assert objective.reference is not None
        return QualityFloor(
            fraction=objective.quality_fraction,
            reference=objective.reference,
            cost_ref_usd=cost_ref_usd,
            latency_weight=objective.latency_weight,
            latency_ref_ms=objective.latency_ref_ms,
        )
    return ConstantTrade(Trade(objective.cost_weight, objective.latency_weight, cost_ref_usd, objective.latency_ref_ms))
