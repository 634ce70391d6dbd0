"""Old decisions leave the log once a day, while the service runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from armwise.errors import StateError

logger = logging.getLogger("armwise")

DAY_S = 86_400.0


class Retention:
    """Calls ``prune(keep_s)`` at the start and then once a day, from a thread of its own.

    Args:
        prune: drops what is older than so many seconds; see :meth:`armwise.router.Router.prune`.
        keep_days: how long decisions are kept.
    """

    def __init__(self, prune: Callable[[float], int], keep_days: float) -> None:
        self._prune = prune
        self._keep_s = keep_days * DAY_S
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="armwise-retention", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                gone = self._prune(self._keep_s)
                if gone:
                    logger.info("pruned %d decision(s) older than %.3g days", gone, self._keep_s / DAY_S)
            except (StateError, OSError) as error:
                logger.error("old decisions were not pruned: %s", error)
            if self._stop.wait(DAY_S):
                return

    def stop(self) -> None:
        """Return when no pruning is under way, and none will begin."""
        self._stop.set()
        self._thread.join()
