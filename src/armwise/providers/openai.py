"""The OpenAI format, which most providers and local servers speak: passed through, checked on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from armwise.contracts import Model
from armwise.providers.errors import BadResponse, ServerFault
from armwise.providers.sse import ServerSentEvent
from armwise.providers.wire import Endpoint, Json, Prepared, StreamDecoder, error_of, loads

_PATHS: dict[Endpoint, str] = {"chat": "chat/completions", "embeddings": "embeddings", "responses": "responses"}


class OpenAI:
    """Chat completions, responses and embeddings of OpenAI and of all that imitate it."""

    base_url = "https://api.openai.com/v1"
    prefills = False

    def headers(self, key: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    def prepare(self, endpoint: Endpoint, model: Model, body: Mapping[str, Any], *, stream: bool) -> Prepared:
        payload = {**body, "model": model.upstream or model.name}
        payload.pop("stream", None)
        payload.pop("stream_options", None)
        if stream:
            payload["stream"] = True
            if endpoint == "chat":  # always asked for: the bill depends on it
                payload["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return Prepared(_PATHS[endpoint], payload)

    def parse(self, endpoint: Endpoint, model: Model, data: Json) -> Json:
        if endpoint == "chat":
            check_choices(data, "message")
        elif not isinstance(data.get("data" if endpoint == "embeddings" else "output"), list):
            raise BadResponse(f"an answer without its list of {'data' if endpoint == 'embeddings' else 'output'}")
        return data

    def decoder(self, endpoint: Endpoint, model: Model) -> StreamDecoder:
        return ResponsesDecoder() if endpoint == "responses" else ChunkDecoder()


class ChunkDecoder:
    """Chunks as they come. ``[DONE]`` ends a stream; so does a finish reason for every choice, as some send no more."""

    def __init__(self) -> None:
        self.finished = self.ended = False
        self._open: set[int] = set()

    def feed(self, event: ServerSentEvent) -> list[Json]:
        if event.data == "[DONE]":
            self.finished = self.ended = True
            return []
        data = loads(event.data)
        raise_if_error(data)
        if data.get("choices") != []:
            check_choices(data, "delta")
            for choice in data["choices"]:
                index = choice.get("index", 0)
                if choice.get("finish_reason") is None:
                    self._open.add(index)
                else:
                    self._open.discard(index)
            self.finished = not self._open
        return [data]


class ResponsesDecoder:
    """Typed events of the responses API, passed on as they are."""

    def __init__(self) -> None:
        self.finished = self.ended = False

    def feed(self, event: ServerSentEvent) -> list[Json]:
        if event.data == "[DONE]":
            return []
        data = loads(event.data)
        kind = data.get("type")
        if kind == "response.failed":
            raise_if_error(data.get("response") or {"error": {"message": "the response failed"}})
        if kind == "error":
            raise_if_error({"error": data.get("error") or data})
        self.finished = self.ended = self.ended or kind in ("response.completed", "response.incomplete")
        return [data]


def raise_if_error(data: Json) -> None:
    """Raise ServerFault for an error that came in the place of an answer."""
    if data.get("error"):
        message, codes = error_of(data)
        raise ServerFault(f"error in the answer: {message or codes}"[:500])


def check_choices(data: Json, part: str) -> None:
    """Raise BadResponse unless each choice of a completion or chunk has its message or delta."""
    raise_if_error(data)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise BadResponse("an answer without choices")
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get(part), dict):
            raise BadResponse(f"an answer whose choice has no {part}")
        if not isinstance(choice.get("index", 0), int):
            raise BadResponse("an answer whose choice has an index that is no number")
        if not isinstance(choice.get("finish_reason"), (str, type(None))):
            raise BadResponse("an answer whose finish_reason is no text")
        logprobs = choice.get("logprobs")
        if logprobs is not None and not (
            isinstance(logprobs, dict) and isinstance(logprobs.get("content"), (list, type(None)))
        ):
            raise BadResponse("an answer whose logprobs are not of their form")
        _check_message(choice[part])


def _check_message(message: Json) -> None:
    if not isinstance(message.get("content"), (str, list, type(None))):
        raise BadResponse("an answer whose content is neither text nor parts")
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        raise BadResponse("an answer whose tool_calls are no list")
    for call in calls:
        function = call.get("function") or {} if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(call.get("index", 0), int):
            raise BadResponse("an answer with a tool call that is none")
        if not isinstance(function.get("name"), (str, type(None))):
            raise BadResponse("an answer with a tool call whose name is no text")
        if not isinstance(function.get("arguments"), (str, type(None))):
            raise BadResponse("an answer with a tool call whose arguments are no text")
