"""How many more requests the day will bring: by the present rate at first, by what was seen at each hour later on."""

from __future__ import annotations

from armwise.contracts import State
from armwise.pacing.base import DAY
from armwise.pacing.clock import day_of

SLOTS = 24
_SLOT_S = DAY / SLOTS


class Traffic:
    """Requests per hour of the day, learned over days, scaled by how busy today is.

    With no whole day behind it, the rest of the day is taken to go on as it went lately (a mean of some 50 gaps
    between requests; before there are any, a thousand requests a day), which needs no calendar.
    After that, an hour's expected count is a mean over the days with weight ``memory`` on the past, and today's level
    is what came so far against what was expected so far, shrunk towards one.
    """

    def __init__(self, *, memory: float = 0.7, gaps: float = 50.0) -> None:
        self._memory = memory
        self._gaps = gaps
        self._usual: list[float] = [0.0] * SLOTS
        self._today: list[float] = [0.0] * SLOTS
        self._days = 0
        self._day = -1
        self._last = 0.0
        self._gap_s = 0.0
        self._seen = 0

    def arrived(self, at: float) -> None:
        """A request came."""
        day = day_of(at)
        if day != self._day:
            if self._day >= 0:
                self._close(day)
            self._day = day
        self._today[int(at % DAY // _SLOT_S)] += 1.0
        if self._seen:
            gap = min(max(at - self._last, 0.0), DAY)
            self._gap_s += (gap - self._gap_s) / min(self._seen, self._gaps)
        self._seen += 1
        self._last = at

    def _close(self, day: int) -> None:
        """End a day. The first one may have begun at any hour: its busy hours count, as all that is known."""
        keep = self._memory if self._days else 0.0
        if day > self._day:  # a clock set back ends no day
            self._usual = [
                keep * usual + (1.0 - keep) * count for usual, count in zip(self._usual, self._today, strict=True)
            ]
            self._days += 1
        self._today = [0.0] * SLOTS

    def left(self, at: float) -> float:
        """Requests to expect from ``at`` to the end of its day, this one included; at least one."""
        second = at % DAY
        lately = (DAY - second) / (max(self._gap_s, 1e-3) if self._seen > 1 else DAY / 1_000.0)
        if not self._days:
            return max(lately, 1.0)
        slot = int(second // _SLOT_S)
        part = second / _SLOT_S - slot
        usual = self._usual
        to_come = (1.0 - part) * usual[slot] + sum(usual[slot + 1 :])
        gone = part * usual[slot] + sum(usual[:slot])
        came = sum(self._today) if day_of(at) == self._day else 0.0
        level = (came + 20.0) / (gone + 20.0)
        soon = min(DAY - second, 600.0) / max(self._gap_s, 1e-3)  # what is a quiet hour most days need not be one today
        return max(level * to_come, soon, 1.0)

    def state(self) -> State:
        names = ("usual", "today", "days", "day", "last", "gap_s", "seen")
        values = {name: getattr(self, f"_{name}") for name in names}
        return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}

    def restore(self, state: State) -> None:
        for name, value in state.items():
            setattr(self, f"_{name}", list(value) if isinstance(value, list) else value)
