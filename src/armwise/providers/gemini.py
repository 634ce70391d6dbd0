"""The Gemini generateContent format.

A tool result is named there by its function, not by its call, so the name is looked up in the earlier turns. Thought
signatures, which later turns must give back, travel with the tool call as ``extra_content.google.thought_signature``,
the way that Google's own OpenAI endpoint does it.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

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
    text_of,
    usage_chunk,
    usage_of,
    wanted_schema,
    whole,
)

_BLOCKED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"})
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_THINKING = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""Reasoning effort -> tokens to think with, as Google maps them."""


class Gemini:
    """generateContent and streamGenerateContent of Google."""

    base_url = "https://generativelanguage.googleapis.com/v1beta"
    prefills = True

    def headers(self, key: str | None) -> dict[str, str]:
        return {"x-goog-api-key": key} if key else {}

    def prepare(self, endpoint: Endpoint, model: Model, body: Mapping[str, Any], *, stream: bool) -> Prepared:
        if endpoint != "chat":
            raise Rejected(f"the gemini format has no {endpoint}")
        system, contents = _contents(body.get("messages") or ())
        payload: Json = {"contents": contents}
        if system:
            payload["systemInstruction"] = {"parts": [{"text": text} for text in system]}
        if config := _config(body):
            payload["generationConfig"] = config
        payload |= _tools(body)
        name = quote(model.upstream or model.name, safe="")
        return Prepared(f"models/{name}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}", payload)

    def parse(self, endpoint: Endpoint, model: Model, data: Json) -> Json:
        reader = _Reader(model)
        try:
            reader.check(data)
            choices = []
            for index, candidate in enumerate(reader.candidates(data)):
                delta = reader.delta(candidate, index)
                message: Json = {"role": "assistant", "content": delta.pop("content", None), **delta}
                for call in message.get("tool_calls", ()):
                    del call["index"]
                finish = reader.finish(candidate, index) or "stop"
                if finish == "content_filter":
                    message["refusal"] = message["content"] or "The provider blocked the answer."
                choices.append({"index": candidate.get("index", index), "message": message, "finish_reason": finish})
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadResponse("an answer that is not of its form") from None
        if not choices:
            raise BadResponse("an answer without candidates")
        return completion(reader.id, reader.model, choices, reader.usage(data))

    def decoder(self, endpoint: Endpoint, model: Model) -> StreamDecoder:
        return ContentDecoder(model)


# ---------------------------------------------------------------------------------------------- there


def _contents(messages: Any) -> tuple[list[str], list[Json]]:
    """System texts, and contents whose roles take turns."""
    system: list[str] = []
    contents: list[Json] = []
    names: dict[str, str] = {}
    for message in messages:
        role = message.get("role")
        if role in ("system", "developer"):
            system.append(text_of(message.get("content")))
            continue
        if role == "tool":
            call_id = message.get("tool_call_id", "")
            if call_id not in names:
                raise Rejected(f"a tool result for {call_id!r}, which no earlier message called")
            parts = [{"functionResponse": {"name": names[call_id], "response": _result(message.get("content"))}}]
        elif role == "assistant":
            parts = _parts(message)
            for call in message.get("tool_calls") or ():
                names[call["id"]] = call["function"]["name"]
                part: Json = {"functionCall": {"name": call["function"]["name"], "args": arguments_of(call)}}
                if signature := ((call.get("extra_content") or {}).get("google") or {}).get("thought_signature"):
                    part["thoughtSignature"] = signature
                parts.append(part)
        elif role == "user":
            parts = _parts(message)
        else:
            raise Rejected(f"the role of a message must be system, developer, user, assistant or tool, got {role!r}")
        if not parts:
            continue
        role = "model" if role == "assistant" else "user"
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    if not contents:
        raise Rejected("the gemini format needs at least one message that is not a system prompt")
    return system, contents


def _result(content: object) -> Json:
    text = text_of(content)
    try:
        data = json.loads(text)
    except ValueError:
        data = text
    return data if isinstance(data, dict) else {"result": data}


def _parts(message: Mapping[str, Any]) -> list[Json]:
    parts: list[Json] = []
    for part in content_parts(message.get("content")):
        kind = part.get("type")
        if kind in ("text", "refusal"):
            if text := part.get("text") or part.get("refusal"):
                parts.append({"text": text})
        elif kind == "image_url":
            url = part["image_url"]["url"]
            if (inline := data_url(url)) is not None:
                parts.append({"inlineData": {"mimeType": inline[0], "data": inline[1]}})
            else:
                media_type = mimetypes.guess_type(url)[0] or "image/jpeg"
                parts.append({"fileData": {"mimeType": media_type, "fileUri": url}})
        elif kind == "input_audio":
            audio = part["input_audio"]
            parts.append({"inlineData": {"mimeType": f"audio/{audio['format']}", "data": audio["data"]}})
        else:
            raise Rejected(f"the gemini format cannot carry a part of the type {kind!r}")
    return parts


def _config(body: Mapping[str, Any]) -> Json:
    config = {theirs: body[ours] for ours, theirs in _CONFIG.items() if body.get(ours) is not None}
    if (limit := output_limit(body)) is not None:
        config["maxOutputTokens"] = limit
    if sequences := stops(body):
        config["stopSequences"] = sequences
    if (schema := wanted_schema(body)) is not None:
        config["responseMimeType"] = "application/json"
        if schema != {"type": "object"}:
            config["responseJsonSchema"] = schema
    if (effort := body.get("reasoning_effort")) in _THINKING:
        config["thinkingConfig"] = {"thinkingBudget": _THINKING[effort]}
    return config


