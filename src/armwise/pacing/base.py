"""What a pacer is: events -> exchange rates. The policy never learns about money, so a new budget acts at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from armwise.contracts import Budget, BudgetChange, Context, Decision, JudgeDraw, Request, State, Trade, Vector
from armwise.pacing.evidence import FloorReport
from armwise.pacing.report import BudgetReport

DAY = 86_400.0


class Pacer(Protocol):
    """Sees decisions, bills and judgements in the order of the log; the time comes in with each. Pure state."""

    @property
    def kind(self) -> str:
        """What it is made of: a saved state is taken over by a pacer of the same kind only."""
        ...

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Those in force."""
        ...

    @property
    def declared(self) -> Mapping[str, Budget]:
        """Those that came with an objective, as they came, by name; calls may have changed them since."""
        ...

    @property
    def narrows(self) -> bool:
        """Whether :meth:`narrow` may have something to say now."""
        ...

    @property
    def mixes(self) -> bool:
        """Whether :meth:`mixed` may change probabilities."""
        ...

    def trade(self, at: float, request: Request, context: Context) -> Trade:
        """The exchange rates for a request at a time. Changes nothing."""
        ...

    def narrow(self, at: float, request: Request, context: Context, cost_usd: Vector) -> tuple[float, str] | None:
        """The most that an arm may be predicted to cost now, in USD, and why; None for no limit.

        ``cost_usd`` are the predictions of the action set, shape (arms,).

        Raises:
            BudgetExhausted: where a budget with a hard stop has nothing left for the request.
        """
        ...

    def mixed(self, arms: tuple[str, ...], probabilities: Vector) -> Vector:
        """The policy's probabilities, shape (arms,), as the pacer lets them stand; sums to one."""
        ...

    def decided(self, decision: Decision) -> None: ...

    def billed(self, decision: Decision, usd: float | None, before: float | None) -> None:
        """A bill came, or replaces the one ``before``; None: the bill was taken back."""
        ...

    def charged(self, decision: Decision, usd: float) -> None:
        """Something beside the answer was paid for it, such as its judging."""
        ...

    def judged(self, decision: Decision, quality: float, before: float | None) -> None:
        """A judgement came, or replaces the one ``before``."""
        ...

    def drawn(self, draw: JudgeDraw) -> None:
        """A judge was to look at a decision, or passed it over, with a known probability."""
        ...

    def change(self, change: BudgetChange) -> None:
        """A budget was set or removed."""
        ...

    def holding(self) -> FloorReport | None:
        """How the quality floor stands; None where the objective is another."""
        ...

    def report(self, at: float) -> list[BudgetReport]:
        """How each budget stands at a time."""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


def expected_usd(decision: Decision) -> float:
    """Mean predicted cost of a decision over its own draw: sum p(a) c(a)."""
    return float(decision.probability_of @ decision.predictions.cost_usd)


def chosen_usd(decision: Decision) -> float:
    """Predicted cost of the arm that was drawn."""
    return float(decision.predictions.cost_usd[decision.arms.index(decision.arm)])
