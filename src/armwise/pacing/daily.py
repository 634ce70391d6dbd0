"""A budget per UTC day."""

from __future__ import annotations

from typing import Any

from armwise.contracts import Budget, State
from armwise.pacing.account import Account
from armwise.pacing.base import DAY
from armwise.pacing.clock import day_of
from armwise.pacing.meter import Meter
from armwise.pacing.traffic import Traffic

_KEPT_DAYS = 4


class DailyMeter(Meter):
    """Spreads what is left of the day's budget over the requests that the day may still bring.

    As it runs short the allowance shrinks and the price rises with it, without a bound: the downgrade is smooth, and
    ends at the cheapest arm. A decision counts on the day it was made, whenever its bill comes; what a day did not
    spend is not carried over. Where the clock was ahead and is set back, what was spent in the meantime counts on the
    day it comes back to, so that no budget is spent twice.
    """

    def __init__(self, budget: Budget, **settings: Any) -> None:
        super().__init__(budget, **settings)
        self._accounts: dict[int, Account] = {}
        self._traffic = Traffic()

    def account(self, now: float) -> Account:
        day = day_of(now)
        found = self._accounts.get(day) or Account()
        if self._accounts and next(reversed(self._accounts)) > day:
            for ahead in [account for later, account in self._accounts.items() if later > day]:
                found = found.plus(ahead)
        return found

    def left(self, now: float) -> float:
        """USD that are neither spent nor reserved; below zero where the day is overspent."""
        return self.budget.usd - self.account(now).committed

    def allowance(self, now: float) -> float:
        usd = self.budget.usd
        return max(self.left(now), 1e-3 * usd, 1e-12) / self._traffic.left(now)

    def resets_at(self, now: float) -> float:
        """Unix time at which the budget starts anew."""
        return (day_of(now) + 1) * DAY

    def decided(self, now: float, reserved_usd: float, expected_usd: float) -> None:
        allowance = self.allowance(now)
        self._met(now)
        self._open(now).reserve(reserved_usd)
        self._traffic.arrived(now)
        self._move((expected_usd - allowance) / allowance)

    def billed(self, now: float, decided_at: float, usd: float, *, reserved: float, estimated: float) -> None:
        account = self._of(decided_at)
        if account is None or decided_at < self._since:
            return  # that day is over and done, or the budget is younger
        account.settle(usd, reserved=reserved, estimated=estimated)
        self._move((usd - reserved - estimated) / self.allowance(now))

    def landed(self, decided_at: float, usd: float) -> None:
        account = self._of(decided_at)
        if account is not None and decided_at >= self._since:
            account.land(usd)

    def _open(self, now: float) -> Account:
        day = day_of(now)
        account = self.account(now)
        if self._accounts.get(day) is not account:  # a new day, or a clock that was ahead
            kept = [(earlier, old) for earlier, old in self._accounts.items() if earlier < day]
            self._accounts = dict([*kept[1 - _KEPT_DAYS :], (day, account)])
        return account

    def _of(self, decided_at: float) -> Account | None:
        """The account that a decision of that time was reserved on; None where it is closed."""
        if not self._accounts:
            return None
        return self._accounts.get(min(day_of(decided_at), next(reversed(self._accounts))))

    def state(self) -> State:
        return {
            **super().state(),
            "days": list(self._accounts),
            "accounts": [account.state() for account in self._accounts.values()],
            "traffic": self._traffic.state(),
        }

    def restore(self, state: State) -> None:
        super().restore(state)
        accounts = (Account(**record) for record in state["accounts"])
        self._accounts = dict(zip(map(int, state["days"]), accounts, strict=True))
        self._traffic.restore(state["traffic"])
