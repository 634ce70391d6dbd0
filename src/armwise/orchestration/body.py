"""Between requests and the bodies of the OpenAI API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from armwise.contracts import Request
from armwise.errors import BadInput
from armwise.providers.wire import Endpoint, Json

_OURS = ("model", "stream")
"""What is set for each upstream call, whatever the caller wrote."""


def body_of(request: Request) -> Json:
    """The chat completion that a request asks for.

    Raises:
        BadInput: if it has no messages: a context vector can be decided on, but not be sent.
    """
    if not request.messages:
        raise BadInput("a request without messages can be decided on, but no model can answer it; give messages")
    body: Json = {"messages": list(request.messages)}
    if request.tools:
        body["tools"] = list(request.tools)
    if request.response_format is not None:
        body["response_format"] = request.response_format
    if request.max_output_tokens is not None:
        body["max_completion_tokens"] = request.max_output_tokens
    return body


def checked(body: object) -> Json:
    """The caller's own body, without what is set for each call.

    Raises:
        BadInput: if it is not an object.
    """
    if not isinstance(body, Mapping):
        raise BadInput(f"the body must be an object, got {type(body).__name__}")
    return {key: value for key, value in body.items() if key not in _OURS}


def request_of(body: Mapping[str, Any], endpoint: Endpoint = "chat", **fields: Any) -> Request:
    """What the router needs to know of a body: messages, tools, format, limit of output and session.

    The route is its ``model``. The session is ``metadata.session``, or else ``prompt_cache_key``: callers who share a
    cache want one arm.

    Args:
        body: of a chat completion, a response or embeddings.
        endpoint: which.
        fields: further fields of the :class:`~armwise.contracts.Request`, such as ``tenant``.

    Raises:
        BadInput: on fields of the wrong type.
    """
    named = body.get("model") if isinstance(body, Mapping) else None
    body = checked(body)
    given = body.get("messages") if endpoint == "chat" else body.get("input")
    if given is None:
        raise BadInput(f"the body has no {'messages' if endpoint == 'chat' else 'input'}")
    if endpoint != "chat":
        given = _as_messages(given)
        if body.get("instructions"):
            given = [{"role": "system", "content": body["instructions"]}, *given]
    limits = ("max_completion_tokens", "max_tokens") if endpoint == "chat" else ("max_output_tokens",)
    limit = next((body[name] for name in limits if body.get(name) is not None), None)
    metadata = body.get("metadata")
    session = metadata.get("session") if isinstance(metadata, Mapping) else None
    session = session or body.get("prompt_cache_key")
    for name in ("response_format", "stream_options"):
        value = body.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise BadInput(f"{name} must be an object, got {type(value).__name__}")
    return Request(
        **{
            "messages": given,
            "tools": body.get("tools") or (),
            "response_format": body.get("response_format"),
            "max_output_tokens": limit,
            "session": str(session) if session else None,
            "route": named if isinstance(named, str) and named else None,
            **fields,
        }
    )


def _as_messages(given: Any) -> list[Any]:
    """The input of a response or of embeddings as messages."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise BadInput(f"input must be a string or a list, got {type(given).__name__}")
    messages: list[Any] = []
    for item in given:
        if isinstance(item, str):
            messages.append({"role": "user", "content": item})
        elif isinstance(item, Mapping) and "role" in item:
            messages.append(item)
        elif isinstance(item, Mapping):  # what a tool was asked or said, a reference: no role, and not text to route by
            said = item.get("output") or item.get("arguments")
            messages.append({"role": "tool", "content": said if isinstance(said, str) else ""})
        else:  # token ids
            messages.append({"role": "user", "content": " ".join(map(str, item)) if isinstance(item, list) else ""})
    return messages
