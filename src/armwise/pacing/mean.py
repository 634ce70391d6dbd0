"""A budget per request, on average."""

from __future__ import annotations

from typing import Any

from armwise.contracts import Budget, State
from armwise.pacing.account import Account
from armwise.pacing.meter import Meter


class MeanMeter(Meter):
    """Keeps the mean billed cost at the budget: a debt, or what was saved, is made good over the horizon.

    It is aimed a little low, at ``aim`` of the budget, so as to come out under. What was saved is kept for one horizon
    of requests at most: a service that idles under its budget for long may not then spend it all at once.
    """

    def __init__(self, budget: Budget, *, aim: float = 0.997, **settings: Any) -> None:
        super().__init__(budget, **settings)
        self._aim = aim
        self._debt_usd = 0.0
        self._account = Account()

    def account(self, now: float) -> Account:
        return self._account

    def allowance(self, now: float) -> float:
        usd = self.budget.usd
        share = self._debt_usd / (usd * self._horizon)
        return usd * (0.1 if share > 0.9 else 2.0 if share < -1.0 else 1.0 - share)

    def decided(self, now: float, reserved_usd: float, expected_usd: float) -> None:
        excess = (expected_usd - self.allowance(now)) / self.budget.usd
        self._met(now)
        self._account.reserve(reserved_usd)
        self._owe(reserved_usd - self._aim * self.budget.usd)
        self._move(excess)

    def billed(self, now: float, decided_at: float, usd: float, *, reserved: float, estimated: float) -> None:
        if decided_at < self._since:
            return  # the budget is younger
        self._account.settle(usd, reserved=reserved, estimated=estimated)
        surprise = usd - reserved - estimated
        self._owe(surprise)
        self._move(surprise / self.budget.usd)

    def landed(self, decided_at: float, usd: float) -> None:
        if decided_at >= self._since:
            self._account.land(usd)

    def _owe(self, usd: float) -> None:
        limit = self._horizon * self.budget.usd
        debt = self._debt_usd + usd
        self._debt_usd = -limit if debt < -limit else 10.0 * limit if debt > 10.0 * limit else debt

    def state(self) -> State:
        return {**super().state(), "debt_usd": self._debt_usd, "account": self._account.state()}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._debt_usd = float(state["debt_usd"])
        self._account = Account(**state["account"])
