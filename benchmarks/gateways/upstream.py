"""An upstream that answers at once, or after a set time, always the same: it does too little to be the bottleneck.

    python -m gateways.upstream PORT [MILLISECONDS]

Any POST gets a chat completion, or a stream of eight chunks where the body asks for one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

_HEAD = {"id": "chatcmpl-1", "created": 1700000000, "model": "mock"}
_USAGE = {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28}


def _whole() -> bytes:
    message = {"role": "assistant", "content": "The answer is forty-two, as everybody knows."}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _streamed() -> bytes:
    def chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}

    words = ["The", "answer", "is", "forty-two,", "as", "everybody", "knows."]
    chunks = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": f"{word} "}) for word in words)]
    chunks += [chunk({}, "stop"), {**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}]
    events = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks] + [b"data: [DONE]\n\n"]
    body = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + body


WHOLE, STREAMED = _whole(), _streamed()


class Upstream(asyncio.Protocol):
    """One connection."""

    delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one in all but name
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            stream = b'"stream":true' in body or b'"stream": true' in body
            answer = STREAMED if stream else WHOLE
            if self.delay_s:
                asyncio.get_running_loop().call_later(self.delay_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def main(port: int, delay_ms: float = 0.0) -> None:
    """Serve until killed."""
    Upstream.delay_s = delay_ms / 1e3
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))
