"""Chunks back into the completion that they are pieces of."""

from __future__ import annotations

from typing import Any, Protocol

from armwise.providers.wire import Endpoint, Json

_TEXTS = ("content", "refusal", "reasoning_content")


class Accumulator(Protocol):
    """Takes the chunks of one stream; gives the answer so far at any time."""

    @property
    def usage(self) -> Json | None:
        """As the provider reported it, last wins."""
        ...

    def add(self, chunk: Json) -> bool:
        """Take in one chunk. Returns whether it says something: text, a tool call, an end."""
        ...

    def answer(self) -> Json:
        """The answer, as far as it was received."""
        ...


def accumulator(endpoint: Endpoint) -> Accumulator:
    """The accumulator for what an endpoint streams."""
    return ResponseAccumulator() if endpoint == "responses" else ChatAccumulator()


class ChatAccumulator:
    """Takes the chunks of one stream; gives the completion so far at any time."""

    def __init__(self) -> None:
        self._head: Json = {}
        self._choices: dict[int, _Choice] = {}
        self.usage: Json | None = None
        """As the provider reported it, last wins."""

    def add(self, chunk: Json) -> bool:
        """Take in one chunk. Returns whether it says something."""
        if not self._head:
            self._head = {key: chunk.get(key) for key in ("id", "created", "model")}
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        says = False
        for given in chunk.get("choices") or ():
            index = given.get("index", 0)
            if index not in self._choices:
                self._choices[index] = _Choice()
            says |= self._choices[index].add(given)
        return says

    def answer(self) -> Json:
        """The completion, as far as it was received."""
        choices = [choice.whole(index) for index, choice in sorted(self._choices.items())]
        data = {**self._head, "object": "chat.completion", "choices": choices}
        return data if self.usage is None else {**data, "usage": self.usage}


class ResponseAccumulator:
    """Takes the events of one streamed response. Its last event holds the whole of it."""

    def __init__(self) -> None:
        self._response: Json = {"object": "response", "output": []}
        self._texts: list[str] = []
        self._ended = False

    @property
    def usage(self) -> Json | None:
        """As the provider reported it."""
        usage = self._response.get("usage")
        return usage if isinstance(usage, dict) else None

    def add(self, chunk: Json) -> bool:
        """Take in one event. Returns whether it says something."""
        kind = str(chunk.get("type"))
        if isinstance(chunk.get("response"), dict):
            self._response = chunk["response"]
        if kind.endswith(".delta") and isinstance(chunk.get("delta"), str):
            self._texts.append(chunk["delta"])
            return True
        self._ended = self._ended or kind in ("response.completed", "response.incomplete")
        return self._ended

    def answer(self) -> Json:
        """The response; where it was cut short, with the text so far as its output."""
        if self._ended:
            return self._response
        part = {"type": "output_text", "text": "".join(self._texts)}
        return {**self._response, "output": [{"type": "message", "role": "assistant", "content": [part]}]}


class _Choice:
    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, Json] = {}
        self._logprobs: list[Any] = []
        self._finish: str | None = None

    def add(self, given: Json) -> bool:
        delta = given.get("delta") or {}
        says = bool(delta.get("tool_calls")) or given.get("finish_reason") is not None
        for key in _TEXTS:
            if isinstance(delta.get(key), str):
                self._texts.setdefault(key, []).append(delta[key])
                says |= bool(delta[key])
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        if given.get("logprobs"):
            self._logprobs += given["logprobs"].get("content") or []
        if given.get("finish_reason") is not None:
            self._finish = given["finish_reason"]
        return says

    def _add_call(self, call: Json) -> None:
        whole = self._calls.setdefault(
            call.get("index", len(self._calls)),
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        function = call.get("function") or {}
        if call.get("id"):
            whole["id"] = call["id"]
        if function.get("name"):
            whole["function"]["name"] += function["name"]
        whole["function"]["arguments"] += function.get("arguments") or ""
        if call.get("extra_content"):
            whole["extra_content"] = call["extra_content"]

    def whole(self, index: int) -> Json:
        texts = {key: "".join(parts) for key, parts in self._texts.items() if any(parts)}
        message: Json = {"role": "assistant", "content": texts.pop("content", None), **texts}
        if self._calls:
            message["tool_calls"] = [call for _, call in sorted(self._calls.items())]
        choice: Json = {"index": index, "message": message, "finish_reason": self._finish}
        if self._logprobs:
            choice["logprobs"] = {"content": self._logprobs}
        return choice
