"""Gemini generateContent and streamGenerateContent."""

from __future__ import annotations

import json
from typing import Any

from armwise.testing.answering import Ask, Reply
from armwise.testing.wire.common import Malformed, describe, listed, sse

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "refusal": "SAFETY"}


def ask(body: dict[str, Any], model: str, *, stream: bool) -> Ask:
    """Read a request body."""
    turns: list[tuple[str, str]] = []
    images: list[str] = []
    if system := body.get("systemInstruction") or body.get("system_instruction"):
        turns.append(("system", "\n".join(part["text"] for part in system["parts"])))
    for content in listed(body, "contents"):
        role = {"user": "user", "model": "assistant", "function": "tool"}.get(content.get("role", "user"))
        if role is None:
            raise Malformed(f"contents: please use a valid role: user, model; got {content.get('role')!r}")
        texts = []
        for part in listed(content, "parts"):
            if "text" in part:
                texts.append(part["text"])
            elif "inlineData" in part:
                images.append(describe(part["inlineData"]["mimeType"], part["inlineData"]["data"]))
            elif "fileData" in part:
                images.append(part["fileData"]["fileUri"])
            elif "functionResponse" in part:
                response = part["functionResponse"]["response"]
                if not isinstance(response, dict):
                    raise Malformed("functionResponse.response must be a struct")
                role = "tool"
                texts.append(str(response.get("result", json.dumps(response))))
            elif "functionCall" not in part:
                raise Malformed(f"contents: unknown part {sorted(part)}")
        turns.append((role, "\n".join(texts)))
    config = body.get("generationConfig") or {}
    shape = config.get("responseSchema") or config.get("responseJsonSchema")
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames") or ()
    choice = {"NONE": "none", "ANY": allowed[0] if allowed else "required"}.get(calling.get("mode", "AUTO"), "auto")
    return Ask(
        model=model,
        turns=tuple(turns),
        images=tuple(images),
        tools={
            tool["name"]: tool.get("parameters") or tool.get("parametersJsonSchema") or {}
            for group in body.get("tools") or ()
            for tool in group["functionDeclarations"]
        },
        tool_choice=choice,
        json_schema=shape if shape else {} if config.get("responseMimeType") == "application/json" else None,
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        stream=stream,
        count=config.get("candidateCount") or 1,
        fixed=not config.get("temperature") or config.get("seed") is not None,
    )


def usage(replies: list[Reply]) -> dict[str, int]:
    """Input once, output of all candidates."""
    tokens_in, tokens_out = replies[0].input_tokens, sum(reply.output_tokens for reply in replies)
    counts = {"promptTokenCount": tokens_in, "candidatesTokenCount": tokens_out}
    if replies[0].cached_tokens:
        counts["cachedContentTokenCount"] = replies[0].cached_tokens
    return counts | {"totalTokenCount": tokens_in + tokens_out}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    parts = []
    for _, name, arguments in reply.calls:
        try:
            given = json.loads(arguments)
        except ValueError:
            given = {}
        parts.append({"functionCall": {"name": name, "args": given}})
    return parts


def whole(ask: Ask, replies: list[Reply], reply_id: str) -> dict[str, Any]:
    """The response object."""
    candidates = []
    for index, reply in enumerate(replies):
        candidate: dict[str, Any] = {"index": index, "finishReason": _FINISH[reply.finish]}
        if reply.finish != "refusal":
            text = [{"text": reply.text}] if reply.text else []
            candidate["content"] = {"role": "model", "parts": [*text, *_calls(reply)]}
        candidates.append(candidate)
    return {
        "candidates": candidates,
        "usageMetadata": usage(replies),
        "modelVersion": ask.model,
        "responseId": reply_id,
    }


def events(ask: Ask, replies: list[Reply], reply_id: str) -> list[bytes]:
    """The response as a stream of response objects; usage grows along."""
    head = {"modelVersion": ask.model, "responseId": reply_id}
    out = []
    for index, reply in enumerate(replies):
        parts = [{"text": piece} for piece in reply.pieces if reply.finish != "refusal"] + _calls(reply)
        for part in parts:
            candidate = {"index": index, "content": {"role": "model", "parts": [part]}}
            so_far = {"promptTokenCount": reply.input_tokens, "totalTokenCount": reply.input_tokens}
            out.append(sse({**head, "candidates": [candidate], "usageMetadata": so_far}))
        last: dict[str, Any] = {"index": index, "finishReason": _FINISH[reply.finish]}
        if reply.finish != "refusal":
            last["content"] = {"role": "model", "parts": [{"text": ""}]}
        out.append(sse({**head, "candidates": [last], "usageMetadata": usage(replies)}))
    return out


def error(status: int, message: str) -> dict[str, Any]:
    """The error object."""
    names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    return {"error": {"code": status, "message": message, "status": names.get(status, "INTERNAL")}}
