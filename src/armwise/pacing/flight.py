"""Spend in flight: decided, not billed yet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from armwise.contracts import State


class Reservation(NamedTuple):
    """What a decision is expected to cost, until it is billed."""

    at: float
    usd: float
    tenant: str | None
    task: str


class Flight:
    """Reservations by decision, oldest first. Past its patience one is landed: counted as if billed as estimated."""

    def __init__(self, *, patience_s: float, bound: int = 100_000) -> None:
        self._patience_s = patience_s
        self._bound = bound
        self._open: OrderedDict[str, Reservation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, decision_id: str, reservation: Reservation) -> None:
        self._open[decision_id] = reservation

    def get(self, decision_id: str) -> Reservation | None:
        return self._open.get(decision_id)

    def close(self, decision_id: str) -> Reservation | None:
        """Its bill came. None where it was landed before."""
        return self._open.pop(decision_id, None)

    def overdue(self, now: float) -> Iterator[Reservation]:
        """Take out those whose bill is not waited for any longer, and the oldest where there are too many."""
        while self._open:
            first = next(iter(self._open.values()))
            # A clock set back leaves reservations of its future behind: they are not waited for either.
            if -self._patience_s <= now - first.at <= self._patience_s and len(self._open) <= self._bound:
                return
            yield self._open.popitem(last=False)[1]

    def state(self) -> State:
        return {"ids": list(self._open), "reservations": [list(item) for item in self._open.values()]}

    def restore(self, state: State) -> None:
        self._open = OrderedDict(
            (key, Reservation(*values)) for key, values in zip(state["ids"], state["reservations"], strict=True)
        )
