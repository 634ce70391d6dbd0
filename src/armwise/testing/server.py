"""The simulator as an ASGI application: reads a wire format, lets a model answer, and spoils the answer as told.

POST /v1/chat/completions   /v1/responses   /v1/embeddings                     OpenAI
POST /v1/messages                                                              Anthropic
POST /v1beta/models/{model}:generateContent   :streamGenerateContent           Gemini (also under /v1)
GET  /v1/models                                                                OpenAI
POST /_simulator/{failures,script,outage,clear}   GET /_simulator/requests     control, from the test process
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import socket
import struct
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from armwise.errors import BadInput, unknown
from armwise.testing.answering import Ask, Reply, answer, count_tokens, pieces, refuse, stable_rng
from armwise.testing.continuing import question_of, rest
from armwise.testing.models import Failures, SimulatedModel, check_fault
from armwise.testing.wire import anthropic, gemini, openai, responses
from armwise.testing.wire.common import Malformed, sse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_REMEMBERED = 50_000
"""How many distinct requests are counted, and how many conversations cached."""


@dataclass(slots=True)
class State:
    """What can change about one model while the simulator runs."""

    model: SimulatedModel
    failures: Failures
    script: deque[str] = field(default_factory=deque)
    outage: int | str | None = None


class Hangup(Exception):
    """The client went away."""


@dataclass(slots=True)
class Exchange:
    """One request being answered."""

    scope: Message
    receive: Receive
    send: Send
    record: dict[str, Any]
    time_scale: float

    async def pause(self, seconds: float) -> None:
        """Wait, unless the client goes away first."""
        seconds *= self.time_scale
        if seconds <= 0:
            return
        try:
            message = await asyncio.wait_for(self.receive(), seconds)
        except TimeoutError:
            return
        if message["type"] == "http.disconnect":
            self.record["disconnected"] = True
            raise Hangup

    @property
    def transport(self) -> Any:
        """The transport of the connection; None once it is gone."""
        return self.scope["state"]["transports"].get(tuple(self.scope["client"]))

    async def breathe(self) -> None:
        """Let the event loop write, and notice a client that went away meanwhile."""
        await asyncio.sleep(0)
        if self.transport is None or self.transport.is_closing():
            self.record["disconnected"] = True
            raise Hangup

    async def start(self, status: int, content_type: str, length: int | None = None, **headers: str) -> None:
        self.record["status"] = status
        named = {"content-type": content_type, "x-request-id": self.record["id"], **headers}
        if length is not None:
            named["content-length"] = str(length)
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})

    async def body(self, data: bytes, *, more: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def json(self, status: int, data: Any, **headers: str) -> None:
        content = json.dumps(data, ensure_ascii=False).encode(errors="replace")
        await self.start(status, "application/json", len(content), **headers)
        await self.body(content)

    def drop(self, *, reset: bool) -> None:
        """End the connection: at once with a reset, or after what was written."""
        transport = self.transport
        if transport is None:
            raise Hangup
        if reset:
            link = transport.get_extra_info("socket")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()


class SimulatorApp:
    """The ASGI application. Everything runs in one event loop, so nothing is locked."""

    def __init__(
        self,
        models: Sequence[SimulatedModel],
        *,
        seed: int = 0,
        time_scale: float = 1.0,
        keys: Sequence[str] | None = None,
    ) -> None:
        if not models:
            raise BadInput("a simulator needs at least one model")
        self._models = {model.name: State(model, model.failures) for model in models}
        if len(self._models) < len(models):
            raise BadInput(f"simulated models must have different names, got {[model.name for model in models]}")
        self._seed = seed
        self._time_scale = time_scale
        self._keys = None if keys is None else frozenset(keys)
        self._asked: OrderedDict[int, int] = OrderedDict()
        self._cached: OrderedDict[int, None] = OrderedDict()
        self._requests: deque[dict[str, Any]] = deque(maxlen=1000)
        self._count = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        content = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content += message.get("body", b"")
            more = message.get("more_body", False)
        self._count += 1
        path = unquote(scope["path"])
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        record = {"id": f"req_{self._count}", "path": path, "headers": headers, "disconnected": False, "fault": "ok"}
        exchange = Exchange(scope, receive, send, record, self._time_scale)
        try:
            if path.startswith("/_simulator/"):
                await self._control(exchange, path.removeprefix("/_simulator/"), bytes(content))
            else:
                self._requests.append(record)
                await self._serve(exchange, scope["method"], path, bytes(content))
        except Hangup:
            pass

    # ------------------------------------------------------------------------------------------ control

    async def _control(self, exchange: Exchange, action: str, content: bytes) -> None:
        data = json.loads(content) if content else {}
        try:
            result = self._command(action, data)
        except (BadInput, TypeError) as error:
            await exchange.json(400, {"error": str(error)})
        else:
            await exchange.json(200, result)

    def _command(self, action: str, data: dict[str, Any]) -> Any:
        if action == "requests":
            return {"requests": list(self._requests), "count": self._count}
        chosen = list(self._models) if data.get("model") is None else [data["model"]]
        for name in chosen:
            if name not in self._models:
                raise BadInput(unknown("simulated model", name, self._models))
            state = self._models[name]
            if action == "failures":
                state.failures = Failures(**data["failures"])
            elif action == "script":
                for fault in data["faults"]:
                    check_fault(fault)
                state.script = deque(data["faults"])
            elif action == "outage":
                state.outage = data["outage"]
            elif action == "clear":
                state.failures, state.outage = state.model.failures, None
                state.script.clear()
                self._requests.clear()
            else:
                raise BadInput(unknown("control", action, ("requests", "failures", "script", "outage", "clear")))
        return {}

    # ------------------------------------------------------------------------------------------ serving

    async def _serve(self, exchange: Exchange, method: str, path: str, content: bytes) -> None:
        kind, url_model = _route(path)
        wire = {"messages": anthropic, "gemini": gemini}.get(kind, openai)
        exchange.record["kind"] = kind

        async def fail(status: int, message: str, **headers: str) -> None:
            await exchange.json(status, wire.error(status, message), **headers)

        if not self._authorised(exchange.record["headers"]):
            key = _key(exchange.record["headers"])
            return await fail(401, f"Incorrect API key provided: {key}. Find your key on your account page.")
        if kind == "models" and method == "GET":
            listing = [{"id": name, "object": "model", "created": 0, "owned_by": "simulator"} for name in self._models]
            return await exchange.json(200, {"object": "list", "data": listing})
        if kind == "unknown":
            return await fail(404, f"Unknown request URL: {method} {path}")
        try:
            body = json.loads(content)
            if not isinstance(body, dict):
                raise Malformed("the body must be a JSON object")
        except (ValueError, Malformed) as error:
            return await fail(400, f"We could not parse the JSON body of your request: {error}")
        exchange.record["body"] = body
        name = url_model or body.get("model")
        state = self._models.get(str(name))
        if state is None:
            return await fail(404, f"The model '{name}' does not exist or you do not have access to it.")
        exchange.record["model"] = name
        if state.outage is not None:
            exchange.record["fault"] = "outage"
            if state.outage == "reset":
                return exchange.drop(reset=True)
            return await fail(int(state.outage), "The server is down.")
        if kind == "embeddings":
            return await self._embed(exchange, state, body)
        try:
            ask = _read(kind, body, str(name), path)
            return await self._answer(exchange, state, kind, ask, body, fail)
        except (Malformed, KeyError, TypeError, AttributeError) as error:
            if "status" in exchange.record:  # already answering: the fault is the simulator's own
                raise
            return await fail(400, f"Invalid request: {type(error).__name__} {error}")

    def _authorised(self, headers: dict[str, str]) -> bool:
        return self._keys is None or _key(headers) in self._keys

    def _occurrence(self, key: tuple[object, ...]) -> int:
        """How often this very question was asked before."""
        mark = hash(key)
        seen = self._asked.pop(mark, 0)
        self._asked[mark] = seen + 1
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return seen

    def _cached_tokens(self, model: SimulatedModel, ask: Ask) -> int:
        """Input tokens of the earlier turns, if this model was asked them before; remembers this conversation."""
        if not model.caching:
            return 0
        last = max((at for at, (role, _) in enumerate(ask.turns) if role == "assistant"), default=0)
        before = ask.turns[:last]
        known = hash((model.name, before)) in self._cached if before else False
        self._cached[hash((model.name, ask.turns))] = None
        if len(self._cached) > _REMEMBERED:
            self._cached.popitem(last=False)
        return sum(len(pieces(text)) + 4 for _, text in before) if known else 0

    async def _answer(
        self,
        exchange: Exchange,
        state: State,
        kind: str,
        ask: Ask,
        body: dict[str, Any],
        fail: Callable[..., Awaitable[None]],
    ) -> None:
        model, failures = state.model, state.failures
        asked = (model.name, ask.turns, ask.images, tuple(ask.tools))
        seen = self._occurrence(asked)
        fault = _fault(state, stable_rng(self._seed, "fault", *asked, seen).random())
        exchange.record["fault"] = fault
        if fault == "error_in_stream" and not ask.stream:
            fault = "server_error"
        latency = (
            model.latency_ms
            / 1000
            * math.exp(model.latency_sigma * stable_rng(self._seed, "latency", *asked, seen).gauss(0.0, 1.0))
        )
        if fault == "reset":
            return exchange.drop(reset=True)
        if fault == "rate_limit":
            wait = failures.retry_after_s
            hint = {"retry_after": str(math.ceil(wait)), "retry_after_ms": str(round(wait * 1000))}
            return await fail(429, "Rate limit reached for requests.", **hint)
        if fault == "bad_request":
            return await fail(400, "This request cannot be processed by this model.")
        await exchange.pause(latency)
        if fault == "server_error":
            return await fail(failures.server_status, "The server had an error while processing your request.")

        cached = self._cached_tokens(model, ask)
        again = "" if ask.fixed else seen
        question, said = question_of(ask)
        key = (model.name, question.turns, question.images, tuple(question.tools))
        replies = [
            answer(model, question, stable_rng(self._seed, *key, index, again), cached_tokens=cached)
            for index in range(ask.count)
        ]
        if said:
            replies = [replace(rest(r, said, ask.max_tokens), input_tokens=count_tokens(ask)) for r in replies]
        if fault == "refusal":
            replies = [refuse(ask)] * ask.count
        elif fault == "empty":
            replies = [replace(reply, text="", calls=(), finish="stop", output_tokens=0) for reply in replies]
        elif fault == "wrong_usage":
            replies = [
                replace(reply, input_tokens=reply.input_tokens * 1000, output_tokens=reply.output_tokens * 1000 + 5000)
                for reply in replies
            ]
        reply_id = f"{stable_rng(self._seed, 'id', *asked, seen).getrandbits(64):016x}"
        if ask.stream:
            include = (body.get("stream_options") or {}).get("include_usage", False)
            events = _events(kind, ask, replies, reply_id, include_usage=include)
            await self._stream(exchange, state, kind, events, fault)
        else:
            await exchange.pause(model.ms_per_token / 1000 * sum(reply.output_tokens for reply in replies))
            await self._send_whole(exchange, failures, _whole(kind, ask, replies, reply_id), fault)
        return None

    async def _send_whole(self, exchange: Exchange, failures: Failures, data: Any, fault: str) -> None:
        if fault == "stall":
            await exchange.pause(failures.stall_s)
        if fault == "missing_usage":
            data = _without_usage(data)
        content = json.dumps(data, ensure_ascii=False).encode(errors="replace")
        if fault == "garbage":
            content = b"<html><body>502 Bad Gateway</body></html>"
        if fault == "odd_chunks":
            await exchange.start(200, "application/json")
            for part in _odd(content):
                await exchange.body(part, more=True)
            return await exchange.body(b"")
        await exchange.start(200, "application/json", len(content))
        if fault == "cut":
            await exchange.body(content[: len(content) // 2], more=True)
            return exchange.drop(reset=False)
        return await exchange.body(content)

    async def _stream(self, exchange: Exchange, state: State, kind: str, events: list[bytes], fault: str) -> None:
        await exchange.start(200, "text/event-stream; charset=utf-8")
        if fault == "missing_usage":
            events = [_event_without_usage(event) for event in events]
        if fault == "odd_chunks":
            joined = b": keep-alive\n\n\n".join([b"", *events]).replace(b"\n", b"\r\n")
            events = _odd(joined)
        for at, event in enumerate(events):
            if at and state.model.ms_per_token:
                await exchange.pause(state.model.ms_per_token / 1000)
            elif at % 8 == 7:
                await exchange.breathe()
            if fault == "stall" and at == 2:
                await exchange.pause(state.failures.stall_s)
            if fault == "cut" and at == len(events) // 2:
                await exchange.body(event[: len(event) // 2], more=True)
                return exchange.drop(reset=False)
            if fault == "garbage" and at == 2:
                event = event[: len(event) // 2] + b"\n\n"
            if fault == "error_in_stream" and at == 2:
                event = _error_event(kind)
                await exchange.body(event)
                return None
            await exchange.body(event, more=True)
        return await exchange.body(b"")

    async def _embed(self, exchange: Exchange, state: State, body: dict[str, Any]) -> None:
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            return await exchange.json(400, openai.error(400, "'input' must be a string or an array of strings"))
        await exchange.pause(state.model.latency_ms / 1000)
        rows = []
        for index, text in enumerate(texts):
            vector: Any = embed(text, body.get("dimensions") or 64)
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            rows.append({"object": "embedding", "index": index, "embedding": vector})
        tokens = sum(len(pieces(text)) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return await exchange.json(200, {"object": "list", "data": rows, "model": body["model"], "usage": usage})


def embed(text: str, dimensions: int) -> list[float]:
    """A bag of hashed letter trigrams of unit length: texts that share wording are near each other."""
    vector = [0.0] * dimensions
    padded = f"  {text.casefold()} "
    for at in range(len(padded) - 2):
        digest = hashlib.blake2b(padded[at : at + 3].encode(), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "big") % dimensions] += 1.0 if digest[4] & 1 else -1.0
    norm = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / norm for x in vector]


def _route(path: str) -> tuple[str, str | None]:
    for prefix in ("/v1beta/", "/v1/"):
        if path.startswith(prefix):
            rest = path.removeprefix(prefix)
            if rest.startswith("models/") and ":" in rest:
                model, _, action = rest.removeprefix("models/").rpartition(":")
                return ("gemini", model) if action.endswith("enerateContent") else ("unknown", None)
            kinds = {"chat/completions": "chat", "responses": "responses", "embeddings": "embeddings"}
            kinds |= {"messages": "messages", "models": "models"}
            return kinds.get(rest, "unknown"), None
    return "unknown", None


def _key(headers: dict[str, str]) -> str:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return bearer or headers.get("x-api-key") or headers.get("x-goog-api-key") or ""


def _read(kind: str, body: dict[str, Any], model: str, path: str) -> Ask:
    if kind == "gemini":
        return gemini.ask(body, model, stream=path.endswith(":streamGenerateContent"))
    return {"chat": openai.ask, "responses": responses.ask, "messages": anthropic.ask}[kind](body)


def _whole(kind: str, ask: Ask, replies: list[Reply], reply_id: str) -> dict[str, Any]:
    if kind == "chat":
        return openai.whole(ask, replies, reply_id)
    if kind == "gemini":
        return gemini.whole(ask, replies, reply_id)
    if kind == "responses":
        return responses.whole(ask, replies[0], reply_id)
    return anthropic.whole(ask, replies[0], reply_id)


def _events(kind: str, ask: Ask, replies: list[Reply], reply_id: str, *, include_usage: bool) -> list[bytes]:
    if kind == "chat":
        return openai.events(ask, replies, reply_id, include_usage=include_usage)
    if kind == "gemini":
        return gemini.events(ask, replies, reply_id)
    if kind == "responses":
        return responses.events(ask, replies[0], reply_id)
    return anthropic.events(ask, replies[0], reply_id)


def _fault(state: State, u: float) -> str:
    if state.script:
        return state.script.popleft()
    return state.failures.struck(u) or "ok"


def _odd(content: bytes) -> list[bytes]:
    """The same bytes in pieces of 1, 2, 3, 5, 8, ... bytes: letters and events get cut through the middle."""
    parts: list[bytes] = []
    at, sizes = 0, (1, 2, 3, 5, 8, 13, 21, 34, 55)
    while at < len(content):
        size = sizes[len(parts) % len(sizes)]
        parts.append(content[at : at + size])
        at += size
    return parts


def _without_usage(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_usage(value) for key, value in data.items() if key not in ("usage", "usageMetadata")}
    return [_without_usage(item) for item in data] if isinstance(data, list) else data


def _event_without_usage(event: bytes) -> bytes:
    head, _, data = event.rpartition(b"data: ")
    if not data.startswith(b"{"):
        return event
    return head + b"data: " + json.dumps(_without_usage(json.loads(data)), ensure_ascii=False).encode() + b"\n\n"


def _error_event(kind: str) -> bytes:
    if kind == "messages":
        return sse(anthropic.error(529, "Overloaded"), "error")
    if kind == "gemini":
        return sse(gemini.error(503, "The model is overloaded."))
    return sse(openai.error(500, "The server had an error while processing your request."))
