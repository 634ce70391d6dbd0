"""The same exchange rates for ever."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from armwise.contracts import Budget, BudgetChange, Context, Decision, JudgeDraw, Request, State, Trade, Vector
from armwise.errors import BadInput
from armwise.pacing.evidence import FloorReport
from armwise.pacing.report import BudgetReport


class ConstantTrade:
    """Serves :meth:`Objective.tradeoff`; budgets stand on it where there are any. Alone, it keeps none."""

    kind = "constant"
    budgets = ()
    declared: Mapping[str, Budget] = MappingProxyType({})
    narrows = False
    mixes = False

    def __init__(self, trade: Trade) -> None:
        self._trade = trade

    def trade(self, at: float, request: Request, context: Context) -> Trade:
        return self._trade

    def narrow(self, at: float, request: Request, context: Context, cost_usd: Vector) -> tuple[float, str] | None:
        return None

    def mixed(self, arms: tuple[str, ...], probabilities: Vector) -> Vector:
        return probabilities

    def decided(self, decision: Decision) -> None: ...

    def billed(self, decision: Decision, usd: float | None, before: float | None) -> None: ...

    def charged(self, decision: Decision, usd: float) -> None: ...

    def judged(self, decision: Decision, quality: float, before: float | None) -> None: ...

    def drawn(self, draw: JudgeDraw) -> None: ...

    def change(self, change: BudgetChange) -> None:
        raise BadInput(f"budget {change.budget.name!r} cannot be changed: this decider keeps no budgets")

    def holding(self) -> FloorReport | None:
        return None

    def report(self, at: float) -> list[BudgetReport]:
        return []

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None: ...
