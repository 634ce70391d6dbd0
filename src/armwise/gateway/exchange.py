"""One request and its answer, as the gateway accounts for it. Observers see it when it is over."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from armwise.contracts import Attempt, Decision
from armwise.gateway.keys import Caller
from armwise.orchestration.answer import Answer


class Exchange:
    """What becomes known of a request, in the order in which it does."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, endpoint: str) -> None:
        self.id = f"req_{secrets.token_hex(12)}"
        self.at = time.time()
        self.began = time.perf_counter()
        self.endpoint = endpoint
        """The route: ``chat``, ``responses``, ``embeddings``, ``models``, ..."""
        self.scope = scope
        self.receive = receive
        self.headers = Headers(scope=scope)
        self.caller = Caller()
        self.model: str | None = None
        """The name by which the client asked."""
        self.streamed = False
        self.decision: Decision | None = None
        self.attempts: list[Attempt] = []
        self.answer: Answer | None = None
        self.status: int | None = None
        """Of the answer as far as it was begun."""
        self.first_byte_s: float | None = None
        self.error: Exception | None = None
        self._send = send
        self._decided: Callable[[], None] | None = None

    # ------------------------------------------------------------------------------------------ told by the router

    def decided(self, decision: Decision) -> None:
        """The router has chosen an arm, and logged it."""
        self.decision = decision
        if self._decided is not None:
            self._decided()

    def attempted(self, attempt: Attempt) -> None:
        """An upstream call has ended."""
        self.attempts.append(attempt)

    def when_decided(self, call: Callable[[], None]) -> None:
        """Have ``call`` called as soon as the decision is logged."""
        self._decided = call

    # ------------------------------------------------------------------------------------------ account

    @property
    def cost_usd(self) -> float:
        """Billed for all upstream calls."""
        return sum(attempt.cost_usd or 0.0 for attempt in self.attempts)

    @property
    def elapsed_s(self) -> float:
        """Since the request came."""
        return time.perf_counter() - self.began

    @property
    def arm(self) -> str | None:
        """The arm that answered; the one that was drawn where none did."""
        if self.answer is not None:
            return self.answer.arm
        return self.decision.arm if self.decision is not None else None

    # ------------------------------------------------------------------------------------------ answering

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the status and the headers."""
        self.status = status
        headers.append((b"x-request-id", self.id.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, more: bool = False) -> None:
        """Send a piece of the body."""
        if self.first_byte_s is None:
            self.first_byte_s = self.elapsed_s
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def whole(self, status: int, content: bytes, headers: dict[str, str], kind: str = "application/json") -> None:
        """Send an answer in one piece."""
        raw = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
        raw += [(name.encode(), value.encode("ascii")) for name, value in headers.items()]
        await self.begin(status, raw)
        await self.write(content)


Handler: TypeAlias = Callable[[Exchange], Any]
"""Answers an exchange, or raises."""

Observer: TypeAlias = Callable[[Exchange], None]
"""Sees each exchange once, when it is over."""
