"""HTTP before there is a request: heads that do not end, come too slowly, or are none.

uvicorn bounds neither the length of a head nor its time, so that a client could hold a connection, and fill the memory,
for ever; and it says what is wrong in plain text, where clients of the API expect JSON.
"""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 64 * 1024
"""Bytes of a request line and its headers."""

_LINGER_S = 1.0
"""How long a client that was refused is still listened to."""


class BoundedProtocol(HttpToolsProtocol):
    """As uvicorn's, with bounds on the head of a request."""

    head_timeout_s: ClassVar[float] = 30.0
    """How long a head may take: from the connection, or from its own first byte on a connection that is kept."""

    _in_head = True
    _read = 0
    _refused = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._read += len(data)
        super().data_received(data)
        if self._in_head and self._read > LONGEST_HEAD and not self.transport.is_closing():
            self._refuse(431, f"the head of the request is longer than {LONGEST_HEAD} bytes", "head_too_large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._set_timer()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._end_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._read = True, 0

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "this is not an HTTP request that can be read", "invalid_http")

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_timeout_s, self._too_slow)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self._in_head or self.transport.is_closing():
            return
        if self._read:
            self._refuse(408, f"the head of the request took over {self.head_timeout_s:g} s", "request_timeout")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str, code: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        body = json.dumps({"error": error}).encode()
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self._refused = True
        self._end_timer()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)  # closed at once, with bytes unread, the answer is lost


_REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
