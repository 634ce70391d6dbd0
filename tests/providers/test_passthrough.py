"""Embeddings and the responses API: passed through, retried and billed like the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from armwise.errors import BadInput
from armwise.providers.client import ProviderClient
from armwise.providers.errors import CutShort, Rejected
from armwise.testing.simulator import ProviderSimulator

Make = Callable[..., ProviderClient]


@pytest.fixture
def provider() -> str:
    return "openai"


def run(client: ProviderClient, work: Callable[[ProviderClient], Any]) -> Any:
    async def inside() -> Any:
        async with client:
            return await work(client)

    return asyncio.run(inside())


def test_embeddings(make_client: Make, simulator: ProviderSimulator) -> None:
    body = {"model": "ignored", "input": ["hello there", "you"], "dimensions": 8}
    done = run(make_client(), lambda client: client.embed("good", body, decision_id="d"))
    assert [len(row["embedding"]) for row in done.response["data"]] == [8, 8]
    assert done.usage.input_tokens == done.response["usage"]["prompt_tokens"]
    assert done.usage.output_tokens == 0
    assert done.flags == frozenset()
    assert done.cost_usd == pytest.approx(done.usage.input_tokens / 1e6)
    assert simulator.requests()[-1]["body"]["model"] == "good"


def test_responses(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.script("good", ["server_error"])
    body = {"input": "What is 12 + 30?", "instructions": "Be brief."}
    done = run(make_client(), lambda client: client.respond("good", body))
    assert done.response["output"][0]["content"][0]["text"].endswith("42")
    assert done.usage.output_tokens == done.response["usage"]["output_tokens"] > 0
    assert done.flags == frozenset()
    assert [attempt.status for attempt in done.attempts] == ["http_500", "ok"]


def test_streamed_responses(make_client: Make) -> None:
    async def work(client: ProviderClient) -> Any:
        async with await client.stream("good", {"input": "What is 12 + 30?"}, endpoint="responses") as stream:
            events = [event async for event in stream]
        return events, stream.completion

    events, done = run(make_client(), work)
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == "response.completed"
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == done.response["output"][0]["content"][0]["text"]
    assert done.usage.output_tokens == done.response["usage"]["output_tokens"]
    assert done.flags == frozenset()


def test_a_broken_stream_of_responses_gives_its_text(make_client: Make, simulator: ProviderSimulator) -> None:
    simulator.script("good", ["cut"])
    texts: list[str] = []

    async def work(client: ProviderClient) -> None:
        async with await client.stream("good", {"input": "hello " * 30}, endpoint="responses") as stream:
            async for event in stream:
                texts.append(event.get("delta", ""))

    with pytest.raises(CutShort, match="middle") as caught:
        run(make_client(), work)
    assert caught.value.received is not None
    assert caught.value.received["output"][0]["content"][0]["text"] == "".join(texts) != ""
    assert caught.value.attempts[0].output_tokens


def test_what_cannot_be(make_client: Make, simulator: ProviderSimulator) -> None:
    with pytest.raises(BadInput, match="cannot be streamed"):
        run(make_client(), lambda client: client.stream("good", {"input": "x"}, endpoint="embeddings"))
    gemini = ProviderClient(simulator.models("gemini"))
    with pytest.raises(Rejected, match=r"good at 127\.0\.0\.1:.*has no embeddings"):
        run(gemini, lambda client: client.embed("good", {"input": "x"}))
