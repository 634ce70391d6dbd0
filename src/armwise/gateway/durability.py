"""An answer ends only when its decision is on disk: one flush at a time, shared by all who wait."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from armwise.errors import LogError

logger = logging.getLogger("armwise.gateway")


class Durability:
    """For one event loop.

    Args:
        position: of the last event appended to the log.
        flush: returns when all of them are durable, or raises LogError; called in a thread.
        patience_s: how long anyone waits.
    """

    def __init__(self, position: Callable[[], int], flush: Callable[[float | None], None], patience_s: float) -> None:
        self._position = position
        self._flush = flush
        self._patience_s = patience_s
        self._done = position()
        self._wanted = 0
        self._waiting: deque[tuple[int, asyncio.Future[bool]]] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="armwise-durable")
        self.missed = 0
        """Answers delivered though their decision was not known to be durable."""

    def ticket(self) -> int:
        """Ask for all that was logged so far to be made durable; what is returned can be waited for."""
        self._wanted = self._position()
        if self._wanted > self._done and (self._flushing is None or self._flushing.done()):
            self._flushing = asyncio.create_task(self._run())
        return self._wanted

    async def wait(self, ticket: int) -> bool:
        """Whether it is durable: when it is, or the log has said that it cannot be now, or after ``patience_s``."""
        if ticket <= self._done:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((ticket, future))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._run())
        try:
            durable = await asyncio.wait_for(future, self._patience_s)
        except TimeoutError:
            durable = False
        if not durable:
            self.missed += 1
            logger.error("an answer was delivered before its decision was durable; the event waits in memory")
        return durable

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._done < self._wanted:
            target = self._position()
            try:
                await loop.run_in_executor(self._thread, self._flush, self._patience_s)
            except LogError:  # the log keeps the events, tries again by itself, and has said so: no answer waits for it
                self._release(self._position(), durable=False)
                return
            self._done = target
            self._release(target, durable=True)

    def _release(self, position: int, *, durable: bool) -> None:
        while self._waiting and self._waiting[0][0] <= position:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(durable)

    def close(self) -> None:
        """Release the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
