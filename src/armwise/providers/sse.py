"""Server-sent events from bytes, however the bytes are cut. Pure; after the WHATWG HTML standard, section 9.2.6."""

from __future__ import annotations

from typing import NamedTuple

from armwise.providers.errors import BadResponse

_LARGEST_EVENT = 64 * 1024 * 1024


class ServerSentEvent(NamedTuple):
    """One event: its name (``message`` where none is given) and its data, lines joined."""

    name: str
    data: str


class EventDecoder:
    """Feed it bytes as they come; it gives whole events. Lines may end in LF, CR LF or CR."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, content: bytes) -> list[ServerSentEvent]:
        """Events that are complete with these bytes.

        Raises:
            BadResponse: on text that is not UTF-8, or one event of over 64 MiB.
        """
        if self._after_cr and content:
            self._after_cr = False
            if content[0] == 10:
                content = content[1:]
        self._size += len(content)
        if self._size > _LARGEST_EVENT:
            raise BadResponse("a single event of the stream is over 64 MiB")
        if b"\r" in content:
            self._after_cr = content.endswith(b"\r")
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = content.split(b"\n")
        if not lines:
            self._line += rest
            return []
        lines[0] = bytes(self._line) + lines[0]
        self._line = bytearray(rest)
        events: list[ServerSentEvent] = []
        for line in lines:
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        return events

    def _dispatch(self) -> ServerSentEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data, self._size = "", [], len(self._line)
        return ServerSentEvent(name, "\n".join(data)) if data else None

    def _field(self, line: bytes) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise BadResponse("the stream is not UTF-8") from None
        if self._first:
            text = text.removeprefix("\ufeff")
            self._first = False
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
