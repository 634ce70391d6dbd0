"""Every text in a request, wherever it stands: messages, tool calls and results, schemas, fields nobody knows yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_DEEPEST = 64


def texts_of(data: Any, depth: int = 0) -> Iterator[str]:
    """The strings in JSON data, keys included; media that are written into it (``data:`` URLs) left out.

    What is nested deeper than any real request is given as one text.
    """
    if isinstance(data, str):
        if not data.startswith("data:"):
            yield data
    elif depth > _DEEPEST:
        yield json.dumps(data, default=str)
    elif isinstance(data, Mapping):
        for key, value in data.items():
            if isinstance(key, str) and len(key) > 5:  # no secret is shorter
                yield key
            if not (key == "data" and isinstance(value, str) and len(value) > 4096):  # audio and files in base64
                yield from texts_of(value, depth + 1)
    elif isinstance(data, (list, tuple)):
        for item in data:
            yield from texts_of(item, depth + 1)
    elif isinstance(data, int) and not isinstance(data, bool) and data > 10**8:
        yield str(data)
