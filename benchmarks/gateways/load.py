"""Load over raw connections: cheap enough that it measures the server and not itself."""

from __future__ import annotations

import asyncio
import json
import time
from typing import NamedTuple

import numpy as np


class Measured(NamedTuple):
    """Latencies in milliseconds, one per request, and how long all of them took."""

    total_ms: np.ndarray
    first_byte_ms: np.ndarray
    seconds: float
    failed: int

    @property
    def rps(self) -> float:
        return len(self.total_ms) / self.seconds

    def quantile(self, q: float, first: bool = False) -> float:
        return float(np.quantile(self.first_byte_ms if first else self.total_ms, q))


def request(
    model: str, *, stream: bool, key: str, text: str = "What is the capital of Mongolia?", temperature: float = 0.0
) -> bytes:
    """A chat completion as bytes."""
    messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text}]
    body = json.dumps({"model": model, "messages": messages, "stream": stream, "temperature": temperature}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def post(path: str, data: object) -> bytes:
    """JSON for any other route as bytes."""
    body = json.dumps(data).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes, times: list[float] | None = None
) -> tuple[bytes, bytes]:
    """Send a request; head (in lower case) and body of its answer. Notes in ``times`` when the first of it came."""
    writer.write(content)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.find(b"content-length:")
    if at >= 0:
        body = await reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0]))
        if times is not None:
            times.append(time.perf_counter())
        return head, body
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
        if times is not None and not times:
            times.append(time.perf_counter())
    await reader.readexactly(2)
    return head, b"".join(parts)


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> tuple[float, float, bool]:
    first: list[float] = []
    began = time.perf_counter()
    head, _ = await exchange(reader, writer, content, first)
    done = time.perf_counter()
    return 1e3 * (done - began), 1e3 * (first[0] - began), head.startswith(b"http/1.1 200")


async def load(port: int, content: bytes, *, count: int, connections: int) -> Measured:
    """Send ``count`` requests over so many connections, each as fast as it is answered."""
    left = count
    results: list[tuple[float, float, bool]] = []

    async def client() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        while left > 0:
            left -= 1
            results.append(await _one(reader, writer, content))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    seconds = time.perf_counter() - began
    total, first, good = zip(*results, strict=True)
    return Measured(np.array(total), np.array(first), seconds, len(good) - sum(good))
