"""Follows a registry from a thread, so that a service swaps to what was promoted within a second."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue

from armwise.contracts import RolloutChange
from armwise.errors import ArmwiseError
from armwise.registry.history import History

logger = logging.getLogger("armwise.registry")

EVERY_S = 0.2
"""Time between two looks at the history; each is one question to the file system."""


class Watch:
    """Hands each new change of a history to ``follow``, in order; one that fails is reported and passed over.

    Args:
        history: of the registry.
        follow: a method; held weakly, so that the watch ends with its owner.
        after: the latest change that is known already.
        beside: a method that looks after what else the registry may have; held weakly too.
    """

    def __init__(
        self,
        history: History,
        follow: Callable[[RolloutChange], None],
        *,
        after: int,
        beside: Callable[[], None] | None = None,
    ) -> None:
        self.history = history
        self.error: str | None = None
        """Why the latest change could not be followed; None where it was."""
        self._follow = weakref.WeakMethod(follow)
        self._beside = weakref.WeakMethod(beside) if beside is not None else None
        self._seen = after
        self._own: SimpleQueue[RolloutChange] = SimpleQueue()
        self._busy = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="armwise-registry", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch, and publish what waits for it."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self._publish()

    def publish(self, change: RolloutChange) -> None:
        """Have a change that was made here written down in the history; does no I/O itself."""
        self._own.put(change)

    def look(self) -> None:
        """Follow what is new, now."""
        with self._busy:
            follow = self._follow()
            while follow is not None and self.history.has(self._seen + 1):
                self._seen += 1
                try:
                    follow(self.history.read(self._seen))
                    self.error = None
                except ArmwiseError as error:
                    self.error = f"change {self._seen} of the registry is not followed: {error}"
                    logger.error("%s", self.error)
            beside = self._beside() if self._beside is not None else None
            if beside is not None:
                try:
                    beside()
                except ArmwiseError as error:
                    self.error = f"what the registry has beside its policies is not followed: {error}"
                    logger.error("%s", self.error)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            if self._follow() is None:
                return
            try:
                self._publish()
                self.look()
            except (ArmwiseError, OSError) as error:
                logger.error("cannot follow the registry: %s", error)

    def _publish(self) -> None:
        while True:
            try:
                change = self._own.get_nowait()
            except Empty:
                return
            try:
                self.history.append(change)
            except ArmwiseError as error:
                logger.error("the log has it, but the registry's history does not: %s", error)
