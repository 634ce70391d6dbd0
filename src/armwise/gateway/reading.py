"""The body of a request: no larger, no slower and no stranger than allowed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.types import Receive

from armwise.errors import BadInput, CallerError


class TooLarge(CallerError):
    """The body is larger than the gateway takes."""

    status = 413


class TooSlow(CallerError):
    """The body did not come in time."""

    status = 408


class Gone(CallerError):
    """The client went away. Nobody sees this status; it stands in the logs."""

    status = 499


async def read_body(receive: Receive, headers: Mapping[str, str], *, limit: int, timeout_s: float) -> bytes:
    """All of the body.

    Raises:
        TooLarge: as soon as it is known to exceed ``limit`` bytes.
        TooSlow: if it takes longer than ``timeout_s``.
        Gone: if the client goes away before its end.
    """
    announced = headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone("the client went away before the end of its request")
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise TooSlow(f"the request did not come within {timeout_s:g} s") from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes, the most that this gateway takes")


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BadInput: if it is anything else, naming the place but not the content.
    """
    if not body.strip():
        raise BadInput("the body is empty; it must be a JSON object")
    try:
        data = json.loads(body, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except UnicodeDecodeError:
        raise BadInput("the body is not JSON: it is not valid UTF-8") from None
    except RecursionError:
        raise BadInput("the body is not JSON that can be read: it is nested too deep") from None
    except ValueError as error:
        raise BadInput(f"the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f"the body must be a JSON object, got {type(data).__name__}")
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
