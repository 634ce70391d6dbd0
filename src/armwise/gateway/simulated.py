"""A live gateway for newcomers: simulated providers on loopback, no key, no configuration, nothing kept."""

from __future__ import annotations

from typing import Any

from armwise.config.gateway import GatewaySettings
from armwise.gateway.app import Gateway
from armwise.pacing import Objective
from armwise.router import Router
from armwise.testing.simulator import DEFAULT_MODELS, ProviderSimulator


def providers() -> ProviderSimulator:
    """Three models with a price ladder; in a process of their own."""
    return ProviderSimulator(DEFAULT_MODELS, process=True)


def gateway(simulator: ProviderSimulator, **settings: Any) -> Gateway:
    """A gateway in front of them. It learns, and forgets when it ends."""
    router = Router(models=simulator.models(), objective=Objective.tradeoff(), log=":memory:")
    return Gateway(router, GatewaySettings(**settings))


def hint(url: str) -> str:
    """What to try first."""
    return f"""\
Three simulated models answer: no key, no network. Ask them something in another terminal:

  curl {url}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "armwise/auto", "messages": [{{"role": "user", "content": "What is 12 + 30?"}}]}}'

or with the client that you have:

  OpenAI(base_url="{url}/v1", api_key="any").chat.completions.create(model="armwise/auto", messages=[...])
"""
