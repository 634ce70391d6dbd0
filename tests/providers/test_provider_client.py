"""The contract of every provider client: each wire format, over real HTTP, in fair weather and foul."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from armwise.contracts import Attempt, Model
from armwise.errors import BadInput, ConfigError, UnknownModel
from armwise.providers.blocking import BlockingClient
from armwise.providers.breaker import BreakerSettings
from armwise.providers.client import ProviderClient
from armwise.providers.completion import Completion
from armwise.providers.errors import (
    AuthFailed,
    BadResponse,
    ConnectFailed,
    CutShort,
    DeadlineExceeded,
    RateLimited,
    Rejected,
    ServerFault,
    Timeout,
    Unavailable,
    UpstreamError,
)
from armwise.providers.retry import RetryPolicy
from armwise.testing.simulator import Failures, ProviderSimulator

KEY = "sk-test-0123456789abcdef"  # that of conftest.py
Make = Callable[..., ProviderClient]

ODD_TEXT = 'Grüße 漢字 🙂 \u202e עברית \x07 "quotes" \\ \n\t \u2028 end'
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def run(client: ProviderClient, work: Callable[[ProviderClient], Coroutine[Any, Any, Any]]) -> Any:
    async def inside() -> Any:
        async with client:
            return await work(client)

    return asyncio.run(inside())


def complete(client: ProviderClient, body: dict[str, Any], model: str = "good", **options: Any) -> Completion:
    result: Completion = run(client, lambda c: c.complete(model, body, decision_id="d1", **options))
    return result


def streamed(client: ProviderClient, body: dict[str, Any], **options: Any) -> tuple[list[dict[str, Any]], Completion]:
    async def work(client: ProviderClient) -> Any:
        async with await client.stream("good", body, decision_id="d1", **options) as stream:
            chunks = [chunk async for chunk in stream]
        return chunks, stream.completion

    result: tuple[list[dict[str, Any]], Completion] = run(client, work)
    return result


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


# ---------------------------------------------------------------------------------------------- fair weather


def test_a_plain_answer_with_its_bill(make_client: Make) -> None:
    completion = complete(make_client(), ask("What is 12 + 30?"))
    assert completion.text.endswith("Answer: 42")
    assert completion.response["object"] == "chat.completion"
    assert completion.finish_reason == "stop"
    assert not completion.refused
    usage = completion.usage
    assert usage.input_tokens == completion.response["usage"]["prompt_tokens"] > 0
    assert completion.cost_usd == pytest.approx((usage.input_tokens * 1.0 + usage.output_tokens * 4.0) / 1e6)
    assert completion.flags == frozenset()
    (attempt,) = completion.attempts
    assert attempt == Attempt(
        decision_id="d1",
        attempt=0,
        model="good",
        at=attempt.at,
        status="ok",
        latency_ms=attempt.latency_ms,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=completion.cost_usd,
    )
    assert 0 < attempt.latency_ms <= completion.latency_ms


def test_a_stream_says_what_the_plain_answer_says(make_client: Make) -> None:
    body = ask("What is 12 + 30?", stream_options={"include_usage": True})
    plain = complete(make_client(), body)
    chunks, completion = streamed(make_client(), body)
    assert text_of(chunks) == plain.text == completion.text
    assert completion.usage == plain.usage
    assert completion.cost_usd == plain.cost_usd
    assert completion.first_token_ms is not None
    assert 0 < completion.first_token_ms <= completion.latency_ms
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == plain.usage.input_tokens
    assert [a.status for a in completion.attempts] == ["ok"]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)


def test_usage_is_streamed_only_to_those_who_ask(make_client: Make) -> None:
    chunks, completion = streamed(make_client(), ask("What is 12 + 30?"))
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)
    assert completion.usage.output_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_round_trip(make_client: Make, stream: bool) -> None:
    def answered(body: dict[str, Any]) -> Completion:
        return streamed(make_client(), body)[1] if stream else complete(make_client(), body)

    body = ask("Ask weather for Paris please", tools=TOOLS)
    first = answered(body)
    (call,) = first.message["tool_calls"]
    assert first.finish_reason == "tool_calls"
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    body["messages"] = [
        {"role": "system", "content": "Be brief."},
        *body["messages"],
        first.message,
        {"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"},
    ]
    assert "21 degrees" in answered(body).text


def test_tool_choice_is_obeyed(make_client: Make) -> None:
    body = ask("Tell me something", tools=TOOLS)
    assert "tool_calls" not in complete(make_client(), body | {"tool_choice": "none"}).message
    assert complete(make_client(), body | {"tool_choice": "required"}).message["tool_calls"]
    named = {"type": "function", "function": {"name": "weather"}}
    assert complete(make_client(), body | {"tool_choice": named}).message["tool_calls"]


def test_images_arrive(make_client: Make) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]
    text = complete(make_client(), {"messages": [{"role": "user", "content": parts}]}).text
    assert "I see 2 image(s): image/png:" in text
    assert "https://example.com/cat.png" in text


def test_unicode_survives(make_client: Make) -> None:
    assert ODD_TEXT in complete(make_client(), ask(ODD_TEXT)).text
    assert ODD_TEXT in text_of(streamed(make_client(), ask(ODD_TEXT))[0])


def test_half_a_surrogate_pair_does_no_harm(make_client: Make) -> None:
    assert complete(make_client(), ask("broken \ud800 text")).text


@pytest.mark.parametrize("stream", [False, True])
def test_json_answers(make_client: Make, stream: bool) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
    body = ask(
        "What is 12 + 30?", response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    )
    completion = streamed(make_client(), body)[1] if stream else complete(make_client(), body)
    assert json.loads(completion.text) == {"answer": 42}
    assert completion.finish_reason == "stop"


def test_limits_and_stops_are_passed_on(make_client: Make) -> None:
    cut = complete(make_client(), ask("What is 12 + 30?", max_tokens=3))
    assert cut.finish_reason == "length"
    assert cut.usage.output_tokens == 3
    assert "Answer" not in complete(make_client(), ask("What is 12 + 30?", stop=["Answer"])).text


def test_a_refusal_is_an_answer_and_is_told(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.script("good", ["refusal", "refusal"])
    assert complete(make_client(), ask("hello")).refused
    assert streamed(make_client(), ask("hello"))[1].refused


def test_an_empty_answer_is_told(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.script("good", ["empty", "ok"])
    client = make_client()
    assert complete(client, ask("hello")).empty
    assert not complete(client, ask("hello")).empty


def test_many_at_once(make_client: Make) -> None:
    async def work(client: ProviderClient) -> list[Completion]:
        return await asyncio.gather(*(client.complete("good", ask(f"What is {n} + 1?")) for n in range(50)))

    for n, completion in enumerate(run(make_client(), work)):
        assert completion.text.endswith(f"Answer: {n + 1}")


def test_one_client_serves_several_event_loops(make_client: Make) -> None:
    client = make_client()
    assert complete(client, ask("What is 1 + 1?")).text == complete(client, ask("What is 1 + 1?")).text


def test_without_async(make_client: Make) -> None:
    with BlockingClient(make_client()) as client:
        assert client.complete("good", ask("What is 12 + 30?")).text.endswith("42")
        with client.stream("good", ask("What is 12 + 30?")) as stream:
            chunks = list(stream)
        assert text_of(chunks) == stream.completion.text
        with pytest.raises(UnknownModel, match="did you mean 'good'"):
            client.complete("goood", ask("hi"))


# ---------------------------------------------------------------------------------------------- foul weather


@pytest.mark.parametrize(
    ("fault", "status", "stream"),
    [
        ("server_error", "http_500", False),
        ("server_error", "http_500", True),
        ("rate_limit", "rate_limited", False),
        ("rate_limit", "rate_limited", True),
        ("reset", "connect_failed", False),
        ("reset", "connect_failed", True),
        ("garbage", "bad_response", False),
        ("cut", "cut_short", False),
        ("stall", "timeout", False),
    ],
)
def test_a_passing_fault_is_retried(
    make_client: Make, simulator: ProviderSimulator, fault: str, status: str, stream: bool
) -> None:
    simulator.set_failures("good", Failures(retry_after_s=0.05, stall_s=5))
    simulator.script("good", [fault])
    body = ask("Say 1")
    started = time.monotonic()
    completion = streamed(make_client(), body)[1] if stream else complete(make_client(), body, first_attempt=5)
    assert completion.text == "You said: Say 1"
    assert [a.status for a in completion.attempts] == [status, "ok"]
    assert [a.attempt for a in completion.attempts] == ([0, 1] if stream else [5, 6])
    if fault == "rate_limit":
        assert time.monotonic() - started >= 0.05
        assert completion.attempts[0].cost_usd == 0.0


def test_a_lasting_fault_is_raised_with_every_attempt(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(server_error=1, server_status=503))
    with pytest.raises(ServerFault, match=r"good at 127.0.0.1:\d+: HTTP 503") as caught:
        complete(make_client(), ask("hi"))
    assert [a.status for a in caught.value.attempts] == ["http_503"] * 3
    assert caught.value.http_status == 503


def test_a_long_retry_after_is_not_waited_for(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(rate_limit=1, retry_after_s=60))
    client = make_client()
    started = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        complete(client, ask("hi"))
    assert time.monotonic() - started < 1
    assert caught.value.retry_after_s == 60
    assert len(caught.value.attempts) == 1
    assert 50 < client.ready_in_s("good") <= 60
    with pytest.raises(Unavailable) as unavailable:
        complete(client, ask("hi"))
    assert time.monotonic() - started < 1
    assert unavailable.value.attempts == ()
    assert client.healthy("spare")


def test_a_short_cooldown_is_waited_for(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(retry_after_s=0.1))
    simulator.script("good", ["rate_limit"])

    async def work(client: ProviderClient) -> list[Completion]:
        return await asyncio.gather(*(client.complete("good", ask(f"What is {n} + 1?")) for n in range(10)))

    done = run(make_client(), work)
    assert len(done) == 10
    client = make_client()
    simulator.script("good", ["rate_limit"])
    with pytest.raises(RateLimited):
        complete(client, ask("hi"), deadline=time.monotonic() + 0.09)
    assert complete(client, ask("hi")).text


def test_silence_is_a_timeout(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(stall=1, stall_s=5))
    with pytest.raises(Timeout, match="no answer in time") as caught:
        complete(make_client(retry=RetryPolicy(attempts=1)), ask("hi"))
    assert [a.status for a in caught.value.attempts] == ["timeout"]
    assert caught.value.attempts[0].cost_usd is None


@pytest.mark.parametrize("fault", ["cut", "stall", "garbage", "error_in_stream"])
def test_a_stream_that_breaks_gives_what_was_received(
    make_client: Make, simulator: ProviderSimulator, fault: str
) -> None:
    simulator.set_failures("good", Failures(stall_s=5))
    simulator.script("good", [fault] * 3)
    seen: list[dict[str, Any]] = []

    async def work(client: ProviderClient) -> None:
        async with await client.stream("good", ask("What is 12 + 30?"), decision_id="d1") as stream:
            async for chunk in stream:
                seen.append(chunk)

    kinds = {"cut": CutShort, "stall": Timeout, "garbage": BadResponse, "error_in_stream": ServerFault}
    with pytest.raises(kinds[fault]) as caught:
        run(make_client(), work)
    if not seen:  # broke before it said anything: retried, and the retries broke as well
        assert len(caught.value.attempts) == 3
        return
    assert caught.value.received is not None
    text = caught.value.received["choices"][0]["message"]["content"]
    assert text == text_of(seen)
    assert text
    (attempt,) = caught.value.attempts
    assert attempt.status in ("cut_short", "timeout", "bad_response", "server_fault")
    assert attempt.output_tokens
    assert attempt.cost_usd


def test_odd_chunks_make_no_difference(make_client: Make, simulator: ProviderSimulator) -> None:
    body = ask(ODD_TEXT)
    plain = complete(make_client(), body).text
    simulator.script("good", ["odd_chunks", "odd_chunks"])
    assert complete(make_client(), body).text == plain
    assert streamed(make_client(), body)[1].text == plain


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["wrong_usage", "missing_usage"])
def test_usage_that_cannot_be_is_estimated_and_flagged(
    make_client: Make, simulator: ProviderSimulator, fault: str, stream: bool
) -> None:
    body = ask("What is 12 + 30? " * 20, stream_options={"include_usage": True})
    honest = complete(make_client(), body)
    simulator.script("good", [fault])
    chunks: list[dict[str, Any]] = []
    if stream:
        chunks, completion = streamed(make_client(), body)
    else:
        completion = complete(make_client(), body)
    word = "implausible" if fault == "wrong_usage" else "missing"
    assert completion.flags == {f"{word}_input", f"{word}_output"}
    assert honest.cost_usd / 3 < completion.cost_usd < honest.cost_usd * 3
    assert completion.attempts[0].cost_usd == completion.cost_usd
    if chunks and fault == "missing_usage":
        assert chunks[-1]["usage"]["completion_tokens"] == completion.usage.output_tokens


def test_a_request_that_the_model_does_not_take_is_not_retried(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(bad_request=1))
    client = make_client()
    for _ in range(8):
        with pytest.raises(Rejected) as caught:
            complete(client, ask("hi"))
        assert [a.status for a in caught.value.attempts] == ["http_400"]
    assert client.healthy("good")


def test_deadlines_hold_and_blame_nobody(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(stall=1, stall_s=5))
    client = make_client()
    for _ in range(6):
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            complete(client, ask("hi"), deadline=time.monotonic() + 0.03)
        assert time.monotonic() - started < 0.35
    assert client.healthy("good")
    with pytest.raises(DeadlineExceeded) as caught:
        complete(client, ask("hi"), deadline=time.monotonic() - 1)
    assert caught.value.attempts == ()

    async def work(client: ProviderClient) -> None:
        async with await client.stream("slow", ask("hello " * 40), deadline=time.monotonic() + 0.1) as stream:
            async for _ in stream:
                pass

    with pytest.raises(DeadlineExceeded) as late:
        run(make_client(), work)
    assert late.value.received is not None


def test_retries_stop_at_the_deadline(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(rate_limit=1, retry_after_s=2))
    started = time.monotonic()
    with pytest.raises(RateLimited):
        complete(make_client(), ask("hi"), deadline=time.monotonic() + 0.5)
    assert time.monotonic() - started < 0.45


def test_a_dead_model_is_left_alone_and_recovers_by_itself(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.outage("good")
    client = make_client(
        retry=RetryPolicy(attempts=1, max_cooldown_s=0),
        breaker=BreakerSettings(failures=3, cooldown_s=0.05, max_cooldown_s=0.1),
    )
    kinds = []
    for _ in range(10):
        with pytest.raises(UpstreamError) as caught:
            complete(client, ask("hi"))
        kinds.append(type(caught.value))
    assert kinds[:3] == [ServerFault] * 3
    assert kinds.count(Unavailable) >= 3
    simulator.outage("good", False)
    until = time.monotonic() + 2
    while not client.healthy("good") and time.monotonic() < until:
        time.sleep(0.01)
    assert complete(client, ask("hi")).text
    assert client.health()["good"][0]["phase"] == "closed"


def test_nobody_listening(provider: str) -> None:
    model = Model("gone", input_usd_per_mtok=1, output_usd_per_mtok=1, provider=provider, base_url="http://127.0.0.1:9")
    client = ProviderClient([model], retry=RetryPolicy(attempts=2, base_s=0.001))
    with pytest.raises(ConnectFailed) as caught:
        complete(client, ask("hi"), model="gone")
    assert [(a.status, a.cost_usd) for a in caught.value.attempts] == [("connect_failed", 0.0)] * 2


# ---------------------------------------------------------------------------------------------- leaving early


def test_a_stream_that_is_closed_hangs_up(make_client: Make, simulator: ProviderSimulator) -> None:
    seen: list[Attempt] = []

    async def work(client: ProviderClient) -> None:
        async with await client.stream("slow", ask("hello " * 200), on_attempt=seen.append) as stream:
            async for _ in stream:
                break
        with pytest.raises(BadInput, match="read it to the end"):
            _ = stream.completion
        assert client.health()["slow"][0]["in_flight"] == 0
        for _ in range(100):
            if simulator.requests()[-1]["disconnected"]:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the provider never saw the connection close")

    run(make_client(), work)
    (attempt,) = seen
    assert attempt.status == "cancelled"
    assert attempt.cost_usd


def test_a_cancelled_call_hangs_up_and_is_recorded(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.set_failures("good", Failures(stall=1, stall_s=5))
    seen: list[Attempt] = []

    async def work(client: ProviderClient) -> None:
        task = asyncio.create_task(client.complete("good", ask("hi"), on_attempt=seen.append))
        while not simulator.requests():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.health()["good"][0]["in_flight"] == 0
        for _ in range(100):
            if simulator.requests()[-1]["disconnected"]:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the provider never saw the connection close")

    run(make_client(), work)
    assert [a.status for a in seen] == ["cancelled"]


# ---------------------------------------------------------------------------------------------- keys


def test_a_key_is_sent_and_never_shown(
    make_client: Make, simulator: ProviderSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = make_client()
    complete(client, ask("hi"))
    assert KEY in str(simulator.requests()[-1]["headers"].values())
    shown = [repr(client), repr(client.health()), caplog.text]
    for pool in client._pools.values():
        shown += [repr(pool.places[0].deployment), str(pool.places[0].deployment), repr(pool.places[0])]
    wrong = "sk-wrong-key-0123"
    with pytest.raises(AuthFailed) as caught:  # the simulator repeats the key in its message
        complete(make_client(keys={"SIM_KEY": wrong}), ask("hi"))
    trace = "".join(traceback.format_exception(caught.value))
    shown += [str(caught.value), repr(caught.value), repr(vars(caught.value)), trace]
    assert [a.status for a in caught.value.attempts] == ["auth_failed"]
    assert "[key]" in str(caught.value)
    for text in shown:
        assert KEY not in text
        assert wrong not in text


def test_bad_settings_are_refused_at_birth(make_client: Make, provider: str) -> None:
    with pytest.raises(ConfigError, match="needs the key SIM_KEY, which is not set"):
        make_client(keys={})
    with pytest.raises(ConfigError, match="SIM_KEY holds a space") as caught:
        make_client(keys={"SIM_KEY": "sk-x\r\nhost: evil"})
    assert "evil" not in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'openai'"):
        ProviderClient([Model("x", input_usd_per_mtok=1, output_usd_per_mtok=1, provider="opnai")])
    with pytest.raises(BadInput, match="'gpt-4o-mini'"):
        ProviderClient([Model("gpt-4o-minni", provider=provider)])


def test_what_is_not_json_is_refused_before_it_is_sent(make_client: Make, simulator: ProviderSimulator) -> None:
    client = make_client()
    for odd in (float("nan"), {1, 2}):
        with pytest.raises(BadInput, match="not JSON"):
            complete(client, ask("hi", top_p=odd))
    assert simulator.requests() == []
    assert client.health()["good"][0]["in_flight"] == 0
