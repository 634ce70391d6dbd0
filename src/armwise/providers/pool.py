"""The deployments of one model, balanced by load and kept off the sick ones.

Power of two choices (Mitzenmacher, 2001): of two drawn at random, the one with fewer calls in flight. That is nearly
as even as asking all, and it does not send every caller to the same idle place at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from random import Random

from armwise.contracts import Model
from armwise.errors import ConfigError
from armwise.providers.breaker import Breaker, BreakerSettings
from armwise.providers.deployment import Deployment, format_of
from armwise.providers.errors import AuthFailed, DeadlineExceeded, RateLimited, Unavailable, UpstreamError
from armwise.providers.wire import WireFormat

_REST_AFTER_AUTH_S = 30.0
"""A key that was refused is not tried again for this long."""

_PROBE_S = 0.05
"""How soon to ask again while a probe is under way."""


class Place:
    """A deployment with its state."""

    def __init__(self, model: Model, deployment: Deployment, wire: WireFormat, settings: BreakerSettings) -> None:
        self.deployment = deployment
        self.model = replace(model, upstream=deployment.upstream or model.upstream)
        self.breaker = Breaker(settings)
        self.hung_s = settings.hung_s
        self.in_flight = 0
        key = deployment.api_key.reveal() if deployment.api_key else None
        self.url = (deployment.base_url or wire.base_url).rstrip("/") + "/"
        self._headers = {"content-type": "application/json", **wire.headers(key), **deployment.headers}

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request, the key among them."""
        return self._headers

    def scrub(self, text: str) -> str:
        """The text without this place's key."""
        return self.deployment.api_key.scrub(text) if self.deployment.api_key else text


class Lease:
    """One call at one place. Ends once, however often it is told."""

    def __init__(self, place: Place, now: float) -> None:
        self.place = place
        self._since = now
        self._probe = place.breaker.begin(now)
        self._open = True
        place.in_flight += 1

    def _end(self) -> bool:
        was, self._open = self._open, False
        self.place.in_flight -= was
        return was

    def succeed(self) -> None:
        """The place answered."""
        if self._end():
            self.place.breaker.succeed(probe=self._probe)

    def fail(self, error: UpstreamError, now: float) -> None:
        """The place failed, or answered with an error."""
        if not self._end():
            return
        breaker = self.place.breaker
        hung = isinstance(error, DeadlineExceeded) and now - self._since >= self.place.hung_s
        if isinstance(error, (RateLimited, DeadlineExceeded)) and not hung:
            breaker.forget(probe=self._probe)
        elif error.blames or hung:
            breaker.fail(now, probe=self._probe)
        else:
            breaker.succeed(probe=self._probe)
        if error.retry_after_s is not None:
            breaker.rest(now + error.retry_after_s)
        elif isinstance(error, AuthFailed):
            breaker.rest(now + _REST_AFTER_AUTH_S)

    def forget(self) -> None:
        """The call was given up without a verdict on the place."""
        if self._end():
            self.place.breaker.forget(probe=self._probe)


class Pool:
    """All deployments of one model.

    Raises:
        ConfigError: if there are none, or one is elsewhere than the model says.
    """

    def __init__(
        self,
        model: Model,
        deployments: Sequence[Deployment],
        *,
        settings: BreakerSettings,
        rng: Random,
        clock: Callable[[], float],
    ) -> None:
        if not deployments:
            raise ConfigError(f"model {model.name!r} has no deployment")
        for deployment in deployments:
            if deployment.residency != model.residency:
                raise ConfigError(
                    f"a deployment of {model.name!r} has the residency {deployment.residency!r}, "
                    f"but the model promises {model.residency!r}; make it a model of its own"
                )
        self.model = model
        self.wire = format_of(model)
        self.places = [Place(model, deployment, self.wire, settings) for deployment in deployments]
        self._rng = rng
        self._clock = clock

    def acquire(self, avoid: Collection[Place] = ()) -> Lease:
        """A place to call now, if possible none of ``avoid``.

        Raises:
            Unavailable: if every place is cooling down.
        """
        now = self._clock()
        able = [place for place in self.places if place.breaker.allows(now)]
        if not able:
            wait = self.ready_in_s()
            raise Unavailable(f"{self.model.name}: every deployment is cooling down", retry_after_s=wait)
        able = [place for place in able if place not in avoid] or able
        if len(able) > 2:
            able = self._rng.sample(able, 2)
        elif len(able) == 2 and self._rng.random() < 0.5:
            able.reverse()
        return Lease(min(able, key=lambda place: (place.in_flight + 1) / place.deployment.weight), now)

    def others(self, tried: Collection[Place]) -> bool:
        """Whether a place that is not among ``tried`` could be called now."""
        now = self._clock()
        return any(place not in tried and place.breaker.allows(now) for place in self.places)

    def ready_in_s(self) -> float:
        """Seconds until some place may be called; 0 only if one may be called now."""
        now = self._clock()
        if any(place.breaker.allows(now) for place in self.places):
            return 0.0
        return max(_PROBE_S, min(place.breaker.ready_at(now) for place in self.places) - now)
