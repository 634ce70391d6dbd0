"""The three endpoints that call models: chat completions, responses and embeddings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from armwise.config.gateway import GatewaySettings
from armwise.contracts import Decision
from armwise.errors import ArmwiseError, BadInput
from armwise.gateway.asking import Asked, Asking
from armwise.gateway.door import Door, Handler
from armwise.gateway.durability import Durability
from armwise.gateway.exchange import Exchange
from armwise.gateway.failures import error_body
from armwise.gateway.hangup import Hangup
from armwise.gateway.reading import Gone
from armwise.orchestration.answer import Answer
from armwise.orchestration.stream import AnswerStream
from armwise.providers.wire import Endpoint, Json
from armwise.router import Router

_EVENT_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Answering:
    """Handlers of the endpoints that call models."""

    def __init__(
        self, router: Router, settings: GatewaySettings, door: Door, asking: Asking, durability: Durability
    ) -> None:
        self._router = router
        self._settings = settings
        self._door = door
        self._asking = asking
        self._durability = durability

    def handler(self, endpoint: Endpoint) -> Handler:
        """Of one endpoint."""

        async def handle(exchange: Exchange) -> None:
            body = await self._door.body(exchange)
            asked = self._asking.read(body, exchange.headers, exchange.caller, endpoint)
            exchange.model = asked.model
            stream = body.get("stream")
            if stream is not None and not isinstance(stream, bool):
                raise BadInput(f"stream must be true or false, got {type(stream).__name__}")
            exchange.streamed = bool(stream)
            answering = _Answering(self._router, self._settings, self._durability, exchange, asked, endpoint)
            async with Hangup(exchange.receive):
                await (answering.stream() if stream else answering.whole())

        return handle


class _Answering:
    """One request."""

    def __init__(
        self,
        router: Router,
        settings: GatewaySettings,
        durability: Durability,
        exchange: Exchange,
        asked: Asked,
        endpoint: Endpoint,
    ) -> None:
        self._router = router
        self._settings = settings
        self._durability = durability
        self._exchange = exchange
        self._asked = asked
        self._endpoint: Endpoint = endpoint
        self._ticket = 0
        exchange.when_decided(self._decided)

    def _decided(self) -> None:
        """The log starts to write while the model thinks."""
        self._ticket = self._durability.ticket()

    async def whole(self) -> None:
        """Answer in one piece."""
        answer = await self._router.acomplete(
            self._asked.request,
            body=self._asked.body,
            endpoint=self._endpoint,
            timeout_s=self._settings.request_timeout_s,
            watch=self._exchange,
        )
        self._exchange.answer = answer
        content = json.dumps({**answer.response, "armwise": account(answer)}).encode()
        headers = _headers(answer.decision, answer.arm) | {"x-armwise-cost-usd": f"{answer.cost_usd:.9g}"}
        await self._durability.wait(self._ticket)
        await self._exchange.whole(200, content, headers)

    async def stream(self) -> None:
        """Answer piece by piece."""
        async with await self._router.astream(
            self._asked.request,
            body=self._asked.body,
            endpoint=self._endpoint,
            timeout_s=self._settings.request_timeout_s,
            watch=self._exchange,
        ) as stream:
            raw = [(name.encode(), value.encode()) for name, value in _headers(stream.decision, stream.arm).items()]
            await self._exchange.begin(200, [*_EVENT_STREAM, *raw])
            try:
                await (self._chunks(stream) if self._endpoint == "chat" else self._events(stream))
            except ArmwiseError as error:
                self._exchange.error = error
                await self._write(self._broken(error_body(error, request_id=self._exchange.id, begun=True)), more=False)

    def _broken(self, body: Json) -> bytes:
        """The last event of a stream that there is no going on with; of the responses API, an event of that API."""
        if self._endpoint == "chat":
            return _event(body)
        told = {key: body["error"][key] for key in ("code", "message", "param")}
        return _named({"type": "error", **told, **body})

    async def _chunks(self, stream: AnswerStream) -> None:
        """Chunks as they come, but for the last: it carries the account, and waits until the decision is durable."""
        held: Json | None = None
        first = {"decision_id": stream.decision.id, "arm": stream.arm}
        async for chunk in stream:
            if first:
                chunk, first = {**chunk, "armwise": first}, {}
            if held is not None:
                await self._write(_event(held))
                held = None
            if _may_be_last(chunk):
                held = chunk
            else:
                await self._write(_event(chunk))
        self._exchange.answer = answer = stream.answer
        last = b"" if held is None else _event({**held, "armwise": account(answer)})
        await self._durability.wait(self._ticket)
        await self._write(last + b"data: [DONE]\n\n", more=False)

    async def _events(self, stream: AnswerStream) -> None:
        """Events of the responses API; the account goes into the last one's response."""
        held: Json | None = None
        async for event in stream:
            if held is not None:
                await self._write(_named(held))
            held = event
            if event.get("type") not in ("response.completed", "response.incomplete", "response.failed"):
                await self._write(_named(event))
                held = None
        self._exchange.answer = answer = stream.answer
        last = b""
        if held is not None:
            inner = {**(held.get("response") or {}), "armwise": account(answer)}
            last = _named({**held, "response": inner})
        await self._durability.wait(self._ticket)
        await self._write(last, more=False)

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        try:
            async with asyncio.timeout(self._settings.write_timeout_s):
                await self._exchange.write(data, more=more)
        except TimeoutError:
            raise Gone("the client left the answer unread for too long") from None


def account(answer: Answer) -> dict[str, Any]:
    """What the client is told about how its answer came to be."""
    told: dict[str, Any] = {
        "decision_id": answer.decision.id,
        "arm": answer.arm,
        "model": answer.model,
        "propensity": answer.decision.propensity,
        "cost_usd": answer.cost_usd,
        "latency_ms": round(answer.latency_ms, 3),
        "attempts": len(answer.attempts),
    }
    if answer.fell_back:
        told |= {"drawn": answer.decision.arm, "gave_up": dict(answer.gave_up)}
    if answer.resumed:
        told["resumed"] = [asdict(resumption) for resumption in answer.resumed]
    if answer.confidence is not None:
        told["confidence"] = answer.confidence
    return told


def _headers(decision: Decision, arm: str) -> dict[str, str]:
    """Names of arms may hold anything; headers may not."""
    return {
        "x-armwise-decision": decision.id,
        "x-armwise-arm": quote(arm, safe="/:@+ ,=()[]"),
        "x-armwise-propensity": f"{decision.propensity:.6g}",
    }


def _may_be_last(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    return not choices or any(choice.get("finish_reason") is not None for choice in choices)


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _named(data: Mapping[str, Any]) -> bytes:
    kind = str(data.get("type", "message")).replace("\n", " ").replace("\r", " ")
    return b"event: " + kind.encode() + b"\n" + _event(data)
