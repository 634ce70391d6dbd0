"""A client that goes away: the work for it stops at once, so that nothing more is paid for."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

from armwise.gateway.reading import Gone


class Hangup:
    """``async with Hangup(receive)``: the block is cancelled, and Gone raised, when the client disconnects.

    The whole request must have been read before.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._watch = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._task is not None:
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        if self._gone and kind is asyncio.CancelledError and self._task is not None and not self._task.uncancel():
            raise Gone("the client went away before the end of its answer") from None
