"""A simulator for the whole room, and a router in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from armwise import Router
from armwise.log import MemoryLog
from armwise.providers.breaker import BreakerSettings
from armwise.providers.client import ProviderClient
from armwise.providers.http import HttpSettings
from armwise.providers.retry import RetryPolicy
from armwise.testing.simulator import ProviderSimulator, SimulatedModel

MODELS = (
    SimulatedModel("small", skill=0.3, latency_ms=0, input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
    SimulatedModel("middle", skill=0.6, latency_ms=0, input_usd_per_mtok=0.5, output_usd_per_mtok=2.0),
    SimulatedModel("large", skill=3.0, latency_ms=0, input_usd_per_mtok=3.0, output_usd_per_mtok=12.0),
)


@pytest.fixture(scope="session")
def running() -> Iterator[ProviderSimulator]:
    with ProviderSimulator(MODELS) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: ProviderSimulator) -> ProviderSimulator:
    running.clear()
    return running


@pytest.fixture
def impatient() -> Callable[[], ProviderClient]:
    """Clients that try once and wait for nothing."""
    return lambda: ProviderClient(
        (),
        http=HttpSettings(connect_s=2, read_s=0.4, idle_s=0.2),
        retry=RetryPolicy(attempts=1, max_cooldown_s=0.0),
        breaker=BreakerSettings(),
        rng=Random(0),
    )


@pytest.fixture
def make(simulator: ProviderSimulator, impatient: Callable[[], ProviderClient]) -> Iterator[Callable[..., Router]]:
    """Routers over the simulated models; their log is in memory and they are closed at the end."""
    made: list[Router] = []

    def new(**settings: Any) -> Router:
        base: dict[str, Any] = {"models": simulator.models(), "log": MemoryLog(), "seed": 0, "client": impatient()}
        router = Router(**base | settings)
        made.append(router)
        return router

    yield new
    for router in made:
        router.close()


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, with the plugin of anyio, which httpx brings."""
    return "asyncio"
