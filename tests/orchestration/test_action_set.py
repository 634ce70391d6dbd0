"""Whatever happens, no request goes outside its action set: the property that everything else may rely on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from armwise import Model, Objective, Request, Router
from armwise.contracts import SENSITIVITIES, Attempt, Decision
from armwise.errors import NoAnswer, NoEligibleArm
from armwise.orchestration import Fallback
from armwise.orchestration.fallback import REASONS
from armwise.plans import plan_arms
from armwise.providers.client import ProviderClient
from armwise.testing.simulator import FAULTS, ProviderSimulator

NAMES = ("small", "middle", "large")
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}

MODEL = st.fixed_dictionaries(
    {
        "clearance": st.sampled_from(SENSITIVITIES),
        "residency": st.sampled_from([None, "eu", "us"]),
        "tools": st.booleans(),
        "context_window": st.sampled_from([None, 20, 4000]),
    }
)
REQUEST = st.fixed_dictionaries(
    {
        "sensitivity": st.sampled_from(SENSITIVITIES),
        "residency": st.sampled_from([None, frozenset({"eu"}), frozenset({"eu", "us"})]),
        "tools": st.sampled_from([(), (TOOL,)]),
        "arms": st.sampled_from([None, frozenset({"small", "cascade"}), frozenset({"council", "large", "judged"})]),
        "session": st.sampled_from([None, "s"]),
        "max_output_tokens": st.sampled_from([None, 100]),
    }
)
PLANS = {
    "cascade": {"cascade": {"tiers": ["small", "middle"], "check": "logprob", "threshold": 0.6}},
    "checked": {"cascade": {"tiers": ["small", "middle"], "check": {"verifier": {"model": "large"}}}},
    "council": {"ensemble": {"members": ["small", "middle", "large"], "pick": "majority"}},
    "judged": {"ensemble": {"members": ["small", "middle"], "pick": {"judge": {"model": "large"}}}},
}


def may_see(model: Model, request: Request) -> bool:
    """The constraints, said once more and apart from the code that is tested."""
    return (
        SENSITIVITIES.index(model.clearance) >= SENSITIVITIES.index(request.sensitivity)
        and (request.residency is None or model.residency in request.residency)
        and (not request.tools or model.tools)
        and (model.context_window is None or model.context_window >= (request.max_output_tokens or 0))
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    kinds=st.tuples(MODEL, MODEL, MODEL),
    asked=st.lists(REQUEST, min_size=1, max_size=3),
    fault=st.sampled_from([None, "outage", *FAULTS]),
    reasons=st.sets(st.sampled_from(REASONS)),
    streamed=st.booleans(),
    paced=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_no_request_leaves_its_action_set(
    simulator: ProviderSimulator,
    impatient: Callable[[], ProviderClient],
    kinds: tuple[dict[str, Any], ...],
    asked: list[dict[str, Any]],
    fault: str | None,
    reasons: set[str],
    streamed: bool,
    paced: bool,
    seed: int,
) -> None:
    simulator.clear()
    if fault == "outage":
        simulator.outage()
    elif fault is not None and fault != "stall":  # stalls are slow, and timeouts are tested elsewhere
        rng = Random(seed)
        simulator.script(None, [rng.choice([fault, "ok"]) for _ in range(8)])
    models = [model(name, simulator, **kind) for name, kind in zip(NAMES, kinds, strict=True)]
    router = Router(
        models,
        arms=plan_arms(PLANS, models),
        objective=Objective.max_quality(spend_usd_per_request=1e-5) if paced else Objective.tradeoff(),
        policy="uniform",
        fallback=Fallback(reasons=frozenset(reasons)),
        client=impatient(),
        seed=seed,
    )
    with router:
        for settings_ in asked:
            attempts: list[Attempt] = []
            decisions: list[Decision] = []
            spy(router, attempts, decisions)
            request = Request.from_text("What is 2 + 3?", **settings_)
            before = len(simulator.requests())
            try:
                consume(router, request, streamed)
            except NoEligibleArm:
                assert len(simulator.requests()) == before  # fail closed: nothing was sent
                continue
            except NoAnswer:
                pass
            check(router, request, decisions, attempts, [r["model"] for r in simulator.requests()[before:]])


def model(name: str, simulator: ProviderSimulator, **kind: Any) -> Model:
    return next(m for m in simulator.models(**kind) if m.name == name)


def spy(router: Router, attempts: list[Attempt], decisions: list[Decision]) -> None:
    record, decide = Router.record, Router.decide

    def recorded(attempt: Attempt) -> None:
        attempts.append(attempt)
        record(router, attempt)

    def decided(request: Request | str) -> Decision:
        decisions.append(decide(router, request))
        return decisions[-1]

    router.record = recorded  # type: ignore[method-assign]
    router.decide = decided  # type: ignore[method-assign]


def consume(router: Router, request: Request, streamed: bool) -> None:
    if not streamed:
        router.complete(request)
        return
    with router.stream(request) as stream:
        for _ in stream:
            pass


def check(
    router: Router, request: Request, decisions: list[Decision], attempts: list[Attempt], received: list[str]
) -> None:
    (decision,) = decisions
    allowed = {model.name for arm in decision.arms for model in router.arm(arm).models}
    assert set(received) <= allowed
    assert {attempt.model for attempt in attempts} <= allowed
    assert len(attempts) == len(received)  # every call is in the log, and nothing else
    assert decision.arm in decision.arms
    for arm in decision.arms:
        assert request.arms is None or arm in request.arms
        for one in router.arm(arm).models:
            assert may_see(one, request), (arm, one.name)
    assert decision.propensity == decision.probabilities[decision.arm] > 0


@pytest.mark.anyio
async def test_nothing_is_sent_after_a_caller_has_gone(
    simulator: ProviderSimulator, impatient: Callable[[], ProviderClient]
) -> None:
    models = simulator.models()
    router = Router(models, arms=plan_arms(PLANS, models), seed=0, client=impatient())
    simulator.script(None, ["stall"] * 8)
    for arm in ("cascade", "council", "small"):
        task = asyncio.create_task(router.acomplete(Request.from_text("Hi", arms=frozenset({arm}))))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = len(simulator.requests())
        await asyncio.sleep(0.1)
        assert len(simulator.requests()) == before
    await router.aclose()
