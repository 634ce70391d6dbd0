"""A gateway over real HTTP, in front of the simulator of providers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from serving import MODELS, Serve, Served

from armwise import Router
from armwise.config.gateway import GatewaySettings
from armwise.gateway import Gateway
from armwise.testing.simulator import ProviderSimulator


@pytest.fixture
def simulator() -> Iterator[ProviderSimulator]:
    with ProviderSimulator(MODELS, seed=0, time_scale=0.2) as running:
        yield running


@pytest.fixture
def serve(simulator: ProviderSimulator) -> Iterator[Serve]:
    """Starts gateways; stops them at the end of the test."""
    running: list[Served] = []

    def start(
        settings: dict[str, Any] | None = None, *, environment: dict[str, str] | None = None, **router: Any
    ) -> Served:
        made = Router(**{"models": simulator.models(), "log": ":memory:", "seed": 1, **router})
        config = GatewaySettings(**{"port": 0, "shutdown_s": 5.0, **(settings or {})})
        served = Served(Gateway(made, config, environment=environment or {}))
        running.append(served)
        return served

    yield start
    for served in running:
        served.stop()


@pytest.fixture
def served(serve: Serve) -> Served:
    """A gateway without keys."""
    return serve()
