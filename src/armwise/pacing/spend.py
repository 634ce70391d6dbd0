"""Several budgets at once, on top of an objective.

A request pays the price of every budget it falls under, so its trade is the objective's own plus their sum: the dual of
a problem with several constraints (Agrawal & Devanur 2014, "Bandits with concave rewards and convex knapsacks",
section 4). A budget that does not bind has a price near zero.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from armwise.contracts import Budget, BudgetChange, Context, Decision, JudgeDraw, Request, State, Trade, Vector
from armwise.errors import BadInput, BudgetExhausted, UnknownName, unknown
from armwise.pacing.base import chosen_usd, expected_usd
from armwise.pacing.clock import Clock
from armwise.pacing.daily import DailyMeter
from armwise.pacing.evidence import FloorReport
from armwise.pacing.flight import Flight, Reservation
from armwise.pacing.floor import QualityFloor
from armwise.pacing.mean import MeanMeter
from armwise.pacing.report import BudgetReport

Meter = MeanMeter | DailyMeter

EACH = "*"
"""As a budget's tenant: every tenant has one of its own."""


class Base(Protocol):
    """What budgets stand on: an objective that knows nothing of them."""

    @property
    def kind(self) -> str: ...
    @property
    def mixes(self) -> bool: ...
    def trade(self, at: float, request: Request, context: Context) -> Trade: ...
    def mixed(self, arms: tuple[str, ...], probabilities: Vector) -> Vector: ...
    def decided(self, decision: Decision) -> None: ...
    def judged(self, decision: Decision, quality: float, before: float | None) -> None: ...
    def drawn(self, draw: JudgeDraw) -> None: ...
    def state(self) -> State: ...
    def restore(self, state: State) -> None: ...


