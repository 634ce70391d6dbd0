"""A budget per request, on average."""

from __future__ import annotations

import math
from typing import Any

from armwise.contracts import Budget, State
from armwise.pacing.account import Account
from armwise.pacing.meter import Meter

_CHARGES = 200
"""Over how many of the last charges their spread is taken."""


class MeanMeter(Meter):
    """Keeps the mean billed cost at the budget: a debt, or what was saved, is made good over the horizon.

    Nobody says where the stretch ends over which the mean will be asked for, so the account may never stray far. A debt
    has a *room*, in budgets: ``spreads`` standard deviations of a single charge, one percent of the requests seen, and
    more at the start, when what is spent is what arms are learned from. The price is bent by exp(``bend`` (debt /
    room)^3): hardly within the room, where steering costs quality, and out of all reach beyond, however low or slow the
    price itself may be.

    It is aimed a little low, at ``aim`` of the budget, so as to come out under. Of what was saved little is kept, half
    as much as a debt may be and less: a service that idles under its budget, as one does whose arms are not known yet,
    may not spend all of it later on, when it would be too much for its time.
    """

    def __init__(
        self, budget: Budget, *, aim: float = 0.997, spreads: float = 3.0, bend: float = 2.0, **settings: Any
    ) -> None:
        super().__init__(budget, **settings)
        self._aim = aim
        self._spreads = spreads
        self._bend = bend
        self._debt_usd = 0.0
        self._square = 1.0
        self._account = Account()

    def account(self, now: float) -> Account:
        return self._account

    def allowance(self, now: float) -> float:
        usd = self.budget.usd
        share = self._debt_usd / (usd * self._horizon)
        return usd * (0.1 if share > 0.9 else 2.0 if share < -1.0 else 1.0 - share)

    def price(self, now: float) -> float:
        if self._debt_usd <= 0.0:
            return super().price(now)
        strayed = self._debt_usd / self._room_usd(0.01, 60.0 / (1.0 + (self._seen / 500.0) ** 2))
        strayed = 2.0 if strayed > 2.0 else strayed
        return super().price(now) * math.exp(self._bend * strayed * strayed * strayed)

    def _room_usd(self, share: float, early: float) -> float:
        """So much for chance, a share of the requests seen, and what the start is given."""
        spread = math.sqrt(self._square) if self._square > 1.0 else 1.0
        return self.budget.usd * (self._spreads * spread + share * self._seen + early)

    def decided(self, now: float, reserved_usd: float, expected_usd: float) -> None:
        usd = self.budget.usd
        excess = (expected_usd - self.allowance(now)) / usd
        self._met(now)
        self._account.reserve(reserved_usd)
        off = min(reserved_usd / usd - 1.0, 100.0)
        self._square += (off * off - self._square) / min(self._seen + 10, _CHARGES)
        self._owe(reserved_usd - self._aim * usd)
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
        least = -self._room_usd(0.005, 40.0 / (1.0 + self._seen / 50.0))
        most = 10.0 * self._horizon * self.budget.usd
        debt = self._debt_usd + usd
        self._debt_usd = least if debt < least else most if debt > most else debt

    def state(self) -> State:
        own = {"debt_usd": self._debt_usd, "square": self._square, "account": self._account.state()}
        return {**super().state(), **own}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._debt_usd = float(state["debt_usd"])
        self._square = float(state["square"])
        self._account = Account(**state["account"])
