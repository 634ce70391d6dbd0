"""What the wire formats share."""

from __future__ import annotations

import hashlib
import json
from typing import Any


class Malformed(Exception):
    """The request body is not what the format allows; the text goes into the HTTP 400."""


def image(source: str) -> str:
    """A short name for an image: ``media/type:hash`` of a data URL, else the URL itself."""
    if not source.startswith("data:"):
        return source
    head, _, data = source.partition(",")
    return describe(head.removeprefix("data:").removesuffix(";base64"), data)


def describe(media_type: str, data: str) -> str:
    """A short name for base64 image data."""
    return f"{media_type}:{hashlib.sha256(data.encode()).hexdigest()[:8]}"


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode(errors="replace")


def listed(body: dict[str, Any], name: str) -> list[Any]:
    """A list of the body, or Malformed."""
    value = body.get(name)
    if not isinstance(value, list) or not value:
        raise Malformed(f"'{name}' must be a non-empty array")
    return value
