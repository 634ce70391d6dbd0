"""A simulator for the whole room, and a client for each wire format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from armwise.providers.client import ProviderClient
from armwise.providers.http import HttpSettings
from armwise.providers.retry import RetryPolicy
from armwise.testing.simulator import ProviderSimulator, SimulatedModel

KEY = "sk-test-0123456789abcdef"

MODELS = (
    SimulatedModel("good", skill=1.0, latency_ms=0, input_usd_per_mtok=1.0, output_usd_per_mtok=4.0),
    SimulatedModel("slow", skill=1.0, latency_ms=0, ms_per_token=4),
    SimulatedModel("spare", skill=1.0, latency_ms=0),
)


@pytest.fixture(scope="session")
def running() -> Iterator[ProviderSimulator]:
    with ProviderSimulator(MODELS, keys=[KEY]) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: ProviderSimulator) -> ProviderSimulator:
    running.clear()
    return running


@pytest.fixture(params=["openai", "anthropic", "gemini"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_client(simulator: ProviderSimulator, provider: str) -> Callable[..., ProviderClient]:
    """A client of the simulated models in one wire format, with little patience."""

    def make(**options: Any) -> ProviderClient:
        models = simulator.models(provider, api_key_env="SIM_KEY")
        settings: dict[str, Any] = {
            "keys": {"SIM_KEY": KEY},
            "http": HttpSettings(connect_s=2, read_s=0.4, idle_s=0.2),
            "retry": RetryPolicy(attempts=3, base_s=0.005, cap_s=0.01),
            "rng": Random(0),
        }
        return ProviderClient(models, **settings | options)

    return make
