"""Streams that break after they have said something, over real HTTP: the client sees one answer."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from armwise import Router
from armwise.contracts import Attempt
from armwise.errors import NoAnswer
from armwise.orchestration import AnswerStream, Fallback
from armwise.providers.client import ProviderClient
from armwise.testing.simulator import ProviderSimulator, SimulatedModel
from armwise.testing.tasks import TOOLS, score
from armwise.testing.tasks import make as make_task

pytestmark = pytest.mark.anyio

Make = Callable[..., Router]
ARMS = frozenset({"small", "middle", "large"})


def body(**more: Any) -> dict[str, Any]:
    question = {"role": "user", "content": "What is 12 + 30?"}
    return {"messages": [question], "stream_options": {"include_usage": True}, **more}


async def read(stream: AnswerStream) -> tuple[str, list[dict[str, Any]]]:
    chunks = [chunk async for chunk in stream]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas), chunks


def signals(router: Router, decision_id: str) -> dict[str, float]:
    return {signal.kind: signal.value for signal in router._log.signals(decision_id)}


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("fault", ["cut", "stall", "garbage", "error_in_stream"])
async def test_the_same_call_said_again_gives_the_very_same_answer(
    make: Make, simulator: ProviderSimulator, wire: str, fault: str
) -> None:
    drawn = make(models=simulator.models(wire)).decide("What is 12 + 30?").arm  # the same seed draws the same arm
    undisturbed, _ = await read(await make(models=simulator.models(wire)).astream(body()))
    router = make(models=simulator.models(wire))
    simulator.script(drawn, [fault])
    stream = await router.astream(body())
    text, chunks = await read(stream)
    answer = stream.answer
    if not answer.resumed:  # it broke before it had said anything, and another arm answered
        assert answer.fell_back
        return
    assert text == undisturbed == answer.text
    assert (answer.arm, answer.fell_back, [r.how for r in answer.resumed]) == (drawn, False, ["repeated"])
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [a.status == "ok" for a in answer.attempts] == [False, True]
    logged = [event for _, event in router._log.events() if isinstance(event, Attempt)]
    assert logged == list(answer.attempts)
    assert answer.cost_usd == sum(a.cost_usd or 0.0 for a in answer.attempts)
    assert all(a.cost_usd for a in answer.attempts)  # what had come of the broken one is billed too
    usage = chunks[-1]["usage"]
    assert usage["prompt_tokens"] == sum(a.input_tokens or 0 for a in answer.attempts) == answer.usage.input_tokens
    assert usage["completion_tokens"] == sum(a.output_tokens or 0 for a in answer.attempts)
    assert not {"error", "unavailable"} & set(signals(router, answer.decision.id))
    await router.aclose()


async def test_several_choices_are_said_again_or_not_gone_on_with(make: Make, simulator: ProviderSimulator) -> None:
    def spoken(chunks: list[dict[str, Any]]) -> list[str]:
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        of = [[c["delta"].get("content") or "" for c in choices if c["index"] == at] for at in (0, 1)]
        return ["".join(parts) for parts in of]

    drawn = make().decide("What is 12 + 30?").arm
    _, undisturbed = await read(await make().astream(body(n=2)))
    router = make()
    simulator.script(drawn, ["cut"])
    stream = await router.astream(body(n=2))
    _, chunks = await read(stream)
    assert [r.how for r in stream.answer.resumed] == ["repeated"]
    assert spoken(chunks) == spoken(undisturbed)
    assert all(spoken(chunks))
    ends = [c["index"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"] is not None]
    assert sorted(ends) == [0, 1]
    await router.aclose()

    router = make()
    simulator.clear()
    simulator.script(drawn, ["cut", *["server_error"] * 9])
    before = len(simulator.requests())
    stream = await router.astream(body(n=2))
    with pytest.raises(NoAnswer):  # no other arm is shown several beginnings
        await read(stream)
    assert {call["model"] for call in simulator.requests()[before:]} == {drawn}
    await router.aclose()


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
async def test_another_arm_of_the_action_set_goes_on(make: Make, simulator: ProviderSimulator, wire: str) -> None:
    router = make(models=simulator.models(wire), seed=3)
    simulator.script("middle", ["cut", "server_error", "server_error", "server_error"])
    stream = await router.astream(body())
    while stream.arm != "middle":  # which is to break
        await stream.aclose()
        stream = await router.astream(body())
    text, _ = await read(stream)
    answer = stream.answer
    assert text.endswith("42")
    assert text.count("Answer:") == 1
    (resumption,) = answer.resumed
    assert (resumption.how, answer.arm, answer.fell_back) == ("continued", resumption.arm, True)
    assert answer.arm in ARMS - {"middle"}
    assert answer.gave_up == {"middle": "cut_short"}
    assert 0 < resumption.after_characters < len(text)
    told = signals(router, answer.decision.id)
    assert (told["unavailable"], "error" in told) == (1.0, False)
    assert told["cost_usd"] == answer.cost_usd == sum(a.cost_usd or 0.0 for a in answer.attempts)
    await router.aclose()


async def test_it_breaks_again_and_again(make: Make, simulator: ProviderSimulator) -> None:
    drawn = make().decide("What is 12 + 30?").arm
    undisturbed, _ = await read(await make().astream(body()))
    router = make()
    simulator.script(drawn, ["garbage", "cut", "error_in_stream", "cut"])
    stream = await router.astream(body())
    text, chunks = await read(stream)
    assert text.endswith("42")
    assert text == undisturbed
    assert chunks[-1]["usage"]["completion_tokens"] == sum(a.output_tokens or 0 for a in stream.answer.attempts)
    assert len(stream.answer.attempts) > 3
    await router.aclose()


async def test_nobody_outside_the_action_set_goes_on(make: Make, simulator: ProviderSimulator) -> None:
    router = make()
    for fault in ("cut", "garbage", "error_in_stream"):
        simulator.clear()
        simulator.script("small", [fault, *["server_error"] * 9])
        simulator.script("middle", ["server_error"] * 9)
        stream = await router.astream({**body(), "model": "small"})
        with pytest.raises(NoAnswer) as failure:
            await read(stream)
        assert {call["model"] for call in simulator.requests()} == {"small"}
        assert failure.value.received is not None
        assert {"error", "unavailable"} & set(signals(router, stream.decision.id))
        router.orchestrator.client.add_model(router.arm("small").models[0])  # a new breaker
    await router.aclose()


async def test_half_a_tool_call_is_said_again_or_not_at_all(make: Make, simulator: ProviderSimulator) -> None:
    task = make_task("tool", difficulty=0.5, rng=Random(1))
    asked = {"messages": [{"role": "user", "content": task.prompt}], "tools": list(TOOLS), "model": "large"}
    router = make()
    simulator.script("large", ["cut"])
    stream = await router.astream(asked)
    await read(stream)
    assert stream.answer.resumed[0].how == "repeated"
    assert score(task, stream.answer.message) == 1.0
    assert len(stream.answer.message["tool_calls"]) == 1

    simulator.script("large", ["cut", "server_error"])
    stream = await router.astream(asked)
    with pytest.raises(NoAnswer):
        await read(stream)
    assert [call["body"]["messages"] for call in simulator.requests()] == [asked["messages"]] * 4  # never continued
    await router.aclose()


SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


@pytest.mark.parametrize(
    "shape", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}]
)
async def test_half_a_json_answer_is_gone_on_with_only_to_a_whole_one(
    make: Make, simulator: ProviderSimulator, shape: dict[str, Any]
) -> None:
    router = make()
    asked = body(response_format=shape, model="large")
    simulator.script("large", ["cut", "server_error"])
    stream = await router.astream(asked)
    text, _ = await read(stream)
    assert stream.answer.resumed[0].how == "continued"
    assert text == '{"answer": "42"}'
    simulator.script("large", ["cut", "server_error", "refusal"])
    with pytest.raises(NoAnswer):
        await read(await router.astream(asked))
    await router.aclose()


async def test_it_can_be_turned_off(make: Make, simulator: ProviderSimulator) -> None:
    router = make(fallback=Fallback(resume=False))
    simulator.script("large", ["cut"])
    with pytest.raises(NoAnswer, match="in the middle"):
        await read(await router.astream({**body(), "model": "large"}))
    assert len(simulator.requests()) == 1
    await router.aclose()


async def test_an_answer_that_keeps_coming_may_outlast_the_time_of_an_arm(
    make: Make, impatient: Callable[[], ProviderClient]
) -> None:
    slow = [SimulatedModel(name, skill=3.0, latency_ms=0, ms_per_token=20) for name in ("one", "two")]
    with ProviderSimulator(slow) as simulator:
        router = make(models=simulator.models(), client=impatient(), fallback=Fallback(arm_timeout_s=0.2))
        stream = await router.astream(body())
        text, _ = await read(stream)
        assert text.endswith("42")
        assert stream.answer.latency_ms > 200
        assert not stream.answer.resumed
        await router.aclose()
