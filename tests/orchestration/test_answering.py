"""Decide, call, fall back, report: with single models, streamed and not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from armwise import Request, Router
from armwise.contracts import Attempt, Signal
from armwise.errors import BadInput, ConfigError, NoAnswer, NoEligibleArm
from armwise.orchestration import Answer, Fallback
from armwise.rewards import resolve
from armwise.testing.simulator import Failures, ProviderSimulator
from armwise.testing.tasks import TOOLS, score
from armwise.testing.tasks import make as make_task

pytestmark = pytest.mark.anyio

Make = Callable[..., Router]


def only(*arms: str, text: str = "What is 12 + 30?", **settings: Any) -> Request:
    return Request.from_text(text, arms=frozenset(arms), **settings)


def attempts(router: Router, decision_id: str) -> list[Attempt]:
    events = (event for _, event in router._log.events())
    return [event for event in events if isinstance(event, Attempt) and event.decision_id == decision_id]


def signals(router: Router, decision_id: str) -> dict[str, float]:
    return {signal.kind: signal.value for signal in router._log.signals(decision_id)}


def script(simulator: ProviderSimulator, **faults: list[str]) -> None:
    for model, list_ in faults.items():
        simulator.script(model, list_)


def first(answer: Answer) -> str:
    return answer.decision.arm


# -------------------------------------------------------------------------------------------- one arm


def test_an_answer_comes_with_its_decision_and_its_account(make: Make) -> None:
    router = make()
    answer = router.complete(only("large"))
    assert "42" in answer.text
    assert (answer.arm, answer.model, answer.fell_back, answer.gave_up) == ("large", "large", False, {})
    assert answer.decision.propensity == 1.0
    (attempt,) = answer.attempts
    assert attempts(router, answer.decision.id) == [attempt]
    assert (attempt.status, attempt.attempt, attempt.model) == ("ok", 0, "large")
    usage = answer.usage
    assert answer.cost_usd == pytest.approx((usage.input_tokens * 3.0 + usage.output_tokens * 12.0) / 1e6)
    assert signals(router, answer.decision.id) == {
        "cost_usd": answer.cost_usd,
        "latency_ms": answer.latency_ms,
        "output_tokens": usage.output_tokens,
    }
    assert resolve(router._log.signals(answer.decision.id)).quality is None  # nobody judged it


def test_what_the_caller_writes_reaches_the_model_as_it_is(make: Make, simulator: ProviderSimulator) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {
        "model": "armwise/auto",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is 1 + 1?"}, image]}],
        "tools": list(TOOLS),
        "response_format": {"type": "json_object"},
        "temperature": 0.25,
        "seed": 7,
        "user": "someone",
        "frobnicate": {"deep": [1, None]},
    }
    router = make(models=simulator.models(modalities=frozenset({"text", "image"})))
    answer = router.complete(body)
    (sent,) = [call["body"] for call in simulator.requests()]
    assert sent == {**body, "model": answer.model}
    assert answer.decision.context.tools
    assert answer.decision.context.modalities == {"text", "image"}


def test_a_request_and_a_body_can_be_given_together(make: Make, simulator: ProviderSimulator) -> None:
    messages = [{"role": "user", "content": "What is 2 + 3?"}]
    answer = make().complete(
        Request(messages=messages, tenant="t1", arms=frozenset({"small"})), body={"messages": messages, "top_p": 0.5}
    )
    assert answer.decision.tenant == "t1"
    assert simulator.requests()[-1]["body"]["top_p"] == 0.5


def test_without_a_body_the_request_says_all(make: Make, simulator: ProviderSimulator) -> None:
    make().complete(Request.from_text("Hi", tools=TOOLS, response_format={"type": "json_object"}, max_output_tokens=5))
    sent = simulator.requests()[-1]["body"]
    assert sent["tools"] == list(TOOLS)
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["max_completion_tokens"] == 5


def test_tool_calls_come_back(make: Make) -> None:
    task = make_task("tool", difficulty=0.5, rng=Random(1))
    answer = make().complete(Request.from_text(task.prompt, tools=TOOLS, arms=frozenset({"large"})))
    assert score(task, answer.message) == 1.0
    assert answer.finish_reason == "tool_calls"


async def test_inside_an_event_loop_complete_is_awaited(make: Make) -> None:
    router = make()
    answer = await router.complete("What is 12 + 30?")  # type: ignore[misc]  # for async code acomplete is typed
    assert isinstance(answer, Answer)
    assert (await router.acomplete("What is 12 + 30?")).text
    await router.aclose()


@pytest.mark.parametrize("endpoint", ["responses", "embeddings"])
def test_other_endpoints_go_to_plain_arms(make: Make, endpoint: Any) -> None:
    answer = make().complete({"input": "What is 1 + 1?"}, endpoint=endpoint)
    assert answer.response["object"] == {"responses": "response", "embeddings": "list"}[endpoint]
    assert answer.cost_usd > 0


# -------------------------------------------------------------------------------------------- streams


async def test_a_stream_ends_with_the_same_account(make: Make) -> None:
    router = make()
    async with await router.astream(only("large")) as stream:
        assert stream.decision.arm == stream.arm == "large"
        with pytest.raises(BadInput, match="read it to the end"):
            _ = stream.answer
        text = "".join([chunk["choices"][0]["delta"].get("content") or "" async for chunk in stream])
    assert text == stream.answer.text
    assert "42" in text
    assert signals(router, stream.decision.id)["cost_usd"] == stream.answer.cost_usd > 0
    assert [a.status for a in attempts(router, stream.decision.id)] == ["ok"]
    await router.aclose()


def test_a_stream_without_async(make: Make) -> None:
    with make().stream(
        {"messages": [{"role": "user", "content": "Hi"}], "stream_options": {"include_usage": True}}
    ) as s:
        chunks = list(s)
    assert chunks[-1]["usage"]["prompt_tokens"] == s.answer.usage.input_tokens
    assert s.answer.text.startswith("You said: Hi")


async def test_a_stream_that_is_left_is_billed_for_what_came(make: Make) -> None:
    router = make()
    stream = await router.astream(only("large"))
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    assert [a.status for a in attempts(router, stream.decision.id)] == ["cancelled"]
    assert set(signals(router, stream.decision.id)) == {"cost_usd"}
    await router.aclose()


async def test_a_stream_that_breaks_says_what_had_come(make: Make, simulator: ProviderSimulator) -> None:
    router = make(fallback=Fallback(resume=False))
    simulator.script("large", ["cut"])
    stream = await router.astream(only("large", "small"))
    while stream.arm != "large":
        await stream.aclose()
        stream = await router.astream(only("large", "small"))
    with pytest.raises(NoAnswer) as failure:
        async for _ in stream:
            pass
    assert failure.value.received is not None
    assert failure.value.gave_up == {"large": "cut_short"}
    assert signals(router, stream.decision.id)["unavailable"] == 1.0
    await router.aclose()


# -------------------------------------------------------------------------------------------- fallback


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("server_error", "http_500"),
        ("rate_limit", "rate_limited"),
        ("stall", "timeout"),
        ("reset", "connect_failed"),
        ("garbage", "bad_response"),
        ("bad_request", "http_400"),
        ("refusal", "refusal"),
        ("empty", "empty"),
    ],
)
async def test_a_failure_is_answered_by_the_next_best_arm(
    make: Make, simulator: ProviderSimulator, fault: str, why: str, streamed: bool
) -> None:
    if streamed and fault in ("stall", "garbage"):
        return  # strikes in the middle of a stream, where there is no way back
    router = make()
    drawn = router.decide("What is 12 + 30?").arm
    router = make()  # the same seed draws the same arm
    simulator.script(drawn, [fault])
    if streamed:
        async with await router.astream("What is 12 + 30?") as stream:
            async for _ in stream:
                pass
        answer = stream.answer
    else:
        answer = await router.acomplete("What is 12 + 30?")
    assert first(answer) == drawn
    assert answer.fell_back
    assert answer.gave_up == {drawn: why}
    utilities = {arm: u for arm, u in answer.decision.utilities.items() if arm != drawn}
    assert answer.arm == max(utilities, key=utilities.__getitem__)
    assert [a.attempt for a in answer.attempts] == [0, 1]
    assert answer.cost_usd == sum(a.cost_usd or 0.0 for a in answer.attempts)
    known = signals(router, answer.decision.id)
    of_content = fault in ("garbage", "bad_request", "refusal", "empty")
    assert (known.get("error"), known.get("unavailable")) == ((1.0, None) if of_content else (None, 1.0))
    assert known["cost_usd"] == answer.cost_usd
    outcome = resolve(router._log.signals(answer.decision.id))
    assert (outcome.error, outcome.quality) == (True, 0.0 if of_content else None)
    await router.aclose()


def test_no_arm_outside_the_action_set_is_asked(make: Make, simulator: ProviderSimulator) -> None:
    router = make()
    simulator.outage()
    with pytest.raises(NoAnswer) as failure:
        router.complete(only("small", "middle"))
    error = failure.value
    assert {call["model"] for call in simulator.requests()} == {"small", "middle"} == set(error.gave_up)
    assert error.status == 502
    assert error.decision_id
    assert [a.model for a in error.attempts] == list(error.gave_up)
    known = signals(router, error.decision_id)
    assert (known["unavailable"], known["cost_usd"]) == (1.0, 0.0)
    assert resolve(router._log.signals(error.decision_id)).quality is None  # nobody heard anything of the arm


async def test_an_outage_teaches_nothing_of_the_arms_quality(make: Make, simulator: ProviderSimulator) -> None:
    router = make()
    before = router.decide(only("small")).predictions.quality
    simulator.outage("small")
    for _ in range(5):
        await router.acomplete(only("small", "large"))
    for _ in range(5):
        with pytest.raises(NoAnswer):
            await router.acomplete(only("small"))
    assert router.decide(only("small")).predictions.quality == before
    await router.aclose()


def test_nothing_is_sent_where_no_arm_is_eligible(make: Make, simulator: ProviderSimulator) -> None:
    with pytest.raises(NoEligibleArm, match="clearance"):
        make().complete(Request.from_text("secret", sensitivity="restricted"))
    assert simulator.requests() == []


def test_if_all_refuse_the_first_refusal_is_delivered(make: Make, simulator: ProviderSimulator) -> None:
    for model in simulator.simulated:
        simulator.set_failures(model, Failures(refusal=1.0))
    answer = make().complete("What is 12 + 30?")
    assert answer.completion.refused
    assert answer.arm == first(answer)
    assert len(answer.gave_up) == 3


def test_what_every_model_rejects_is_not_held_against_the_arm(make: Make, simulator: ProviderSimulator) -> None:
    for model in simulator.simulated:
        simulator.set_failures(model, Failures(bad_request=1.0))
    router = make()
    with pytest.raises(NoAnswer) as failure:
        router.complete("What is 12 + 30?")
    assert failure.value.status == 400
    assert not {"error", "unavailable"} & set(signals(router, failure.value.decision_id))


def test_only_the_reasons_given_lead_on(make: Make, simulator: ProviderSimulator) -> None:
    router = make(fallback=Fallback(reasons=("timeout",)))
    simulator.outage()
    with pytest.raises(NoAnswer) as failure:
        router.complete("What is 12 + 30?")
    assert len(failure.value.gave_up) == 1


def test_the_order_given_comes_first(make: Make, simulator: ProviderSimulator) -> None:
    drawn = make().decide("What is 12 + 30?").arm
    others = sorted({"small", "middle", "large"} - {drawn})
    for order in (others, others[::-1]):
        simulator.script(drawn, ["server_error"])
        assert make(fallback=Fallback(order=tuple(order))).complete("What is 12 + 30?").arm == order[0]


def test_an_arm_that_takes_too_long_is_given_up(make: Make, simulator: ProviderSimulator) -> None:
    drawn = make().decide("What is 12 + 30?").arm
    simulator.script(drawn, ["stall"])
    answer = make(fallback=Fallback(arm_timeout_s=0.1)).complete("What is 12 + 30?")
    assert answer.gave_up == {drawn: "deadline"}
    simulator.script(None, ["stall"] * 3)
    with pytest.raises(NoAnswer) as failure:
        make().complete("What is 12 + 30?", timeout_s=0.1)
    assert failure.value.status == 504


def test_an_arm_that_left_the_pool_is_not_called(make: Make, simulator: ProviderSimulator) -> None:
    router = make()
    decided = router.decide

    def then_removed(request: Request | str) -> Any:
        decision = decided(request)
        router.remove_model(decision.arm)
        return decision

    router.decide = then_removed  # type: ignore[method-assign]
    answer = router.complete("What is 12 + 30?")
    assert answer.fell_back
    assert first(answer) not in {call["model"] for call in simulator.requests()}


async def test_a_cancelled_request_is_billed_and_judged_by_nobody(make: Make, simulator: ProviderSimulator) -> None:
    router = make()
    simulator.script("large", ["stall"])
    task = asyncio.create_task(router.acomplete(only("large")))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    events = [event for _, event in router._log.events()]
    assert [e.status for e in events if isinstance(e, Attempt)] == ["cancelled"]
    assert {e.kind for e in events if isinstance(e, Signal)} == {"cost_usd"}
    await router.aclose()


# -------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, "the body has no messages"),
        ({"messages": "Hi"}, "must be a list"),
        ({"messages": [1]}, "must be an object"),
        ({"messages": [], "response_format": "json"}, "response_format must be an object"),
        (Request(vector=None), "without messages"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_decided(make: Make, bad: Any, message: str) -> None:
    router = make()
    before = router._log.position
    with pytest.raises(BadInput, match=message):
        router.complete(bad)
    assert router._log.position == before


def test_a_body_that_is_no_object_is_refused(make: Make) -> None:
    with pytest.raises(BadInput, match="body must be an object, got list"):
        make().complete("Hi", body=[])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reasons": ("failur",)}, "did you mean 'failure'"),
        ({"max_arms": 0}, "at least 1, got 0"),
        ({"timeout_s": float("nan")}, "over 0 and finite"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Fallback(**settings)
