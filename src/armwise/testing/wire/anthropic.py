"""Anthropic messages."""

from __future__ import annotations

import json
from typing import Any

from armwise.testing.answering import Ask, Reply
from armwise.testing.wire.common import Malformed, describe, listed, sse

_STOP = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "refusal"}


def ask(body: dict[str, Any]) -> Ask:
    """Read a request body. Strict where the provider is: max_tokens is a must, user and assistant take turns."""
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise Malformed("max_tokens: Field required")
    turns: list[tuple[str, str]] = []
    images: list[str] = []
    if body.get("system"):
        system = body["system"]
        turns.append(("system", system if isinstance(system, str) else "\n".join(part["text"] for part in system)))
    called: set[str] = set()
    before = ""
    for message in listed(body, "messages"):
        role = message.get("role")
        if role not in ("user", "assistant"):
            raise Malformed(f"messages: unexpected role {role!r}")
        if role == before or (not before and role != "user"):
            raise Malformed("messages: roles must alternate between 'user' and 'assistant', starting with 'user'")
        before = role
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not content:
            raise Malformed("messages: content must not be empty")
        for part in content:
            turns.append(_part(role, part, images, called))
    if before == "assistant" and turns[-1][1] != turns[-1][1].rstrip():
        raise Malformed("messages: final assistant content cannot end with trailing whitespace")
    choice = body.get("tool_choice") or {"type": "auto"}
    tool_choice = {"any": "required", "tool": choice.get("name", "")}.get(choice["type"], choice["type"])
    return Ask(
        model=str(body.get("model")),
        turns=_merge(turns),
        images=tuple(images),
        tools={tool["name"]: tool["input_schema"] for tool in body.get("tools") or ()},
        tool_choice=tool_choice,
        max_tokens=body["max_tokens"],
        stop=tuple(body.get("stop_sequences") or ()),
        stream=bool(body.get("stream")),
        fixed=not body.get("temperature"),
    )


def _part(role: str, part: dict[str, Any], images: list[str], called: set[str]) -> tuple[str, str]:
    kind = part.get("type")
    if kind == "text":
        if not part["text"]:
            raise Malformed("messages: text content blocks must be non-empty")
        return role, part["text"]
    if kind == "image":
        source = part["source"]
        images.append(source["url"] if source["type"] == "url" else describe(source["media_type"], source["data"]))
        return role, ""
    if kind == "tool_use":
        if not isinstance(part["input"], dict):
            raise Malformed("tool_use.input: must be an object")
        called.add(part["id"])
        return role, ""
    if kind == "tool_result":
        if part["tool_use_id"] not in called:
            raise Malformed(f"tool_result: unexpected tool_use_id {part['tool_use_id']!r}")
        content = part.get("content", "")
        return "tool", content if isinstance(content, str) else "\n".join(item["text"] for item in content)
    raise Malformed(f"messages: unexpected content block {kind!r}")


def _merge(turns: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    merged: list[tuple[str, str]] = []
    for role, text in turns:
        if merged and merged[-1][0] == role:
            merged[-1] = (role, "\n".join(filter(None, (merged[-1][1], text))))
        else:
            merged.append((role, text))
    return tuple(merged)


def usage(reply: Reply) -> dict[str, int]:
    """Input tokens leave out what came from the cache."""
    return {
        "input_tokens": reply.input_tokens - reply.cached_tokens,
        "cache_read_input_tokens": reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": reply.output_tokens,
    }


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    for key, name, arguments in reply.calls:
        try:
            given = json.loads(arguments)
        except ValueError:
            given = {}
        blocks.append({"type": "tool_use", "id": key, "name": name, "input": given})
    return blocks


def whole(ask: Ask, reply: Reply, reply_id: str) -> dict[str, Any]:
    """The response object."""
    return {
        "id": f"msg_{reply_id}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": _blocks(reply),
        "stop_reason": _STOP[reply.finish],
        "stop_sequence": None,
        "usage": usage(reply),
    }


def events(ask: Ask, reply: Reply, reply_id: str) -> list[bytes]:
    """The response as typed events."""

    def event(kind: str, **data: Any) -> bytes:
        return sse({"type": kind, **data}, kind)

    start = whole(ask, reply, reply_id) | {"content": [], "stop_reason": None}
    start["usage"] = usage(reply) | {"output_tokens": 1}
    out = [event("message_start", message=start), event("ping")]
    for index, block in enumerate(_blocks(reply)):
        if block["type"] == "text":
            out.append(event("content_block_start", index=index, content_block={"type": "text", "text": ""}))
            deltas = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
        else:
            out.append(event("content_block_start", index=index, content_block=block | {"input": {}}))
            text = json.dumps(block["input"], ensure_ascii=False)
            parts = ["", *(text[at : at + 7] for at in range(0, len(text), 7))]
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        out += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        out.append(event("content_block_stop", index=index))
    delta = {"stop_reason": _STOP[reply.finish], "stop_sequence": None}
    out.append(event("message_delta", delta=delta, usage={"output_tokens": reply.output_tokens}))
    return [*out, event("message_stop")]


def error(status: int, message: str) -> dict[str, Any]:
    """The error object."""
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}
