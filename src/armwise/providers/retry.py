"""When to try again. Pure: the generator and the clock are handed in.

Full jitter after "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015): the wait is uniform between nothing
and the exponential bound, so that clients that failed together do not come back together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random

from armwise.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and after what wait a model is called again.

    Raises:
        ConfigError: on a value out of its range.
    """

    attempts: int = 3
    """Calls in all, the first included."""
    base_s: float = 0.25
    cap_s: float = 8.0
    max_retry_after_s: float = 20.0
    """A Retry-After beyond this is not waited for: the error goes to the caller, who may have another arm."""
    max_cooldown_s: float = 1.0
    """How long a request waits, in all, for a model whose every deployment is cooling down."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"attempts must be at least 1, got {self.attempts}")
        for name in ("base_s", "cap_s", "max_retry_after_s", "max_cooldown_s"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} must be at least 0 and finite, got {value}")

    def wait_s(self, retry: int, rng: Random, *, retry_after_s: float | None = None) -> float:
        """Seconds to wait before retry number ``retry``, from 0. Never less than the provider asked for."""
        jitter = rng.uniform(0.0, min(self.cap_s, self.base_s * 2.0 ** min(retry, 60)))
        return jitter if retry_after_s is None else retry_after_s + min(jitter, self.base_s)


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """What the provider asks for, in seconds: ``retry-after-ms``, or ``Retry-After`` as seconds or date.

    ``now`` is Unix time. None where nothing, or nothing readable, was said.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - now
            except (ValueError, TypeError, IndexError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
