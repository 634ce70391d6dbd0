"""Logs that need no disk: one that keeps every event in memory, and one that keeps none."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from armwise.contracts import Decision, Event, Signal
from armwise.errors import LogError
from armwise.log.events import check_after, check_event
from armwise.log.health import LogHealth


class _Counting:
    """Positions, and a door that closes."""

    def __init__(self) -> None:
        self._position = 0
        self._closed = False
        self._lock = threading.Lock()

    @property
    def position(self) -> int:
        """Position of the last event appended."""
        return self._position

    @property
    def health(self) -> LogHealth:
        """Always well."""
        return LogHealth(ok=True, position=self._position, durable=self._position, queued=0, lost=0)

    def _keep(self, event: Event) -> None:
        pass

    def append(self, event: Event) -> int:
        """Take an event; returns its position.

        Raises:
            BadInput: if it is no event, or an arm that cannot be stored.
            LogError: if the log is closed.
        """
        check_event(event)
        with self._lock:
            if self._closed:
                raise LogError("the log is closed: nothing can be appended")
            self._keep(event)
            self._position += 1
            return self._position

    def flush(self, timeout: float | None = None) -> None:
        """There is nothing to wait for."""

    def secure(self, timeout: float | None = None) -> None:
        """Nor is there anything that a crash would spare."""

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryLog(_Counting):
    """A log in memory; grows with every event. What it holds ends with the process."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Event] = []
        self._decisions: dict[str, Decision] = {}
        self._signals: defaultdict[str, dict[tuple[str, str, str], tuple[int, Signal]]] = defaultdict(dict)

    def _keep(self, event: Event) -> None:
        self._events.append(event)
        if isinstance(event, Decision):
            self._decisions.setdefault(event.id, event)
        elif isinstance(event, Signal):
            self._signals[event.decision_id].setdefault(event.key, (self._position + 1, event))

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Events with their positions, in order, from the first behind ``after`` to the last there is at the call.

        A signal that repeats the key of an earlier one is left out.

        Raises:
            BadInput: if ``after`` is not a position.
        """
        check_after(after)
        return self._each(after, self._position)

    def _each(self, after: int, until: int) -> Iterator[tuple[int, Event]]:
        for at in range(after, until):
            event = self._events[at]
            if not isinstance(event, Signal) or self._signals[event.decision_id][event.key][0] == at + 1:
                yield at + 1, event

    def decision(self, decision_id: str) -> Decision | None:
        """The decision of that id, or None."""
        return self._decisions.get(decision_id)

    def signals(self, decision_id: str, *, before: int | None = None) -> list[Signal]:
        """Signals of one decision in the order of the log; of several with one key, the first.

        With ``before``, only those at positions below it.
        """
        with self._lock:
            found = list(self._signals[decision_id].values()) if decision_id in self._signals else []
        return [signal for position, signal in found if before is None or position < before]


class NullLog(_Counting):
    """Counts positions and keeps nothing: for a router that is told to keep no log."""

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Nothing, where nothing is asked for.

        Raises:
            LogError: if events behind ``after`` were appended: they are gone.
        """
        check_after(after)
        if after < self._position:
            raise LogError(f"this router keeps no log: events {after + 1} to {self._position} cannot be read again")
        return iter(())

    def decision(self, decision_id: str) -> Decision | None:
        """None."""
        return None

    def signals(self, decision_id: str, *, before: int | None = None) -> list[Signal]:
        """None are kept."""
        return []
