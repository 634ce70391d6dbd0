"""Objectives, and the pacers that turn them into exchange rates: how many points of quality a dollar is worth now.

A pacer sees decisions, bills and judgements as they happen and answers with a :class:`Trade`. The policy never learns
about money, so a new budget acts at once. Pure state: the time comes in with each event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from armwise.contracts import Decision, State, Trade
from armwise.errors import BadInput

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What the router is to do. Build one with the class methods.

    Raises:
        BadInput: on numbers out of range.
    """

    kind: str
    spend_usd_per_request: float | None = None
    spend_usd_per_day: float | None = None
    quality_fraction: float | None = None
    reference: str | None = None
    cost_weight: float = 0.0
    latency_weight: float = 0.0
    cost_ref_usd: float | None = None
    """Cost that ``cost_weight`` is per, in USD; by default what the dearest model asks for a typical request."""
    latency_ref_ms: float = 1_000.0

    def __post_init__(self) -> None:
        for name in ("spend_usd_per_request", "spend_usd_per_day", "cost_ref_usd"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise BadInput(f"objective: {name} must be a positive number of USD, got {value!r}")
        for name in ("cost_weight", "latency_weight"):
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                raise BadInput(f"objective: {name} must be a number of at least 0, got {value!r}")
        if not (_is_number(self.latency_ref_ms) and self.latency_ref_ms > 0):
            raise BadInput(f"objective: latency_ref_ms must be a positive number of ms, got {self.latency_ref_ms!r}")
        fraction = self.quality_fraction
        if fraction is not None and not (_is_number(fraction) and 0 < fraction <= 1):
            raise BadInput(f"objective: quality_fraction must be above 0 and at most 1, got {self.quality_fraction!r}")

    @classmethod
    def tradeoff(
        cls,
        *,
        cost_weight: float = 0.2,
        latency_weight: float = 0.0,
        cost_ref_usd: float | None = None,
        latency_ref_ms: float = 1_000.0,
    ) -> Objective:
        """Constant exchange rates: a cost of ``cost_ref_usd`` is worth ``cost_weight`` of quality; latency alike."""
        return cls(
            kind="tradeoff",
            cost_weight=cost_weight,
            latency_weight=latency_weight,
            cost_ref_usd=cost_ref_usd,
            latency_ref_ms=latency_ref_ms,
        )

    @classmethod
    def max_quality(
        cls,
        *,
        spend_usd_per_request: float | None = None,
        spend_usd_per_day: float | None = None,
        latency_weight: float = 0.0,
    ) -> Objective:
        """The best quality whose mean billed cost stays at the budget."""
        if (spend_usd_per_request is None) == (spend_usd_per_day is None):
            raise BadInput("objective max_quality needs exactly one of spend_usd_per_request and spend_usd_per_day")
        return cls(
            kind="max_quality",
            spend_usd_per_request=spend_usd_per_request,
            spend_usd_per_day=spend_usd_per_day,
            latency_weight=latency_weight,
        )

    @classmethod
    def min_cost(cls, *, quality_fraction: float = 0.95, reference: str, latency_weight: float = 0.0) -> Objective:
        """The lowest cost whose mean quality stays at ``quality_fraction`` of the reference arm's."""
        return cls(
            kind="min_cost", quality_fraction=quality_fraction, reference=reference, latency_weight=latency_weight
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class Pacer(Protocol):
    """Events -> exchange rates."""

    def trade(self, at: float) -> Trade:
        """The exchange rates in force at a time."""
        ...

    def decided(self, decision: Decision) -> None: ...

    def billed(self, decision: Decision, surprise_usd: float) -> None:
        """A bill came, or was revised: by how much it exceeds what was reserved, or billed before."""
        ...

    def judged(self, decision: Decision, quality: float, before: float | None) -> None:
        """A judgement came, or replaces the one ``before``."""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class ConstantTrade:
    """The same rates for ever."""

    def __init__(self, trade: Trade) -> None:
        self._trade = trade

    def trade(self, at: float) -> Trade:
        return self._trade

    def decided(self, decision: Decision) -> None: ...

    def billed(self, decision: Decision, surprise_usd: float) -> None: ...

    def judged(self, decision: Decision, quality: float, before: float | None) -> None: ...

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None: ...


class SpendPacer:
    """Keeps the mean billed cost at a budget: dual ascent in the logarithm of the cost weight.

    Each decision reserves its expected cost, sum p(a) c(a), and moves the weight at once; the bill later settles the
    difference, so requests whose bill is late or never comes are still accounted for. The cost of reference is the
    budget of one request, so the weight is in points of quality per budget. Step size ``step`` per unit of relative
    overspend; an accumulated debt is worked off over about ``patience`` requests. (Balseiro & Gur 2019, section 3,
    with a multiplicative step; their regret bound wants bounded costs and independent requests.)
    """

    def __init__(
        self,
        *,
        usd_per_request: float | None = None,
        usd_per_day: float | None = None,
        latency_weight: float = 0.0,
        latency_ref_ms: float = 1_000.0,
        step: float = 0.02,
        patience: float = 200.0,
        start: float = 0.05,
    ) -> None:
        self.usd_per_request = usd_per_request
        self.usd_per_day = usd_per_day
        self.latency_weight = latency_weight
        self.latency_ref_ms = latency_ref_ms
        self.step = step
        self.patience = patience
        self._log_weight = math.log(start)
        self._debt_usd = 0.0
        self._day = -1
        self._spent_today_usd = 0.0
        self._last_at = 0.0
        self._gap_s = 1.0

    def trade(self, at: float) -> Trade:
        budget = self._budget(at)
        hurry = min(max(self._debt_usd / (budget * self.patience), -3.0), 3.0)
        return Trade(math.exp(self._log_weight + hurry), self.latency_weight, budget, self.latency_ref_ms)

    def decided(self, decision: Decision) -> None:
        at = decision.at
        day = math.floor(at / DAY)
        if day > self._day:
            self._day, self._spent_today_usd = day, 0.0
        if self._last_at and 0 < at - self._last_at < DAY:
            self._gap_s += 0.02 * (at - self._last_at - self._gap_s)
        self._last_at = max(at, self._last_at)
        budget = self._budget(at)
        self._account(expected_usd(decision), allowed_usd=budget, budget=budget)

    def billed(self, decision: Decision, surprise_usd: float) -> None:
        self._account(surprise_usd, allowed_usd=0.0, budget=self._budget(decision.at))

    def judged(self, decision: Decision, quality: float, before: float | None) -> None: ...

    def _account(self, usd: float, *, allowed_usd: float, budget: float) -> None:
        self._spent_today_usd += usd
        limit = 10 * self.patience * budget
        self._debt_usd = min(max(self._debt_usd + usd - allowed_usd, -limit), limit)
        excess = min(max((usd - allowed_usd) / budget, -5.0), 5.0)
        self._log_weight = min(max(self._log_weight + self.step * excess, -12.0), 6.0)

    def _budget(self, at: float) -> float:
        """What one request may cost now, in USD."""
        if self.usd_per_request is not None:
            return self.usd_per_request
        assert self.usd_per_day is not None
        left = max(self.usd_per_day - self._spent_today_usd, 0.001 * self.usd_per_day)
        seconds_left = max(DAY - at % DAY, 60.0)
        return left / max(seconds_left / max(self._gap_s, 1e-3), 1.0)

    def state(self) -> State:
        names = ("log_weight", "debt_usd", "day", "spent_today_usd", "last_at", "gap_s")
        return {name: getattr(self, f"_{name}") for name in names}

    def restore(self, state: State) -> None:
        for name, value in state.items():
            setattr(self, f"_{name}", value)


class QualityFloor:
    """Raises the price of cost as far as judged quality allows: quality >= fraction x the reference arm's.

    Each judgement compares the quality that came with the reference's predicted quality on the same request, and moves
    the logarithm of the cost weight by ``step`` per point of difference. Starts dear (weight 0.01), so that savings
    begin only when judgements have shown that there is room.
    """

    def __init__(
        self,
        *,
        fraction: float,
        reference: str,
        cost_ref_usd: float,
        latency_weight: float = 0.0,
        latency_ref_ms: float = 1_000.0,
        step: float = 0.03,
        start: float = 0.01,
    ) -> None:
        self.fraction = fraction
        self.reference = reference
        self.cost_ref_usd = cost_ref_usd
        self.latency_weight = latency_weight
        self.latency_ref_ms = latency_ref_ms
        self.step = step
        self._log_weight = math.log(start)

    def trade(self, at: float) -> Trade:
        return Trade(math.exp(self._log_weight), self.latency_weight, self.cost_ref_usd, self.latency_ref_ms)

    def decided(self, decision: Decision) -> None: ...

    def billed(self, decision: Decision, surprise_usd: float) -> None: ...

    def judged(self, decision: Decision, quality: float, before: float | None) -> None:
        if self.reference not in decision.arms:
            return  # nothing to compare with on this request
        wanted = self.fraction * float(decision.predictions.quality[decision.arms.index(self.reference)])
        news = quality - (wanted if before is None else before)  # what is compared once is not compared again
        self._log_weight = min(max(self._log_weight + self.step * news, -9.0), 6.0)

    def state(self) -> State:
        return {"log_weight": self._log_weight}

    def restore(self, state: State) -> None:
        self._log_weight = float(state["log_weight"])


def make_pacer(objective: Objective, *, cost_ref_usd: float) -> Pacer:
    """The pacer that serves an objective. ``cost_ref_usd`` is the cost of reference where the objective gives none."""
    if objective.kind == "max_quality":
        return SpendPacer(
            usd_per_request=objective.spend_usd_per_request,
            usd_per_day=objective.spend_usd_per_day,
            latency_weight=objective.latency_weight,
            latency_ref_ms=objective.latency_ref_ms,
        )
    cost_ref_usd = objective.cost_ref_usd or cost_ref_usd
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


def expected_usd(decision: Decision) -> float:
    """Mean cost of a decision over its own draw: sum p(a) c(a)."""
    return float(decision.probability_of @ decision.predictions.cost_usd)
