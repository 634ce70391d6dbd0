"""The time as pacers take it: it comes in with the events, and clocks jump."""

from __future__ import annotations

import math

from armwise.pacing.base import DAY

SLACK_S = 3_600.0
"""A clock that goes back by no more than this is waited for: events of several machines come slightly out of order."""


class Clock:
    """Latest time seen. A small step back is waited for; after a greater one the clock is taken to be corrected."""

    def __init__(self) -> None:
        self.last = 0.0

    def read(self, at: float) -> float:
        """What time it is for an event that says ``at``. Changes nothing."""
        last = self.last
        return at if at >= last or at < last - SLACK_S else last

    def advance(self, at: float) -> float:
        """The same, and remember it."""
        self.last = self.read(at)
        return self.last


def day_of(at: float) -> int:
    """Days since 1970 in UTC."""
    return math.floor(at / DAY)
