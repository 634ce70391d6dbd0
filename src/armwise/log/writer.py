"""Group commit: callers append without I/O, one thread makes what they appended durable.

The queue lives in memory until the disk has it. While the disk refuses (full, read-only, locked), the writer keeps
the queue and tries again with growing pauses, ``flush`` raises with the reason, and appending goes on.

Once ``bound`` events are queued: while the disk works, and events merely come faster than it takes them, ``append``
waits for room. While the disk refuses, or no commit ended within ``patience_s``, a new event is dropped rather than
the process: its position stays taken, it is counted at once in ``health``, and as soon as the disk is back the log
itself records the gap. Nothing is lost without a trace.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, takewhile
from typing import TypeAlias

from armwise.contracts import Event
from armwise.errors import BadInput, LogError
from armwise.log.health import Gap, LogHealth

logger = logging.getLogger("armwise.log")

Numbered: TypeAlias = tuple[int, Event]
Commit: TypeAlias = Callable[[Sequence[Numbered], Sequence[Gap]], Sequence[Gap]]
"""Make events and gaps durable in one transaction; returns the gaps of events that cannot be stored at all.

Raises LogError if it could not be done now; everything is then offered again.
"""

QUEUE_IS_FULL = "the queue was full while the log could not be written"


class GroupWriter:
    """A queue with positions, and the thread that empties it through ``commit``.

    Args:
        commit: see :data:`Commit`. Called from one thread only.
        position: position of the last event already stored.
        bound: events kept in memory while they cannot be written.
        batch: most events in one commit.
        interval_s: how long an event may wait for others to share its commit, unless ``flush`` asks.
        longest_pause_s: between two tries while the disk refuses.
        patience_s: how long ``append`` waits for room in a full queue. Once it ran out, it does not wait again until a
            commit succeeds.
    """

    def __init__(
        self,
        commit: Commit,
        *,
        position: int,
        bound: int = 200_000,
        batch: int = 10_000,
        interval_s: float = 0.05,
        longest_pause_s: float = 5.0,
        patience_s: float = 2.0,
    ) -> None:
        if bound < 1 or batch < 1:
            raise BadInput(f"bound and batch must be at least 1, got {bound!r} and {batch!r}")
        self._commit = commit
        self._bound = bound
        self._most = batch
        self._interval_s = interval_s
        self._longest_pause_s = longest_pause_s
        self._patience_s = patience_s
        self._stalled = False
        self._queue: deque[Numbered] = deque()
        self._batch: list[Numbered] = []
        self._gaps: list[Gap] = []
        self._losses: deque[Gap] = deque(maxlen=1000)
        self._position = position
        self._durable = position
        self._lost = 0
        self._tries = 0
        self._failed_try = 0
        self._failures = 0
        self._error: str | None = None
        self._failing_since: float | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="armwise-log-writer", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        return self._position

    @property
    def durable(self) -> int:
        return self._durable

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def health(self) -> LogHealth:
        with self._lock:
            return LogHealth(
                ok=self._error is None and not self._lost,
                position=self._position,
                durable=self._durable,
                queued=len(self._queue) + len(self._batch),
                lost=self._lost,
                error=self._error,
                failing_since=self._failing_since,
            )

    def append(self, event: Event) -> int:
        """Queue an event; returns its position. Does no I/O.

        Raises:
            LogError: if the log is closed.
        """
        with self._lock:
            if len(self._queue) >= self._bound:
                self._await_room()
            if self._closed:
                raise LogError("the log is closed: nothing can be appended")
            position = self._position + 1
            self._position = position
            if len(self._queue) < self._bound:
                self._queue.append((position, event))
                return position
            first_loss = not self._lost
            self._drop(position)
        if first_loss:
            logger.error("events are being LOST: %d wait for the log, and that is the bound", self._bound)
        return position

    def pending(self, after: int = 0) -> list[Numbered]:
        """Events above a position that are not known to be durable yet, in order."""
        with self._lock:
            if not after:
                return [*self._batch, *self._queue]
            latest_first = chain(reversed(self._queue), reversed(self._batch))
            return list(takewhile(lambda item: item[0] > after, latest_first))[::-1]

    def relax(self, interval_s: float) -> None:
        """Let events wait so long for others to share their commit: they are safe elsewhere meanwhile."""
        self._interval_s = interval_s

    def flush(self, timeout: float | None = None) -> None:
        """Return when every event appended so far is durable.

        Raises:
            LogError: if a try that began after the call failed, if ``timeout`` seconds passed, or if events that were
                waiting at the call had to be given up.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            first, target, tries = self._durable, self._position, self._tries
            while self._durable < target:
                if self._failed_try > tries:
                    raise LogError(self._trouble())
                if not self._thread.is_alive():
                    raise LogError(f"the log's writer thread is gone (a fork?): {self._waiting()}")
                pause = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                if pause <= 0:
                    raise LogError(f"flush gave up after {timeout:g} s: {self._waiting()}")
                self._wake.set()
                self._changed.wait(pause)
            lost = [gap for gap in self._losses if gap.last > first and gap.first <= target]
        if lost:
            count = sum(gap.events for gap in lost)
            raise LogError(
                f"{count} event(s) were lost (positions {lost[0].first} to {lost[-1].last}): {lost[0].reason}. "
                "All others are durable; the log's table `gaps` records the loss"
            )

    def close(self, timeout: float | None = None, *, abandon: bool = False) -> None:
        """Flush, then stop the thread. With ``abandon``, what cannot be written is given up.

        Raises:
            LogError: if the flush fails; the writer then stays open and keeps trying.
        """
        with self._lock:
            if self._stop.is_set():
                return
            self._closed = True
        try:
            self.flush(timeout)
        except LogError:
            if not abandon:
                self._closed = self._durable == self._position
                raise
        finally:
            if self._closed:
                self._halt()

    def _halt(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    # ------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._interval_s)
            self._wake.clear()
            while self._step() and not self._stop.is_set():
                pass

    def _step(self) -> bool:
        """One try to commit; whether there was anything to do."""
        with self._lock:
            room = self._most - len(self._batch)
            self._batch += [self._queue.popleft() for _ in range(min(room, len(self._queue)))]
            gaps = self._take_gaps()
            if not self._batch and not gaps:
                return False
            self._tries += 1
            batch = self._batch
            self._changed.notify_all()  # there is room in the queue
        try:
            refused = self._commit(batch, gaps)
        except LogError as error:
            self._failed(str(error), gaps)
            return True
        except Exception as error:  # a bug of ours: the thread must live, keep the queue and say so
            logger.exception("unexpected error in the log's writer")
            self._failed(f"unexpected {type(error).__name__} in the log's writer: {error}", gaps)
            return True
        self._succeeded(gaps, refused)
        return True

    def _succeeded(self, gaps: Sequence[Gap], refused: Sequence[Gap]) -> None:
        for gap in refused:
            logger.error("the log could not store event %d: %s", gap.first, gap.reason)
        if self._error:
            logger.warning("the log is written again; %d event(s) lost in all", self._lost)
        with self._changed:
            self._batch = []
            self._losses.extend(gaps)
            self._losses.extend(refused)
            self._lost += sum(gap.events for gap in refused)
            self._durable = self._first_pending() - 1
            self._error, self._failing_since, self._failures = None, None, 0
            self._stalled = False
            self._changed.notify_all()

    def _failed(self, reason: str, gaps: list[Gap]) -> None:
        if self._error is None:
            logger.error("the log cannot be written, events wait in memory: %s", reason)
        with self._changed:
            self._gaps = gaps + self._gaps
            self._failed_try = self._tries
            self._failures += 1
            self._failing_since = self._failing_since or time.time()
            self._error = reason
            pause = min(self._longest_pause_s, 0.05 * 2.0 ** min(self._failures, 10))
            self._changed.notify_all()
        self._stop.wait(0.05)  # the least pause, even if flush after flush asks for a try
        self._wake.wait(pause)
        self._wake.clear()

    # ------------------------------------------------------------------------------------------ under the lock

    def _await_room(self) -> None:
        deadline = time.monotonic() + self._patience_s
        while len(self._queue) >= self._bound and self._error is None and not (self._stalled or self._closed):
            self._wake.set()
            if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                self._stalled = True

    def _drop(self, position: int) -> None:
        self._lost += 1
        if self._gaps and self._gaps[-1].last == position - 1:
            self._gaps[-1] = self._gaps[-1]._replace(last=position)
        else:
            self._gaps.append(Gap(position, position, QUEUE_IS_FULL, time.time()))

    def _take_gaps(self) -> list[Gap]:
        """Gaps that lie before all that stays queued: what is stored must always reach up to one position."""
        limit = self._queue[0][0] if self._queue else self._position + 1
        taken = [gap for gap in self._gaps if gap.last < limit]
        self._gaps = self._gaps[len(taken) :]
        return taken

    def _first_pending(self) -> int:
        queued = self._queue[0][0] if self._queue else self._position + 1
        return min(queued, self._gaps[0].first) if self._gaps else queued

    def _waiting(self) -> str:
        count = len(self._queue) + len(self._batch)
        lost = f", {self._lost} lost" if self._lost else ""
        return f"{count} event(s) wait in memory{lost}" + (f"; last error: {self._error}" if self._error else "")

    def _trouble(self) -> str:
        count = len(self._queue) + len(self._batch)
        lost = f"; {self._lost} event(s) are lost, for the queue is full" if self._lost else ""
        return f"{self._error}. {count} event(s) wait in memory and are tried again{lost}"
