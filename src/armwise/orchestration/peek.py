"""The beginning of a stream, before it is decided whether to deliver it."""

from __future__ import annotations

from armwise.providers.stream import CompletionStream
from armwise.providers.wire import Json


async def peek(stream: CompletionStream) -> tuple[list[Json], str | None]:
    """The first chunks of a stream, until one says something; and whether that is a ``refusal``, or ``empty``.

    Raises:
        UpstreamError: if the stream breaks.
    """
    head = []
    async for chunk in stream:
        head.append(chunk)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("content") or delta.get("tool_calls"):
                return head, None
            if delta.get("refusal") or choice.get("finish_reason") == "content_filter":
                return head, "refusal"
            if choice.get("finish_reason") is not None:
                return head, "empty"
        if "choices" not in chunk:  # not a chat completion: nothing to look for
            return head, None
    return head, "empty"
