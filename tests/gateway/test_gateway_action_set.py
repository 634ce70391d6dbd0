"""Constraints come first: whatever happens, no model outside the action set is sent a request.

What is checked is what the providers received.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from armwise import Objective, Router
from armwise.contracts import SENSITIVITIES, Budget, Model, Request
from armwise.errors import ArmwiseError
from armwise.orchestration import Fallback
from armwise.plans import plan_arms
from armwise.providers.client import ProviderClient
from armwise.providers.retry import RetryPolicy
from armwise.sensitivity import Detector
from armwise.testing.simulator import FAULTS, ProviderSimulator, SimulatedModel

PLACES: dict[str, dict[str, Any]] = {
    "open-us": {"residency": "us", "clearance": "public"},
    "open-eu": {"residency": "eu", "clearance": "public"},
    "safe-eu": {"residency": "eu", "clearance": "confidential"},
    "vault-eu": {"residency": "eu", "clearance": "restricted", "tools": False},
    "nowhere": {"clearance": "internal"},
    "tiny-us": {"residency": "us", "clearance": "restricted", "context_window": 64},
}
PLANS: dict[str, Any] = {
    "all": {"cascade": {"tiers": list(PLACES)}},
    "two": {"cascade": {"tiers": ["safe-eu", "open-eu"], "check": {"verifier": {"model": "safe-eu"}}}},
    "vote": {"ensemble": {"members": ["safe-eu", "vault-eu", "open-us"], "pick": "majority"}},
    "judged": {"ensemble": {"members": ["safe-eu", "vault-eu"], "pick": {"judge": {"model": "vault-eu"}}}},
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
TEXTS = {
    "What is 12 + 30?": "public",
    "Write to bob.smith@example.org": "confidential",
    "Use AKIAIOSFODNN7EXAMPLE": "restricted",
}


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[ProviderSimulator, list[Model]]]:
    simulated = [SimulatedModel(name, skill=0.6, latency_ms=0.1, verbosity=0.0) for name in PLACES]
    with ProviderSimulator(simulated, seed=0, time_scale=0.0) as simulator:
        yield (
            simulator,
            [model.model(simulator.base_url, **PLACES[name]) for name, model in simulator.simulated.items()],
        )


def may_see(model: str, request: Request, needs: str) -> bool:
    """The rule, written anew: what the constraints mean."""
    place = PLACES[model]
    level = max(SENSITIVITIES.index(request.sensitivity), SENSITIVITIES.index(needs))
    return (
        SENSITIVITIES.index(place["clearance"]) >= level
        and (request.residency is None or place.get("residency") in request.residency)
        and (not request.tools or place.get("tools", True))
        and (request.max_output_tokens is None or request.max_output_tokens < place.get("context_window", 10**9))
    )


REQUESTS = st.builds(
    lambda text, **fields: (text, fields),
    st.sampled_from(list(TEXTS)),
    residency=st.none() | st.frozensets(st.sampled_from(["us", "eu"]), min_size=1),
    sensitivity=st.sampled_from(SENSITIVITIES),
    tools=st.sampled_from([(), (TOOL,)]),
    max_output_tokens=st.none() | st.sampled_from([10, 100]),
    session=st.none() | st.sampled_from(["s1", "s2"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.lists(REQUESTS, min_size=1, max_size=6),
    faults=st.lists(st.sampled_from([*FAULTS, "ok"]), max_size=12),
    outage=st.none() | st.sampled_from(list(PLACES)) | st.just("all"),
    policy=st.sampled_from(["thompson", "uniform", "squarecb"]),
    paced=st.booleans(),
    stream=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_nothing_ever_leaves_the_action_set(
    world: tuple[ProviderSimulator, list[Model]],
    requests: list[tuple[str, dict[str, Any]]],
    faults: list[str],
    outage: str | None,
    policy: str,
    paced: bool,
    stream: bool,
    seed: int,
) -> None:
    simulator, models = world
    simulator.clear()
    faults = [fault for fault in faults if fault != "stall"]
    simulator.script(None, faults)
    if outage is not None:
        simulator.outage(None if outage == "all" else outage)
    budgets = [Budget(usd=1e-5, per="day", hard_stop=True)] if paced else []
    arms = plan_arms(PLANS, models)

    async def play() -> None:
        client = ProviderClient(models, retry=RetryPolicy(attempts=2, base_s=0.0, max_retry_after_s=0.0))
        router = Router(
            models,
            arms=arms,
            policy=policy,
            seed=seed,
            objective=Objective.tradeoff(budgets=budgets),
            client=client,
            fallback=Fallback(max_arms=9),
            detector=Detector(),
        )
        for number, (text, fields) in enumerate(requests):
            request = Request(messages=[{"role": "user", "content": f"{text} ({number})"}], **fields)
            try:
                if stream:
                    async with await router.astream(request) as chunks:
                        async for _ in chunks:
                            pass
                else:
                    await router.acomplete(request)
            except ArmwiseError:
                pass  # fail closed is allowed; going elsewhere is not
        await router.aclose()

    asyncio.run(play())
    for received in simulator.requests():
        said = str(received["body"]["messages"])
        number = next(n for n in range(len(requests)) if f"({n})" in said)
        text, fields = requests[number]
        request = Request(messages=[], **fields)
        assert may_see(received["model"], request, TEXTS[text]), (received["model"], text, fields)


def test_an_empty_action_set_is_an_error_and_nothing_is_sent(world: tuple[ProviderSimulator, list[Model]]) -> None:
    simulator, models = world
    simulator.clear()
    router = Router([model for model in models if model.name.startswith("open")], detector=Detector())
    with pytest.raises(ArmwiseError, match="sensitivity restricted above its clearance public"):
        router.complete("Use AKIAIOSFODNN7EXAMPLE")
    assert simulator.requests() == []
    router.close()


def test_the_caller_may_settle_the_sensitivity_itself(world: tuple[ProviderSimulator, list[Model]]) -> None:
    _, models = world
    router = Router(models, detector=Detector())
    text = "Use AKIAIOSFODNN7EXAMPLE"
    assert set(router.decide(text).arms) == {"vault-eu", "tiny-us"}
    assert "open-us" in router.decide(Request.from_text(text, screened=True)).arms
    router.close()
