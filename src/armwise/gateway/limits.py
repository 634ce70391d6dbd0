"""How much may be asked at once: a bucket of tokens per tenant, and a ceiling on requests under way."""

from __future__ import annotations

import time
from collections.abc import Callable

from armwise.config.gateway import GatewaySettings, TenantSettings
from armwise.errors import CallerError, StateError


class TooManyRequests(CallerError):
    """A tenant asks more than it may. ``retry_after_s``: when the next request is allowed."""

    status = 429

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(StateError):
    """The gateway has as many requests under way as it takes."""

    status = 503
    retry_after_s = 1.0


class Bucket:
    """Holds up to ``size`` tokens, gains ``per_s`` a second, starts full. One request takes one."""

    def __init__(self, *, per_s: float, size: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._size = size
        self._clock = clock
        self._left = size
        self._at = clock()

    def take(self) -> float:
        """Take a token: 0 if there was one, else the seconds until there is."""
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._per_s


class Limits:
    """Admits requests; every :meth:`enter` needs its :meth:`leave`. For one event loop."""

    def __init__(self, settings: GatewaySettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.in_flight = 0
        self._most = settings.max_in_flight
        self._of: dict[str, int] = {}
        self._buckets = {
            tenant.name: Bucket(
                per_s=tenant.requests_per_minute / 60.0,
                size=tenant.burst or max(1.0, tenant.requests_per_minute / 6.0),
                clock=clock,
            )
            for tenant in settings.tenants
            if tenant.requests_per_minute is not None
        }

    def enter(self, tenant: TenantSettings | None) -> None:
        """Let a request in.

        Raises:
            TooManyRequests: if its tenant has used up its share.
            Overloaded: if the gateway is full.
        """
        if self.in_flight >= self._most:
            raise Overloaded(
                f"{self.in_flight} requests are under way, which is all this gateway takes; come back soon"
            )
        if tenant is not None:
            under_way = self._of.get(tenant.name, 0)
            if tenant.max_in_flight is not None and under_way >= tenant.max_in_flight:
                raise TooManyRequests(
                    f"{under_way} requests of this tenant are under way, which is its limit", retry_after_s=1.0
                )
            bucket = self._buckets.get(tenant.name)
            wait = bucket.take() if bucket is not None else 0.0
            if wait > 0:
                raise TooManyRequests(
                    f"the limit of {tenant.requests_per_minute:g} requests a minute is reached", retry_after_s=wait
                )
            self._of[tenant.name] = under_way + 1
        self.in_flight += 1

    def leave(self, tenant: TenantSettings | None) -> None:
        """A request that was let in is over."""
        self.in_flight -= 1
        if tenant is not None:
            self._of[tenant.name] -= 1
