"""OpenAI responses: text in, text or function calls out."""

from __future__ import annotations

from typing import Any

from armwise.testing.answering import Ask, Reply
from armwise.testing.wire.common import Malformed, image, sse


def ask(body: dict[str, Any]) -> Ask:
    """Read a request body."""
    turns: list[tuple[str, str]] = []
    images: list[str] = []
    if body.get("instructions"):
        turns.append(("system", body["instructions"]))
    given = body.get("input")
    if isinstance(given, str):
        turns.append(("user", given))
    elif isinstance(given, list) and given:
        for item in given:
            turns.append(_turn(item, images))
    else:
        raise Malformed("'input' must be a string or a non-empty array")
    tools = {tool["name"]: tool.get("parameters", {}) for tool in body.get("tools") or () if tool["type"] == "function"}
    choice = body.get("tool_choice", "auto")
    return Ask(
        model=str(body.get("model")),
        turns=tuple(turns),
        images=tuple(images),
        tools=tools,
        tool_choice=choice if isinstance(choice, str) else choice["name"],
        max_tokens=body.get("max_output_tokens"),
        stream=bool(body.get("stream")),
        fixed=not body.get("temperature"),
    )


def _turn(item: dict[str, Any], images: list[str]) -> tuple[str, str]:
    if item.get("type") == "function_call_output":
        return "tool", str(item["output"])
    if item.get("type") == "function_call":
        return "assistant", ""
    content = item.get("content")
    if isinstance(content, str):
        return item["role"], content
    texts = []
    for part in content or ():
        if part["type"] == "input_image":
            images.append(image(part["image_url"]))
        else:
            texts.append(part["text"])
    return item["role"], "\n".join(texts)


def whole(ask: Ask, reply: Reply, reply_id: str, status: str = "completed") -> dict[str, Any]:
    """The response object."""
    return {
        "id": f"resp_{reply_id}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "incomplete" if reply.finish == "length" else status,
        "model": ask.model,
        "output": _output(reply, reply_id) if status == "completed" else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if reply.finish == "length" else None,
        "usage": usage(reply) if status == "completed" else None,
    }


def _output(reply: Reply, reply_id: str) -> list[dict[str, Any]]:
    if reply.calls:
        return [
            {
                "type": "function_call",
                "id": f"fc_{at}",
                "call_id": key,
                "name": name,
                "arguments": text,
                "status": "completed",
            }
            for at, (key, name, text) in enumerate(reply.calls)
        ]
    part: dict[str, Any] = {"type": "output_text", "text": reply.text, "annotations": []}
    if reply.finish == "refusal":
        part = {"type": "refusal", "refusal": reply.text}
    return [{"type": "message", "id": f"msg_{reply_id}", "status": "completed", "role": "assistant", "content": [part]}]


def usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def events(ask: Ask, reply: Reply, reply_id: str) -> list[bytes]:
    """The response as typed events."""
    out: list[bytes] = []

    def add(kind: str, **data: Any) -> None:
        out.append(sse({"type": kind, "sequence_number": len(out), **data}, kind))

    add("response.created", response=whole(ask, reply, reply_id, "in_progress"))
    for at, item in enumerate(_output(reply, reply_id)):
        add("response.output_item.added", output_index=at, item=item | {"status": "in_progress"})
        if item["type"] == "message":
            place = {"item_id": item["id"], "output_index": at, "content_index": 0}
            for piece in reply.pieces:
                add("response.output_text.delta", **place, delta=piece)
            add("response.output_text.done", **place, text=reply.text)
        else:
            place = {"item_id": item["id"], "output_index": at}
            add("response.function_call_arguments.delta", **place, delta=item["arguments"])
            add("response.function_call_arguments.done", **place, arguments=item["arguments"])
        add("response.output_item.done", output_index=at, item=item)
    add("response.completed", response=whole(ask, reply, reply_id))
    return out
