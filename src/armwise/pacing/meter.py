"""One budget: what was spent of it, and what a dollar of it is worth in quality.

The price of money is a dual variable, found online: every decision that costs more than the *allowance* of the moment
raises its logarithm, every cheaper one lowers it (Balseiro & Gur 2019, section 3; a multiplicative step, so that no
unit has to be known). The allowance is what is left, spread over the requests it has to last for. So the price answers
to the rate of spending and the allowance to what was spent in all: together a proportional-integral controller.

Where the theory stops: its regret bound wants costs that are bounded and requests that are independent, and says
nothing while the policy still learns, which is when spending drifts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from armwise.contracts import Budget, State
from armwise.pacing.account import Account

_LOWEST, _HIGHEST = math.log(1e-3), math.log(1e3)
_MATTERS = math.log(2e-3)
"""Below it a whole allowance is worth no more than a fifth of a point of quality."""


class Meter(ABC):
    """What meters of means and of days share: the price.

    Precision is relative to what was spent before, so the *horizon*, over which a deviation is made good, grows with
    the requests seen: it starts at ``horizon``, grows by one every 50 requests and ends at ``longest``. The log price
    moves by ``gain`` / horizon for each allowance overspent.

    Args:
        since: effective time from which decisions count.
        start: the first price, in points of quality per allowance.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        since: float = 0.0,
        start: float = 0.05,
        gain: float = 2.0,
        horizon: float = 25.0,
        longest: float = 200.0,
    ) -> None:
        self.budget = budget
        self._since = since
        self._gain = gain
        self._shortest, self._longest = horizon, longest
        self._horizon = horizon
        self._log_price = math.log(start)
        self._seen = 0

    # ---------------------------------------------------------------------------- what it says; changes nothing

    @abstractmethod
    def account(self, now: float) -> Account:
        """The account of the period: the day, or all there ever was."""

    @abstractmethod
    def allowance(self, now: float) -> float:
        """What the next request may cost, in USD."""

    @property
    def binds(self) -> bool:
        """Whether money is short: there are better answers to buy than the budget allows."""
        return self._log_price > _MATTERS

    def price(self, now: float) -> float:
        """Points of quality per USD."""
        return math.exp(self._log_price) / self.allowance(now)

    # ---------------------------------------------------------------------------- what happens

    @abstractmethod
    def decided(self, now: float, reserved_usd: float, expected_usd: float) -> None:
        """A request was decided: reserve what its arm is predicted to cost.

        The price moves by the mean cost over the draw, which varies less.
        """

    @abstractmethod
    def billed(self, now: float, decided_at: float, usd: float, *, reserved: float, estimated: float) -> None:
        """Its bill came and takes the place of what was reserved, or estimated, or billed before."""

    @abstractmethod
    def landed(self, decided_at: float, usd: float) -> None:
        """Its bill is not waited for any longer."""

    def _met(self, now: float) -> None:
        """One more request was seen."""
        if now < self._since:  # the clock went back since
            self._since = now
        self._seen += 1
        if self._horizon < self._longest:
            self._horizon = min(self._shortest + self._seen / 50.0, self._longest)

    def _move(self, excess: float) -> None:
        """Raise the price by an excess, in allowances; what one request may do to it is bounded."""
        excess = 5.0 if excess > 5.0 else -5.0 if excess < -5.0 else excess
        moved = self._log_price + self._gain / self._horizon * excess
        self._log_price = _LOWEST if moved < _LOWEST else _HIGHEST if moved > _HIGHEST else moved

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        return {"since": self._since, "log_price": self._log_price, "seen": self._seen, "horizon": self._horizon}

    def restore(self, state: State) -> None:
        self._since = float(state["since"])
        self._log_price = float(state["log_price"])
        self._seen = int(state["seen"])
        self._horizon = float(state["horizon"])