def _tools(body: Mapping[str, Any]) -> Json:
    declarations = [
        {
            "name": function["name"],
            **({"description": function["description"]} if function.get("description") else {}),
            **({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {}),
        }
        for function in function_tools(body)
    ]
    if not declarations:
        return {}
    given = body.get("tool_choice") or "auto"
    calling: Json
    if isinstance(given, Mapping):
        calling = {"mode": "ANY", "allowedFunctionNames": [given["function"]["name"]]}
    else:
        calling = {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}.get(given, "AUTO")}
    return {"tools": [{"functionDeclarations": declarations}], "toolConfig": {"functionCallingConfig": calling}}


# ---------------------------------------------------------------------------------------------- and back


class _Reader:
    """Reads response objects; remembers how many tool calls each candidate has made."""

    def __init__(self, model: Model) -> None:
        self.id, self.model = "", model.name
        self._calls: dict[int, int] = {}

    def check(self, data: Json) -> None:
        if data.get("error"):
            raise ServerFault(f"error in the answer: {error_of(data)[0]}"[:500])
        self.id = str(data.get("responseId") or self.id)
        self.model = str(data.get("modelVersion") or self.model)

    def candidates(self, data: Json) -> list[Json]:
        """The candidates; a blocked prompt counts as one that was refused."""
        if not data.get("candidates") and (data.get("promptFeedback") or {}).get("blockReason"):
            return [{"index": 0, "finishReason": "SAFETY"}]
        return data.get("candidates") or []

    def delta(self, candidate: Json, index: int) -> Json:
        """What a candidate says: content, reasoning and tool calls."""
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[Json] = []
        index = candidate.get("index", index)
        for part in (candidate.get("content") or {}).get("parts") or ():
            if "functionCall" in part:
                calls.append(self._call(part, index))
            elif "text" in part:
                (thoughts if part.get("thought") else texts).append(str(part["text"]))
        delta: Json = {}
        if any(texts):
            delta["content"] = "".join(texts)
        if any(thoughts):
            delta["reasoning_content"] = "".join(thoughts)
        if calls:
            delta["tool_calls"] = calls
        return delta

    def _call(self, part: Json, index: int) -> Json:
        position = self._calls.get(index, 0)
        self._calls[index] = position + 1
        given = part["functionCall"]
        call: Json = {
            "index": position,
            "id": str(given.get("id") or f"call_{self.id or 'gemini'}_{index}_{position}"),
            "type": "function",
            "function": {
                "name": str(given["name"]),
                "arguments": json.dumps(given.get("args") or {}, ensure_ascii=False),
            },
        }
        if signature := part.get("thoughtSignature"):
            call["extra_content"] = {"google": {"thought_signature": signature}}
        return call

    def finish(self, candidate: Json, index: int) -> str | None:
        reason = candidate.get("finishReason")
        if reason is None:
            return None
        if reason == "MALFORMED_FUNCTION_CALL":
            raise BadResponse("the model made a malformed function call")
        if reason in _BLOCKED:
            return "content_filter"
        if reason == "MAX_TOKENS":
            return "length"
        return "tool_calls" if self._calls.get(candidate.get("index", index)) else "stop"

    def usage(self, data: Json) -> Json | None:
        counts = data.get("usageMetadata")
        if not isinstance(counts, dict) or "promptTokenCount" not in counts:
            return None
        thoughts = whole(counts.get("thoughtsTokenCount"))
        return usage_of(
            prompt=whole(counts["promptTokenCount"]) + whole(counts.get("toolUsePromptTokenCount")),
            output=whole(counts.get("candidatesTokenCount")) + thoughts,
            cached=whole(counts.get("cachedContentTokenCount")),
            reasoning=thoughts,
        )


class ContentDecoder:
    """Response objects of a stream into chunks. The last usage counts; the end is a finish reason."""

    def __init__(self, model: Model) -> None:
        self.finished = self.ended = False
        self._reader = _Reader(model)
        self._begun: set[int] = set()
        self._open: set[int] = set()

    def feed(self, event: ServerSentEvent) -> list[Json]:
        data = loads(event.data)
        try:
            return self._feed(data)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadResponse("an event that is not of its form") from None

    def _feed(self, data: Json) -> list[Json]:
        reader = self._reader
        reader.check(data)
        chunks: list[Json] = []
        for position, candidate in enumerate(reader.candidates(data)):
            index = candidate.get("index", position)
            delta = reader.delta(candidate, position)
            finish = reader.finish(candidate, position)
            if index not in self._begun:
                self._begun.add(index)
                delta = {"role": "assistant", "content": "", **delta}
            if finish is None:
                self._open.add(index)
            else:
                self._open.discard(index)
            chunks.append(chunk(reader.id, reader.model, delta, finish, index=index))
        self.finished = bool(self._begun) and not self._open
        usage = reader.usage(data)
        if self.finished and usage is not None:
            chunks.append(usage_chunk(reader.id, reader.model, usage))
        return chunks
