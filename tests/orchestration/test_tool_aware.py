"""Tool calls and formats are checked as they pass; arms whose calls are often invalid lose requests with tools."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from armwise import Request, Router
from armwise.constraints import ToolRule
from armwise.errors import BadInput
from armwise.orchestration.form import form_of
from armwise.providers.completion import Completion
from armwise.providers.usage import Usage
from armwise.testing.simulator import Failures, ProviderSimulator
from armwise.testing.tasks import TOOLS
from armwise.testing.tasks import make as make_task
from helpers import assert_same_state

Make = Callable[..., Router]


def signals(router: Router, decision_id: str) -> dict[str, float]:
    return {s.kind: s.value for s in router._log.signals(decision_id) if s.kind not in ("cost_usd", "latency_ms")}


def call(router: Router, seed: int, **settings: object) -> str:
    prompt = make_task("tool", difficulty=0.9, rng=Random(seed)).prompt
    return router.complete(Request.from_text(prompt, tools=TOOLS, **settings)).decision.id


def test_what_can_be_seen_without_judging_is_reported(make: Make, simulator: ProviderSimulator) -> None:
    router = make()
    assert signals(router, call(router, 0, arms={"large"}))["tool_valid"] == 1.0
    seen = [signals(router, call(router, seed, arms={"small"}))["tool_valid"] for seed in range(30)]
    assert {0.0, 1.0} == set(seen)
    shape = {"type": "json_object"}
    answer = router.complete(Request.from_text("What is 1 + 1?", response_format=shape, arms={"large"}))
    assert signals(router, answer.decision.id)["format_valid"] == 1.0
    simulator.set_failures(None, Failures(refusal=1.0))
    answer = router.complete(Request.from_text("What is 1 + 1?", arms={"large"}))
    assert signals(router, answer.decision.id)["refusal"] == 1.0
    assert "format_valid" not in signals(router, answer.decision.id)


def test_arms_whose_calls_are_invalid_lose_requests_with_tools(make: Make, simulator: ProviderSimulator) -> None:
    router = make(tools=ToolRule(min_validity=0.9, probe_every=10))
    for seed in range(40):
        call(router, seed, arms={"small"})
    excluded, allowed = 0, 0
    for _ in range(40):
        decision = router.decide(Request.from_text("Book it", tools=TOOLS))
        if "small" in decision.excluded:
            excluded += 1
            assert "valid in" in decision.excluded["small"]
            assert "below 90%" in decision.excluded["small"]
        else:
            allowed += 1
    assert (excluded, allowed) == (36, 4)  # every tenth is a probe
    assert "small" in router.decide("Hello").arms
    alone = router.decide(Request.from_text("Book it", tools=TOOLS, arms={"small"}))
    assert alone.arm == "small"  # better a poor caller than none
    again = Router(log=router._log, tools=ToolRule(min_validity=0.9))
    assert_same_state(again._decider.state(), router._decider.state())


def completion(message: object) -> Completion:
    return Completion(
        model="m",
        response={"choices": [{"message": message}]},
        usage=Usage(input_tokens=1, output_tokens=1),
        cost_usd=0.0,
        cost_source="model",
        flags=frozenset(),
        latency_ms=1.0,
        first_token_ms=None,
        attempts=(),
    )


def tool_call(name: str, arguments: str) -> Completion:
    return completion({"tool_calls": [{"function": {"name": name, "arguments": arguments}}]})


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        (tool_call("lookup_stock", '{"item": "kettle", "warehouse": 3}'), True),
        (tool_call("lookup_stock", '{"item": "kettle", "warehouse": "three"}'), False),
        (tool_call("lookup_stock", '{"item": "kettle"}'), False),
        (tool_call("lookup_stock", '{"item": "kettle", "warehouse": 3'), False),
        (tool_call("look_up", '{"item": "kettle", "warehouse": 3}'), False),
        (completion({"tool_calls": [{"type": "custom", "custom": {"input": "x"}}]}), True),
        (completion({"content": "No."}), None),
    ],
)
def test_calls_are_held_to_their_schemas(answer: Completion, valid: bool | None) -> None:
    assert form_of(answer, {"tools": TOOLS}).tools is valid


@pytest.mark.parametrize(
    ("text", "schema", "fits"),
    [
        ('{"a": 1}', {"type": "object", "required": ["a"]}, True),
        ('{"b": 1}', {"type": "object", "required": ["a"]}, False),
        ("not json", {}, False),
        ("[" * 100_000, {}, False),
        ('{"a": 1}', {"type": "no such type"}, True),  # a schema that is none asks for nothing but JSON
        ('{"a": 1}', {"$ref": "http://127.0.0.1:9/schema"}, True),  # and nothing is fetched for it
        ('{"a": 1}', "not an object", True),
    ],
)
def test_formats_are_held_to_their_schemas(text: str, schema: object, fits: bool) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert form_of(completion({"content": text}), {"response_format": shape}).format is fits


def test_a_tool_rule_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput, match="between 0 and 1, got 90"):
        ToolRule(min_validity=90)
    with pytest.raises(BadInput, match="at least 1, got 0"):
        ToolRule(min_validity=0.9, probe_every=0)