class SpendPacer:
    """Keeps every budget in billed cost; see :mod:`armwise.pacing.meter` for how one is kept.

    Args:
        base: serves the objective itself.
        budgets: may be set and removed later by :meth:`change`.
        bill_patience_s: a bill that has not come by then is taken to be as predicted. One that comes later still
            settles the difference.
        meter: parameters of each meter.

    Raises:
        BadInput: on two budgets of one name.
    """

    def __init__(
        self,
        base: Base,
        budgets: Iterable[Budget] = (),
        *,
        bill_patience_s: float = 600.0,
        tenants: int = 10_000,
        **meter: Any,
    ) -> None:
        self.base = base
        self._budgets: dict[str, Budget] = {}
        self._since: dict[str, float] = {}
        self._declared: dict[str, Budget] = {}
        self._meters: dict[tuple[str, str], Meter] = {}
        self._meter = meter
        self._clock = Clock()
        self._flight = Flight(patience_s=bill_patience_s)
        self._tenants = tenants
        self._scopes: dict[tuple[str | None, str], tuple[Meter, ...]] = {}
        self._narrows = False
        for budget in budgets:
            if budget.name in self._budgets:
                raise BadInput(f"two budgets are called {budget.name!r}; give each a name of its own")
            self._set(budget)

    @property
    def kind(self) -> str:
        return f"budgets on {self.base.kind}"

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Those in force."""
        return tuple(self._budgets.values())

    @property
    def declared(self) -> Mapping[str, Budget]:
        return self._declared

    @property
    def mixes(self) -> bool:
        return self.base.mixes

    @property
    def narrows(self) -> bool:
        return self._narrows

    # ---------------------------------------------------------------------------- what it says; changes nothing

    def trade(self, at: float, request: Request, context: Context) -> Trade:
        trade = self.base.trade(at, request, context)
        meters = self._under(request.tenant, context.task)
        if not meters:
            return trade
        now = self._clock.read(at)
        price = trade.cost_weight / trade.cost_ref_usd
        for meter in meters:
            price += meter.price(now)
        return Trade(price * trade.cost_ref_usd, trade.latency_weight, trade.cost_ref_usd, trade.latency_ref_ms)

    def narrow(self, at: float, request: Request, context: Context, cost_usd: Vector) -> tuple[float, str] | None:
        now = self._clock.read(at)
        limit, why = math.inf, ""
        cheapest, dearest = float(cost_usd.min()), float(cost_usd.max())
        for meter in self._under(request.tenant, context.task):
            if not isinstance(meter, DailyMeter):
                continue
            left, budget = meter.left(now), meter.budget
            if left >= dearest or (left >= cheapest and not budget.hard_stop):
                continue
            resets = datetime.datetime.fromtimestamp(meter.resets_at(now), datetime.UTC).isoformat()
            if left < cheapest and budget.hard_stop:
                raise BudgetExhausted(
                    f"budget {budget.name!r} of {budget.usd:g} USD a day is spent: {max(left, 0.0):.3g} USD are left, "
                    f"the cheapest arm needs {cheapest:.3g}; it resets at {resets}",
                    budget=budget.name,
                    resets_at=meter.resets_at(now),
                )
            most = max(left, cheapest)
            if most < limit:
                limit, why = most, f"cost in USD (budget {budget.name!r} leaves no more until {resets})"
        return (limit, why) if why else None

    def mixed(self, arms: tuple[str, ...], probabilities: Vector) -> Vector:
        return self.base.mixed(arms, probabilities)

    def holding(self) -> FloorReport | None:
        """How the quality floor stands, where the objective is one."""
        return self.base.report() if isinstance(self.base, QualityFloor) else None

    def report(self, at: float) -> list[BudgetReport]:
        """How each budget stands at a time; one with ``tenant="*"`` once for each tenant seen."""
        now = self._clock.read(at)
        found = []
        for (name, tenant), meter in self._meters.items():
            budget, account = meter.budget, meter.account(now)
            found.append(
                BudgetReport(
                    name=name,
                    usd=budget.usd,
                    per=budget.per,
                    tenant=tenant or budget.tenant,
                    task=budget.task,
                    hard_stop=budget.hard_stop,
                    requests=account.requests,
                    billed_usd=account.billed,
                    reserved_usd=account.reserved,
                    estimated_usd=account.estimated,
                    left_usd=meter.left(now) if isinstance(meter, DailyMeter) else None,
                    resets_at=meter.resets_at(now) if isinstance(meter, DailyMeter) else None,
                    allowance_usd=meter.allowance(now),
                    cost_weight=meter.price(now) * meter.allowance(now),
                    binds=meter.binds,
                )
            )
        return found

    # ---------------------------------------------------------------------------- what happens

    def decided(self, decision: Decision) -> None:
        self.base.decided(decision)
        if not self._budgets:
            return
        now = self._clock.advance(decision.at)
        tenant, task = decision.tenant, decision.context.task
        for late in self._flight.overdue(now):
            for meter in self._under(late.tenant, late.task):
                meter.landed(late.at, late.usd)
        reserved, expected = chosen_usd(decision), expected_usd(decision)
        for meter in self._opened(tenant, task):
            meter.decided(now, reserved, expected)
        self._flight.open(decision.id, Reservation(now, reserved, tenant, task))

    def billed(self, decision: Decision, usd: float | None, before: float | None) -> None:
        if not self._budgets:
            return
        known = self._flight.close(decision.id)
        at, reserved = (decision.at, 0.0) if known is None else (known.at, known.usd)
        predicted = chosen_usd(decision)
        estimated = predicted if known is None and before is None else 0.0
        if usd is None:  # taken back: as predicted again
            estimated -= predicted
        change = (usd or 0.0) - (before or 0.0)
        for meter in self._under(decision.tenant, decision.context.task):
            meter.billed(self._clock.last, at, change, reserved=reserved, estimated=estimated)

    def charged(self, decision: Decision, usd: float) -> None:
        known = self._flight.get(decision.id)
        at = decision.at if known is None else known.at
        for meter in self._under(decision.tenant, decision.context.task):
            meter.billed(self._clock.last, at, usd, reserved=0.0, estimated=0.0)

    def judged(self, decision: Decision, quality: float, before: float | None) -> None:
        self.base.judged(decision, quality, before)

    def drawn(self, draw: JudgeDraw) -> None:
        self.base.drawn(draw)

    def change(self, change: BudgetChange) -> None:
        """Set or remove a budget, from now on. A known name keeps what it has spent: a new amount acts at once.

        Raises:
            UnknownName: on removing one that is not there.
        """
        name = change.budget.name
        if change.declared:
            self._declared.pop(name, None)
        if change.action == "set":
            if change.declared:
                self._declared[name] = change.budget
            self._set(change.budget, since=math.nextafter(self._clock.read(change.at), math.inf))
            return
        if name not in self._budgets:
            if change.declared:
                return  # a call has removed it already
            raise UnknownName(unknown("budget", name, self._budgets))
        del self._budgets[name]
        self._meters = {key: meter for key, meter in self._meters.items() if key[0] != name}
        self._refresh()

    # ---------------------------------------------------------------------------- which meters a request is under

    def _set(self, budget: Budget, since: float = 0.0) -> None:
        known = self._budgets.get(budget.name)
        if known is not None and (known.per, known.tenant, known.task) != (budget.per, budget.tenant, budget.task):
            self._meters = {key: meter for key, meter in self._meters.items() if key[0] != budget.name}
            known = None  # another scope: what it has spent is not comparable
        self._budgets[budget.name] = budget
        if known is None:
            self._since[budget.name] = since
        for key, meter in self._meters.items():
            if key[0] == budget.name:
                meter.budget = budget
        if budget.tenant != EACH and known is None:
            self._meters[budget.name, ""] = self._fresh(budget)
        self._refresh()

    def _fresh(self, budget: Budget) -> Meter:
        kind = DailyMeter if budget.per == "day" else MeanMeter
        return kind(budget, since=self._since[budget.name], **self._meter)

    def _refresh(self) -> None:
        self._scopes.clear()
        self._narrows = any(budget.per == "day" for budget in self._budgets.values())

    def _under(self, tenant: str | None, task: str) -> tuple[Meter, ...]:
        """The meters of a request. One that is not open yet is as new, and is not kept."""
        meters = self._scopes.get((tenant, task))
        if meters is None:
            keys = self._keys(tenant, task)
            meters = tuple(self._meters.get(key) or self._fresh(self._budgets[key[0]]) for key in keys)
            if all(key in self._meters for key in keys):
                if len(self._scopes) > 4096:  # tenants and tasks come from callers: bound what they can make us keep
                    self._scopes.clear()
                self._scopes[tenant, task] = meters
        return meters

    def _opened(self, tenant: str | None, task: str) -> tuple[Meter, ...]:
        """The same, and kept from now on."""
        meters = self._under(tenant, task)
        if (tenant, task) not in self._scopes:
            self._meters.update(zip(self._keys(tenant, task), meters, strict=True))
            if len(self._meters) > self._tenants + len(self._budgets):
                oldest = next(key for key in self._meters if key[1])
                del self._meters[oldest]
                self._scopes.clear()
        return meters

    def _keys(self, tenant: str | None, task: str) -> list[tuple[str, str]]:
        """Budget and, where each tenant has its own, tenant."""
        return [
            (name, tenant if budget.tenant == EACH and tenant else "")
            for name, budget in self._budgets.items()
            if budget.task in (None, task)
            and (tenant is not None if budget.tenant == EACH else budget.tenant in (None, tenant))
        ]

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        return {
            "base": self.base.state(),
            "budgets": [asdict(budget) for budget in self._budgets.values()],
            "since": dict(self._since),
            "declared": [asdict(budget) for budget in self._declared.values()],
            "meters": [{"key": list(key), **meter.state()} for key, meter in self._meters.items()],
            "clock": self._clock.last,
            "flight": self._flight.state(),
        }

    def restore(self, state: State) -> None:
        self.base.restore(state["base"])
        self._budgets = {record["name"]: Budget(**record) for record in state["budgets"]}
        self._since = {name: float(at) for name, at in state["since"].items()}
        self._declared = {record["name"]: Budget(**record) for record in state["declared"]}
        self._meters = {}
        for record in state["meters"]:
            name, tenant = record["key"]
            meter = self._meters[name, tenant] = self._fresh(self._budgets[name])
            meter.restore(record)
        self._clock.last = float(state["clock"])
        self._flight.restore(state["flight"])
        self._refresh()
