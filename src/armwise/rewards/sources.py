"""What the word of each source is worth, by time."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import asdict
from operator import attrgetter

from armwise.contracts import SourceChange, State

_AT = attrgetter("at")


class Standing:
    """The changes of every source, looked up by the time of a signal. Of several at one time, the last told holds."""

    def __init__(self, changes: Iterable[SourceChange] = ()) -> None:
        self._changes: dict[str, list[SourceChange]] = {}
        for change in changes:
            self.add(change)

    def add(self, change: SourceChange) -> None:
        """Take over a change."""
        insort(self._changes.setdefault(change.source, []), change, key=_AT)

    def at(self, source: str, at: float) -> SourceChange | None:
        """What holds for a source at a time; None where nothing was ever said of it."""
        changes = self._changes.get(source)
        if changes is None:
            return None
        place = bisect_right(changes, at, key=_AT)
        return changes[place - 1] if place else None

    def latest(self) -> dict[str, SourceChange]:
        """Source -> what holds for it now."""
        return {source: changes[-1] for source, changes in self._changes.items()}

    def state(self) -> State:
        return {"changes": [asdict(change) for changes in self._changes.values() for change in changes]}

    def restore(self, state: State) -> None:
        self.__init__(SourceChange(**change) for change in state["changes"])  # type: ignore[misc]  # starts anew
