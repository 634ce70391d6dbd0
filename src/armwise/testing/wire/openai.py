"""OpenAI chat completions."""

from __future__ import annotations

from typing import Any

from armwise.testing.answering import Ask, Reply
from armwise.testing.wire.common import Malformed, image, listed, sse

_FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls", "refusal": "content_filter"}


def ask(body: dict[str, Any]) -> Ask:
    """Read a request body."""
    turns: list[tuple[str, str]] = []
    images: list[str] = []
    for message in listed(body, "messages"):
        if not isinstance(message, dict) or message.get("role") not in (
            "system",
            "developer",
            "user",
            "assistant",
            "tool",
        ):
            raise Malformed(f"invalid message role: {message.get('role') if isinstance(message, dict) else message!r}")
        if message["role"] == "tool" and not message.get("tool_call_id"):
            raise Malformed("messages with role 'tool' need a 'tool_call_id'")
        role = "system" if message["role"] == "developer" else message["role"]
        turns.append((role, _content(message.get("content"), images)))
    tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body.get("tools") or ()}
    choice = body.get("tool_choice", "auto")
    shape = body.get("response_format") or {}
    stop = body.get("stop") or ()
    return Ask(
        model=str(body.get("model")),
        turns=tuple(turns),
        images=tuple(images),
        tools=tools,
        tool_choice=choice if isinstance(choice, str) else choice["function"]["name"],
        json_schema=_schema(shape),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        stream=bool(body.get("stream")),
        count=_count(body.get("n")),
        logprobs=bool(body.get("logprobs")),
        fixed=not body.get("temperature") or body.get("seed") is not None,
    )


def _count(asked: Any) -> int:
    if asked is None:
        return 1
    if isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= 128:
        raise Malformed(f"n must be a whole number from 1 to 128, got {asked!r}")
    return asked


def _schema(shape: dict[str, Any]) -> dict[str, Any] | None:
    if shape.get("type") == "json_schema":
        schema: dict[str, Any] = shape["json_schema"].get("schema", {})
        return schema
    return {} if shape.get("type") == "json_object" else None


def _content(content: Any, images: list[str]) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content:
        if part["type"] == "text":
            texts.append(part["text"])
        elif part["type"] == "image_url":
            images.append(image(part["image_url"]["url"]))
        else:
            raise Malformed(f"unsupported content part: {part['type']!r}")
    return "\n".join(texts)


def whole(ask: Ask, replies: list[Reply], reply_id: str) -> dict[str, Any]:
    """The response object."""
    choices = []
    for index, reply in enumerate(replies):
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if reply.finish == "refusal":
            message |= {"content": None, "refusal": reply.text}
        if reply.calls:
            message["tool_calls"] = [
                {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}
                for key, name, arguments in reply.calls
            ]
        choices.append(
            {
                "index": index,
                "message": message,
                "finish_reason": _FINISH[reply.finish],
                "logprobs": _logprobs(reply) if ask.logprobs else None,
            }
        )
    return {**_head(ask, reply_id, "chat.completion"), "choices": choices, "usage": usage(replies)}


def _head(ask: Ask, reply_id: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{reply_id}", "object": kind, "created": 1_700_000_000, "model": ask.model}


def _logprobs(reply: Reply) -> dict[str, Any]:
    return {"content": [_logprob(piece, reply) for piece in reply.pieces], "refusal": None}


def _logprob(piece: str, reply: Reply) -> dict[str, Any]:
    return {"token": piece, "logprob": reply.logprob, "bytes": list(piece.encode()), "top_logprobs": []}


def usage(replies: list[Reply]) -> dict[str, Any]:
    """Input once, output of all choices."""
    tokens_in, tokens_out = replies[0].input_tokens, sum(reply.output_tokens for reply in replies)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": replies[0].cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def events(ask: Ask, replies: list[Reply], reply_id: str, *, include_usage: bool = True) -> list[bytes]:
    """The response as chunks."""
    head = _head(ask, reply_id, "chat.completion.chunk")

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None, **more}
        return sse({**head, "choices": [choice]} | ({"usage": None} if include_usage else {}))

    out = []
    for index, reply in enumerate(replies):
        out.append(chunk(index, {"role": "assistant", "content": None if reply.calls else ""}))
        key = "refusal" if reply.finish == "refusal" else "content"
        for piece in reply.pieces:
            more: dict[str, Any] = {}
            if ask.logprobs:
                more["logprobs"] = {"content": [_logprob(piece, reply)], "refusal": None}
            out.append(chunk(index, {key: piece}, **more))
        for at, (call_id, name, arguments) in enumerate(reply.calls):
            function = {"name": name, "arguments": ""}
            out.append(
                chunk(index, {"tool_calls": [{"index": at, "id": call_id, "type": "function", "function": function}]})
            )
            for start in range(0, len(arguments), 7):
                part = {"index": at, "function": {"arguments": arguments[start : start + 7]}}
                out.append(chunk(index, {"tool_calls": [part]}))
        out.append(chunk(index, {}, _FINISH[reply.finish]))
    if include_usage:
        out.append(sse({**head, "choices": [], "usage": usage(replies)}))
    return [*out, sse("[DONE]")]


def error(status: int, message: str) -> dict[str, Any]:
    """The error object."""
    kinds = {400: "invalid_request_error", 401: "invalid_request_error", 404: "not_found", 429: "rate_limit_exceeded"}
    return {"error": {"message": message, "type": kinds.get(status, "server_error"), "param": None, "code": None}}
