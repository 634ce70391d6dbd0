"""Money of one period: billed, reserved for what is in flight, and estimated where no bill ever came. USD."""

from __future__ import annotations

from armwise.contracts import State


class Account:
    """``committed`` is all that has to be counted on."""

    __slots__ = ("billed", "estimated", "requests", "reserved")

    def __init__(self, billed: float = 0.0, reserved: float = 0.0, estimated: float = 0.0, requests: int = 0) -> None:
        self.billed = billed
        self.reserved = reserved
        self.estimated = estimated
        self.requests = requests

    @property
    def committed(self) -> float:
        return self.billed + self.reserved + self.estimated

    def reserve(self, usd: float) -> None:
        """A request was decided."""
        self.requests += 1
        self.reserved += usd

    def settle(self, usd: float, *, reserved: float, estimated: float) -> None:
        """A bill takes the place of what was reserved, or estimated."""
        self.reserved -= reserved
        self.estimated -= estimated
        self.billed += usd

    def land(self, usd: float) -> None:
        """The bill is not waited for any longer: the reservation stands as the estimate."""
        self.reserved -= usd
        self.estimated += usd

    def plus(self, other: Account) -> Account:
        """Both together."""
        return Account(
            self.billed + other.billed,
            self.reserved + other.reserved,
            self.estimated + other.estimated,
            self.requests + other.requests,
        )

    def state(self) -> State:
        return {name: getattr(self, name) for name in ("billed", "reserved", "estimated", "requests")}
