"""Circuit breaker of one deployment: a pure state machine, the clock passed in.

          failures in a row, or their share                  cooldown is over
    CLOSED ──────────────────────────────────▶ OPEN ───────────────────────────▶ HALF_OPEN
      ▲                                         ▲                                   │  │
      │                                         └─── the probe fails: cooldown x 2 ─┘  │
      └──────────────────────────────────────────────────── the probe succeeds ────────┘

A rate limit or a refused key rests the deployment for a time without counting as failures (``rest``). Times are
seconds of any clock that does not go back.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum

from armwise.errors import ConfigError


class Phase(Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerSettings:
    """When to stop calling, and when to try again.

    Raises:
        ConfigError: on a value out of its range.
    """

    failures: int = 5
    """Failures in a row that open it."""
    window: int = 20
    """Calls over which the share of failures is taken."""
    share: float = 0.5
    """Share of failures in a full window that opens it too; 1 leaves it to failures in a row."""
    cooldown_s: float = 1.0
    """First cooldown; doubles with each probe that fails."""
    max_cooldown_s: float = 30.0
    probes: int = 1
    """Calls let through at once while half open."""
    hung_s: float = 10.0
    """Silence of this long is a failure, even where it was the caller's deadline that ended it."""

    def __post_init__(self) -> None:
        if self.failures < 1 or self.probes < 1:
            raise ConfigError(f"failures and probes must be at least 1, got {self.failures} and {self.probes}")
        if self.window < 1 or not 0 < self.share <= 1:
            raise ConfigError(
                f"window must be at least 1 and share over 0 and at most 1, got {self.window} and {self.share}"
            )
        if not self.hung_s > 0:
            raise ConfigError(f"hung_s must be over 0, got {self.hung_s}")
        if not 0 < self.cooldown_s <= self.max_cooldown_s < math.inf:
            raise ConfigError(
                f"cooldown_s must be over 0 and at most max_cooldown_s, got {self.cooldown_s} and {self.max_cooldown_s}"
            )


class Breaker:
    """Each call is asked for with ``allows``, announced with ``begin`` and ended with one of ``succeed``, ``fail`` or
    ``forget`` (no verdict: cancelled)."""

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._failures = 0
        self._recent: deque[bool] = deque(maxlen=self._settings.window)
        """Whether each of the latest calls failed."""
        self._cooldowns = 0
        self._open_until: float | None = None
        self._rest_until = -math.inf
        self._probing = 0

    def phase(self, now: float) -> Phase:
        """Where it stands at an instant."""
        if self._open_until is None:
            return Phase.OPEN if now < self._rest_until else Phase.CLOSED
        return Phase.OPEN if now < max(self._open_until, self._rest_until) else Phase.HALF_OPEN

    def allows(self, now: float) -> bool:
        """Whether a call may be made."""
        phase = self.phase(now)
        return phase is Phase.CLOSED or (phase is Phase.HALF_OPEN and self._probing < self._settings.probes)

    def ready_at(self, now: float) -> float:
        """The earliest instant at which a call may be made, as far as known; ``now`` if that is now."""
        until = self._rest_until if self._open_until is None else max(self._open_until, self._rest_until)
        return max(now, until)

    def begin(self, now: float) -> bool:
        """Announce a call. Returns whether it is a probe; hand that back when it ends."""
        probe = self.phase(now) is Phase.HALF_OPEN
        self._probing += probe
        return probe

    def succeed(self, *, probe: bool) -> None:
        """A call was answered. Of the calls begun before it opened, none closes it: only a probe does."""
        self._probing -= probe
        if self._open_until is None or probe:
            self._failures = self._cooldowns = 0
            self._open_until = None
            self._recent.append(False)

    def fail(self, now: float, *, probe: bool) -> None:
        """A call failed."""
        self._probing -= probe
        self._failures += 1
        self._recent.append(True)
        if probe or (self._open_until is None and self._too_many()):
            self._recent.clear()
            cooldown = self._settings.cooldown_s * 2.0 ** min(self._cooldowns, 60)
            self._open_until = now + min(cooldown, self._settings.max_cooldown_s)
            self._cooldowns += 1

    def _too_many(self) -> bool:
        recent = self._recent
        flaky = len(recent) == recent.maxlen and sum(recent) >= self._settings.share * len(recent)
        return self._failures >= self._settings.failures or flaky

    def forget(self, *, probe: bool) -> None:
        """A call ended without a verdict."""
        self._probing -= probe

    def rest(self, until: float) -> None:
        """Make no call before an instant."""
        self._rest_until = max(self._rest_until, until)
