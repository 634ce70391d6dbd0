"""The Anthropic messages format.

What has no counterpart there is left out where it only hints (``seed``, ``logit_bias``, penalties, log-probabilities)
and refused where the answer would not be what was asked for (several choices, audio). A required JSON answer is had by
forcing a call of one tool, whose arguments then are the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from armwise.contracts import Model
from armwise.providers.errors import BadResponse, Rejected, ServerFault
from armwise.providers.sse import ServerSentEvent
from armwise.providers.wire import (
    Endpoint,
    Json,
    Prepared,
    StreamDecoder,
    arguments_of,
    chunk,
    completion,
    content_parts,
    data_url,
    error_of,
    function_tools,
    loads,
    output_limit,
    stops,
    usage_chunk,
    usage_of,
    wanted_schema,
    whole,
)

_DEFAULT_MAX_TOKENS = 4096
"""The format demands a limit; this one is sent where neither the request nor the model gives one."""

_ANSWER_TOOL = "json_answer"

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class Anthropic:
    """Messages of Anthropic, and of those that imitate it."""

    base_url = "https://api.anthropic.com/v1"
    prefills = True

    def headers(self, key: str | None) -> dict[str, str]:
        version = {"anthropic-version": "2023-06-01"}
        return {**version, "x-api-key": key} if key else version

    def prepare(self, endpoint: Endpoint, model: Model, body: Mapping[str, Any], *, stream: bool) -> Prepared:
        if endpoint != "chat":
            raise Rejected(f"the anthropic format has no {endpoint}")
        if (body.get("n") or 1) > 1:
            raise Rejected("the anthropic format gives one choice only, got n > 1")
        system, messages = _messages(body.get("messages") or ())
        payload: Json = {
            "model": model.upstream or model.name,
            "messages": messages,
            "max_tokens": output_limit(body) or model.max_output_tokens or _DEFAULT_MAX_TOKENS,
        }
        if system:
            payload["system"] = system
        for name in ("top_p", "top_k", "thinking", "service_tier"):
            if body.get(name) is not None:
                payload[name] = body[name]
        if body.get("temperature") is not None:
            payload["temperature"] = min(1.0, body["temperature"])
        if sequences := [stop for stop in stops(body) if stop.strip()]:
            payload["stop_sequences"] = sequences
        if body.get("user"):
            payload["metadata"] = {"user_id": str(body["user"])}
        payload |= _tools(body)
        if stream:
            payload["stream"] = True
        return Prepared("messages", payload)

    def parse(self, endpoint: Endpoint, model: Model, data: Json) -> Json:
        blocks = data.get("content")
        if data.get("type") == "error":
            raise ServerFault(f"error in the answer: {error_of(data)[0]}"[:500])
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise BadResponse("an answer without content")
        message: Json = {"role": "assistant", "content": None}
        texts, thoughts, calls, forced = [], [], [], False
        for block in blocks:
            kind = block.get("type")
            if kind == "text":
                texts.append(str(block.get("text", "")))
            elif kind == "tool_use" and block.get("name") == _ANSWER_TOOL:
                texts.append(json.dumps(block.get("input"), ensure_ascii=False))
                forced = True
            elif kind == "tool_use":
                calls.append(_tool_call(block))
            elif kind in ("thinking", "redacted_thinking"):
                thoughts.append(block)
        message["content"] = "".join(texts) or None
        if calls:
            message["tool_calls"] = calls
        if thoughts:
            message["reasoning_content"] = "".join(str(block.get("thinking", "")) for block in thoughts)
            message["thinking_blocks"] = thoughts
        finish = _finish(data.get("stop_reason"), forced=forced)
        if finish == "content_filter":
            message["refusal"] = message["content"] or "The model refused to answer."
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = data.get("usage")
        reply_id, name = str(data.get("id", "")), str(data.get("model", model.name))
        return completion(reply_id, name, [choice], _usage(usage) if isinstance(usage, dict) else None)

    def decoder(self, endpoint: Endpoint, model: Model) -> StreamDecoder:
        return MessagesDecoder(model)


# ---------------------------------------------------------------------------------------------- there


def _messages(messages: Any) -> tuple[list[Json], list[Json]]:
    """System blocks, and messages whose roles take turns."""
    system: list[Json] = []
    turns: list[Json] = []
    for message in messages:
        role = message.get("role")
        if role in ("system", "developer"):
            system += _blocks(message)
            continue
        if role == "tool":
            result: Json = {
                "type": "tool_result",
                "tool_use_id": message.get("tool_call_id", ""),
                "content": _blocks(message) or "",
            }
            role, blocks = "user", [result]
        elif role == "assistant":
            blocks = [*(message.get("thinking_blocks") or ()), *_blocks(message)]
            for call in message.get("tool_calls") or ():
                blocks.append(
                    {
                        "type": "tool_use",
                        "id": call["id"],
                        "name": call["function"]["name"],
                        "input": arguments_of(call),
                    }
                )
        elif role == "user":
            blocks = _blocks(message)
        else:
            raise Rejected(f"the role of a message must be system, developer, user, assistant or tool, got {role!r}")
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise Rejected("the anthropic format needs at least one message that is not a system prompt")
    if turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": "(continue)"}]})
    return system, turns


def _blocks(message: Mapping[str, Any]) -> list[Json]:
    blocks: list[Json] = []
    for part in content_parts(message.get("content")):
        kind = part.get("type")
        if kind in ("text", "refusal"):
            text = part.get("text") or part.get("refusal")
            if text:
                cache = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
                blocks.append({"type": "text", "text": text, **cache})
        elif kind == "image_url":
            url = part["image_url"]["url"]
            inline = data_url(url)
            source: Json = {"type": "url", "url": url}
            if inline is not None:
                source = {"type": "base64", "media_type": inline[0], "data": inline[1]}
            blocks.append({"type": "image", "source": source})
        else:
            raise Rejected(f"the anthropic format cannot carry a part of the type {kind!r}")
    return blocks


def _tools(body: Mapping[str, Any]) -> Json:
    tools = [
        {
            "name": function["name"],
            **({"description": function["description"]} if function.get("description") else {}),
            "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
        }
        for function in function_tools(body)
    ]
    schema = wanted_schema(body)
    if schema is not None and not tools:
        description = "Give the answer to the user."
        answer = {"name": _ANSWER_TOOL, "description": description, "input_schema": schema}
        return {"tools": [answer], "tool_choice": {"type": "tool", "name": _ANSWER_TOOL}}
    if schema is not None:
        raise Rejected("the anthropic format cannot promise a JSON answer beside tools")
    if not tools:
        return {}
    given = body.get("tool_choice") or "auto"
    choice: Json
    if isinstance(given, Mapping):
        choice = {"type": "tool", "name": given["function"]["name"]}
    else:
        choice = {"type": {"auto": "auto", "none": "none", "required": "any"}.get(given, "auto")}
    if body.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": choice}


# ---------------------------------------------------------------------------------------------- and back


def _finish(reason: object, *, forced: bool) -> str:
    finish = _FINISH.get(str(reason), "stop")
    return "stop" if forced and finish == "tool_calls" else finish


def _tool_call(block: Json) -> Json:
    arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
    function = {"name": str(block.get("name", "")), "arguments": arguments}
    return {"id": str(block.get("id", "")), "type": "function", "function": function}


def _usage(usage: Json) -> Json:
    read, written = whole(usage.get("cache_read_input_tokens")), whole(usage.get("cache_creation_input_tokens"))
    prompt = whole(usage.get("input_tokens")) + read + written
    return usage_of(prompt=prompt, output=whole(usage.get("output_tokens")), cached=read, cache_written=written)


class MessagesDecoder:
    """Events of a message stream into chunks."""

    def __init__(self, model: Model) -> None:
        self.finished = self.ended = False
        self._id, self._model = "", model.name
        self._usage: Json = {}
        self._calls: dict[int, int] = {}
        """Content block -> position among the tool calls."""
        self._answers: set[int] = set()
        """Content blocks that are the forced JSON answer."""

    def feed(self, event: ServerSentEvent) -> list[Json]:
        data = loads(event.data)
        try:
            return self._feed(data)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadResponse(f"an event of the type {str(data.get('type'))[:40]!r} that is not of its form") from None

    def _feed(self, data: Json) -> list[Json]:
        kind = data.get("type")
        if kind == "message_start":
            message = data["message"]
            self._id, self._model = str(message["id"]), str(message.get("model") or self._model)
            self._usage = dict(message.get("usage") or {})
            return [self._chunk({"role": "assistant", "content": ""})]
        if kind == "content_block_start":
            return self._start(data["index"], data["content_block"])
        if kind == "content_block_delta":
            return self._delta(data["index"], data["delta"])
        if kind == "message_delta":
            self._usage |= data.get("usage") or {}
            reason = data["delta"].get("stop_reason")
            if reason is None:
                return []
            chunks = [self._chunk({}, _finish(reason, forced=bool(self._answers)))]
            if "output_tokens" in self._usage and "input_tokens" in self._usage:
                chunks.append(usage_chunk(self._id, self._model, _usage(self._usage)))
            return chunks
        if kind == "message_stop":
            self.finished = self.ended = True
        elif kind == "error":
            raise ServerFault(f"error in the stream: {error_of(data)[0]}"[:500])
        return []

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        return chunk(self._id, self._model, delta, finish)

    def _start(self, index: int, block: Json) -> list[Json]:
        if block["type"] == "text" and block.get("text"):
            return [self._chunk({"content": str(block["text"])})]
        if block["type"] != "tool_use":
            return []
        if block["name"] == _ANSWER_TOOL:
            self._answers.add(index)
            return []
        self._calls[index] = len(self._calls)
        function = {"name": str(block["name"]), "arguments": ""}
        call = {"index": self._calls[index], "id": str(block["id"]), "type": "function", "function": function}
        return [self._chunk({"tool_calls": [call]})]

    def _delta(self, index: int, delta: Json) -> list[Json]:
        kind = delta["type"]
        if kind == "text_delta":
            return [self._chunk({"content": str(delta["text"])})]
        if kind == "thinking_delta":
            return [self._chunk({"reasoning_content": str(delta["thinking"])})]
        if kind != "input_json_delta" or not delta["partial_json"]:
            return []
        part = str(delta["partial_json"])
        if index in self._answers:
            return [self._chunk({"content": part})]
        call = {"index": self._calls[index], "function": {"arguments": part}}
        return [self._chunk({"tool_calls": [call]})]
