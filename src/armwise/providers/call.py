"""One request to one model: its tries, its deadline and its account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, NamedTuple, TypeVar

from armwise.contracts import Attempt
from armwise.errors import BadInput
from armwise.providers.billing import bill
from armwise.providers.completion import Completion
from armwise.providers.errors import AuthFailed, Unavailable, UpstreamError
from armwise.providers.http import Http, encode, too_late
from armwise.providers.pool import Lease, Place, Pool
from armwise.providers.retry import RetryPolicy
from armwise.providers.usage import Usage, measure
from armwise.providers.wire import Endpoint, Json

T = TypeVar("T")


class Kit(NamedTuple):
    """What every call of a client works with."""

    http: Http
    retry: RetryPolicy
    rng: Random
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], float]
    """Unix time, seconds."""
    sleep: Callable[[float], Awaitable[Any]]


class Call:
    """One request. Every upstream call that it makes is recorded once, whatever becomes of it."""

    def __init__(
        self,
        kit: Kit,
        pool: Pool,
        endpoint: Endpoint,
        body: Mapping[str, Any],
        *,
        stream: bool,
        decision_id: str,
        deadline: float | None,
        first_attempt: int,
        on_attempt: Callable[[Attempt], None] | None,
    ) -> None:
        self.kit = kit
        self.pool = pool
        self.endpoint = endpoint
        self.body = body
        self.attempts: list[Attempt] = []
        self._stream = stream
        self._decision_id = decision_id
        self._deadline = deadline
        self._number = first_attempt
        self._on_attempt = on_attempt
        self._encoded: dict[str | None, tuple[str, bytes]] = {}
        self._sent_bytes = 0
        self._began = self._started = kit.clock()
        self._at = 0.0
        self._recorded = True

    # ------------------------------------------------------------------------------------------ tries

    async def run(self, once: Callable[[Lease], Awaitable[T]]) -> T:
        """Try ``once`` at one place after another, until it works or there is no point in going on.

        ``once`` ends its lease and records its attempt where it succeeds; failures are seen to here.

        Raises:
            UpstreamError: the last failure, with every attempt.
        """
        tried: list[Place] = []
        failure: UpstreamError | None = None
        for retry in range(self.kit.retry.attempts):
            try:
                lease = await self._acquire(tried)
            except Unavailable as error:
                raise self._given_up(failure or error) from None
            try:
                self._check_deadline()
                return await once(lease)
            except UpstreamError as error:
                failure = error
                self.name_place(error, lease.place)
                if self._recorded:  # nothing was sent
                    lease.forget()
                    raise self._given_up(error) from None
                lease.fail(error, self.kit.clock())
                self.record(error.attempt_status, cost_usd=None if _may_be_billed(error) else 0.0)
                tried.append(lease.place)
            except BaseException:  # cancelled, mostly: the place is not to blame, but the call was made
                lease.forget()
                self.record("cancelled")
                raise
            wait = self._wait_s(failure, retry, tried)
            if wait is None:
                raise self._given_up(failure) from None
            if wait > 0:
                await self.kit.sleep(wait)
        raise AssertionError("the last retry never waits")  # pragma: no cover

    async def _acquire(self, tried: list[Place]) -> Lease:
        """A place to call; a short cooldown is waited for."""
        until = self.kit.clock() + self.kit.retry.max_cooldown_s
        if self._deadline is not None:
            until = min(until, self._deadline)
        while True:
            try:
                return self.pool.acquire(avoid=tried)
            except Unavailable as error:
                wait = (error.retry_after_s or 0.0) * self.kit.rng.uniform(1.0, 1.1)
                if self.kit.clock() + wait >= until:
                    raise
            await self.kit.sleep(wait)

    def _wait_s(self, error: UpstreamError, retry: int, tried: list[Place]) -> float | None:
        """Seconds until the next try; None if there is to be none."""
        policy = self.kit.retry
        if retry + 1 >= policy.attempts:
            return None
        elsewhere = self.pool.others(tried)
        if isinstance(error, AuthFailed):
            return 0.0 if elsewhere else None
        if not error.retryable:
            return None
        if elsewhere:
            return 0.0
        if error.retry_after_s is not None and error.retry_after_s > policy.max_retry_after_s:
            return None
        wait = policy.wait_s(retry, self.kit.rng, retry_after_s=error.retry_after_s)
        wait = max(wait, self.pool.ready_in_s())
        left = self.left_s()
        return None if left is not None and wait >= left else wait

    def _given_up(self, error: UpstreamError) -> UpstreamError:
        error.attempts = tuple(self.attempts)
        return error

    def name_place(self, error: UpstreamError, place: Place) -> None:
        """Say in the error where it happened, and take out the key should the provider have repeated it."""
        error.detail = place.scrub(error.detail)
        error.args = (place.scrub(f"{self.pool.model.name} at {place.deployment.name}: {error}"),)

    # ------------------------------------------------------------------------------------------ time

    def left_s(self) -> float | None:
        """Seconds until the caller's deadline; None if there is none."""
        return None if self._deadline is None else self._deadline - self.kit.clock()

    def extend(self, deadline: float | None) -> None:
        """Set another deadline, for an answer that has begun."""
        self._deadline = deadline

    def _check_deadline(self) -> None:
        left = self.left_s()
        if left is not None and left <= 0:
            raise too_late()

    def elapsed_ms(self) -> float:
        """Milliseconds since the first try began."""
        return 1000.0 * (self.kit.clock() - self._began)

    # ------------------------------------------------------------------------------------------ request and account

    def request(self, place: Place) -> tuple[str, bytes]:
        """Path and body for a place, about to be sent: an attempt begins.

        Raises:
            Rejected: if the wire format cannot carry the request.
            BadInput: if it is not JSON.
        """
        name = place.model.upstream
        if name not in self._encoded:
            try:
                prepared = self.pool.wire.prepare(self.endpoint, place.model, self.body, stream=self._stream)
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                raise BadInput(f"the body is not of the form of this API ({type(error).__name__}: {error})") from error
            self._encoded[name] = prepared.path, encode(prepared.payload)
        self._sent_bytes = len(self._encoded[name][1])
        self._started, self._at = self.kit.clock(), self.kit.now()
        self._recorded = False
        return self._encoded[name]

    def measure(self, answer: Json, reported: object, *, partial: bool = False) -> Usage:
        """The usage of an answer, as far as it can be believed."""
        return measure(reported, self.body, answer, sent_bytes=self._sent_bytes, partial=partial)

    def settle(self, answer: Json, reported: object, *, first_token_ms: float | None = None) -> Completion:
        """Close the account of an answer that arrived whole."""
        usage = self.measure(answer, reported)
        cost = bill(self.pool.model, usage, reported)
        self.record("ok", usage=usage, cost_usd=cost.cost_usd)
        return Completion(
            model=self.pool.model.name,
            response=answer,
            usage=usage,
            cost_usd=cost.cost_usd,
            cost_source=cost.source,
            flags=cost.flags,
            latency_ms=self.elapsed_ms(),
            first_token_ms=first_token_ms,
            attempts=tuple(self.attempts),
        )

    def settle_partial(self, status: str, answer: Json, reported: object) -> None:
        """Close the account of an answer that ended early: the tokens that came are estimated and billed."""
        usage = self.measure(answer, reported, partial=True)
        self.record(status, usage=usage, cost_usd=bill(self.pool.model, usage).cost_usd)

    def record(self, status: str, *, usage: Usage | None = None, cost_usd: float | None = None) -> None:
        """Record the running attempt, unless that was done."""
        if self._recorded:
            return
        self._recorded = True
        attempt = Attempt(
            decision_id=self._decision_id,
            attempt=self._number,
            model=self.pool.model.name,
            at=self._at,
            status=status,
            latency_ms=1000.0 * (self.kit.clock() - self._started),
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cost_usd=cost_usd,
        )
        self._number += 1
        self.attempts.append(attempt)
        if self._on_attempt is not None:
            self._on_attempt(attempt)


def _may_be_billed(error: UpstreamError) -> bool:
    """Whether the provider may charge for a failed call: it does not where it said no."""
    return error.sent and error.http_status is None
