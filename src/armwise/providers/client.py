"""The client of a whole pool of models: one way to ask, whatever they speak.

client = ProviderClient(models, keys=os.environ)
completion = await client.complete("small", {"messages": [...]}, decision_id=decision.id)
async with await client.stream("small", {"messages": [...]}) as stream:
    async for chunk in stream: ...
stream.completion.cost_usd
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random
from types import TracebackType
from typing import Any

import httpx

from armwise.contracts import Attempt, Model
from armwise.errors import BadInput, ConfigError, UnknownModel, unknown
from armwise.providers.billing import prices_of
from armwise.providers.breaker import BreakerSettings
from armwise.providers.call import Call, Kit
from armwise.providers.completion import Completion
from armwise.providers.deployment import Deployment, deployment_of
from armwise.providers.http import Http, HttpSettings, too_late, translated, within
from armwise.providers.pool import Lease, Pool
from armwise.providers.retry import RetryPolicy
from armwise.providers.stream import CompletionStream
from armwise.providers.wire import Endpoint, loads


class ProviderClient:
    """Calls models: translated, balanced over their deployments, retried, billed.

    Args:
        models: what can be called.
        deployments: where; a model without any gets the one that its own record describes.
        keys: name -> key, for the names in ``Model.api_key_env``; usually ``os.environ``.
        http, retry, breaker: limits, see their classes.
        transport: an httpx transport to send through, in place of the network.
        rng: for jitter and balance.
        clock, now, sleep: monotonic seconds, Unix time, and how to wait.

    A deadline is an instant of ``clock`` (``time.monotonic``), so that it can be handed on from call to call.

    Raises:
        ConfigError: on a key that is not set, a provider that does not exist, or a deployment of no model.
    """

    def __init__(
        self,
        models: Iterable[Model],
        *,
        deployments: Iterable[Deployment] = (),
        keys: Mapping[str, str] | None = None,
        http: HttpSettings | None = None,
        retry: RetryPolicy | None = None,
        breaker: BreakerSettings | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._http = Http(http or HttpSettings(), transport=transport, now=now)
        self._kit = Kit(self._http, retry or RetryPolicy(), rng or Random(), clock, now, sleep)
        self._breaker = breaker or BreakerSettings()
        self._keys = dict(keys or {})
        self._pools: dict[str, Pool] = {}
        given: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            given.setdefault(deployment.model, []).append(deployment)
        for model in models:
            self.add_model(model, given.pop(model.name, ()))
        if given:
            raise ConfigError(f"a deployment of an {unknown('model', next(iter(given)), self._pools)}")

    # ------------------------------------------------------------------------------------------ pool

    def add_model(self, model: Model, deployments: Iterable[Deployment] = ()) -> None:
        """Make a model callable, or give a known one new particulars.

        Raises:
            ConfigError: as the constructor does.
            BadInput: if it has no price.
        """
        prices_of(model)  # refuse here what could not be billed later
        self._pools[model.name] = Pool(
            model,
            list(deployments) or [deployment_of(model, self._keys)],
            settings=self._breaker,
            rng=self._kit.rng,
            clock=self._kit.clock,
        )

    def remove_model(self, name: str) -> None:
        """Call a model no more; calls in flight go on.

        Raises:
            UnknownModel: if there is none of that name.
        """
        self._pool(name)
        del self._pools[name]

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that can be called."""
        return tuple(pool.model for pool in self._pools.values())

    def ready_in_s(self, name: str) -> float:
        """Seconds until the model may be called: 0 unless every deployment of it is cooling down.

        Raises:
            UnknownModel: if there is none of that name.
        """
        return self._pool(name).ready_in_s()

    def healthy(self, name: str) -> bool:
        """Whether the model may be called now.

        Raises:
            UnknownModel: if there is none of that name.
        """
        return self.ready_in_s(name) == 0.0

    def cooling(self) -> frozenset[str]:
        """Names of the models that may not be called now."""
        return frozenset(name for name, pool in self._pools.items() if pool.ready_in_s() > 0.0)

    def health(self) -> dict[str, list[dict[str, Any]]]:
        """Model -> its deployments: name, phase of the breaker, calls in flight."""
        now = self._kit.clock()
        return {
            name: [
                {
                    "deployment": place.deployment.name,
                    "phase": place.breaker.phase(now).value,
                    "in_flight": place.in_flight,
                    "ready_in_s": place.breaker.ready_at(now) - now,
                }
                for place in pool.places
            ]
            for name, pool in self._pools.items()
        }

    # ------------------------------------------------------------------------------------------ calls

    async def complete(
        self,
        model: Model | str,
        body: Mapping[str, Any],
        *,
        decision_id: str = "",
        deadline: float | None = None,
        first_attempt: int = 0,
        on_attempt: Callable[[Attempt], None] | None = None,
    ) -> Completion:
        """Ask a model with the body of an OpenAI chat completion; what it speaks itself does not matter.

        Args:
            model: which; ``model``, ``stream`` and ``stream_options`` of the body are set for it.
            body: the request.
            decision_id: stands in every attempt.
            deadline: instant of the clock by which the answer must be there.
            first_attempt: number of the first attempt, where others were made for the decision before.
            on_attempt: called with each attempt as it ends, also where the caller is cancelled.

        Raises:
            UpstreamError: if no try succeeded; carries every attempt.
            UnknownModel: if there is none of that name.
            BadInput: if the body is not JSON.
        """
        return await self._whole("chat", model, body, decision_id, deadline, first_attempt, on_attempt)

    async def embed(
        self,
        model: Model | str,
        body: Mapping[str, Any],
        *,
        decision_id: str = "",
        deadline: float | None = None,
        first_attempt: int = 0,
        on_attempt: Callable[[Attempt], None] | None = None,
    ) -> Completion:
        """Pass a request for embeddings through, with the rules and the errors of :meth:`complete`."""
        return await self._whole("embeddings", model, body, decision_id, deadline, first_attempt, on_attempt)

    async def respond(
        self,
        model: Model | str,
        body: Mapping[str, Any],
        *,
        decision_id: str = "",
        deadline: float | None = None,
        first_attempt: int = 0,
        on_attempt: Callable[[Attempt], None] | None = None,
    ) -> Completion:
        """Pass a request of the responses API through, with the rules and the errors of :meth:`complete`."""
        return await self._whole("responses", model, body, decision_id, deadline, first_attempt, on_attempt)

    async def stream(
        self,
        model: Model | str,
        body: Mapping[str, Any],
        *,
        endpoint: Endpoint = "chat",
        decision_id: str = "",
        deadline: float | None = None,
        first_attempt: int = 0,
        on_attempt: Callable[[Attempt], None] | None = None,
    ) -> CompletionStream:
        """Ask a model and stream its answer; arguments and errors as in :meth:`complete`.

        Returns once the answer says something: until then it may be tried again. The last chunk carries usage if
        ``stream_options.include_usage`` asks for it. ``endpoint="responses"`` streams the events of that API.
        """
        if endpoint == "embeddings":
            raise BadInput("embeddings cannot be streamed")
        call = self._call(endpoint, model, body, True, decision_id, deadline, first_attempt, on_attempt)
        return await call.run(lambda lease: CompletionStream.open(call, lease))

    async def _whole(
        self,
        endpoint: Endpoint,
        model: Model | str,
        body: Mapping[str, Any],
        decision_id: str,
        deadline: float | None,
        first_attempt: int,
        on_attempt: Callable[[Attempt], None] | None,
    ) -> Completion:
        call = self._call(endpoint, model, body, False, decision_id, deadline, first_attempt, on_attempt)

        async def once(lease: Lease) -> Completion:
            path, content = call.request(lease.place)
            async with within(call.left_s(), too_late):
                response = await self._http.open(lease.place, path, content)
                try:
                    async with translated(begun=True):
                        raw = await response.aread()
                finally:
                    await response.aclose()
            answer = call.pool.wire.parse(endpoint, lease.place.model, loads(raw))
            completion = call.settle(answer, answer.get("usage"))
            lease.succeed()
            return completion

        return await call.run(once)

    def _call(
        self,
        endpoint: Endpoint,
        model: Model | str,
        body: Mapping[str, Any],
        stream: bool,
        decision_id: str,
        deadline: float | None,
        first_attempt: int,
        on_attempt: Callable[[Attempt], None] | None,
    ) -> Call:
        if not isinstance(body, Mapping):
            raise BadInput(f"the body must be an object, got {type(body).__name__}")
        return Call(
            self._kit,
            self._pool(model if isinstance(model, str) else model.name),
            endpoint,
            body,
            stream=stream,
            decision_id=decision_id,
            deadline=deadline,
            first_attempt=first_attempt,
            on_attempt=on_attempt,
        )

    def _pool(self, name: str) -> Pool:
        try:
            return self._pools[name]
        except KeyError:
            raise UnknownModel(unknown("model", name, self._pools)) from None

    # ------------------------------------------------------------------------------------------ end

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._http.aclose()

    async def __aenter__(self) -> ProviderClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
