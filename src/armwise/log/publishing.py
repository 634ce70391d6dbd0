"""When a log is published: on demand, and from a thread of its own."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from armwise.errors import LogError
from armwise.log.database import Database
from armwise.log.publish import publish
from armwise.log.retention import drop_published
from armwise.log.writer import GroupWriter

logger = logging.getLogger("armwise.log")


class Publishing:
    """Publishes on demand, and from a thread of its own where asked."""

    def __init__(self, database: Database, writer: GroupWriter, directory: Path) -> None:
        self._database = database
        self._writer = writer
        self._directory = directory
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.error: str | None = None

    def drop(self, until: int) -> None:
        with self._lock:
            drop_published(self._directory, until)

    def now(self) -> int:
        with self._lock:
            cursor = self._database.cursor()
            try:
                pruned = self._database.pruned_to
                return publish(cursor, self._directory, self._database.id, self._writer.durable, after=pruned)
            finally:
                cursor.close()

    def start(self, every_s: float | None, every_rows: int | None) -> None:
        def run() -> None:
            since, done = 0.0, -1
            tick = min(1.0, every_s or 1.0)
            while not self._stop.wait(tick):
                since += tick
                rows = self._writer.durable - max(done, 0)
                if (every_s is not None and since >= every_s) or (every_rows is not None and rows >= every_rows):
                    since, durable = 0.0, self._writer.durable
                    if durable != done:
                        self._try()
                        done = durable

        self._thread = threading.Thread(target=run, name="armwise-log-publisher", daemon=True)
        self._thread.start()

    def _try(self) -> None:
        try:
            self.now()
            self._database.shrink()
            self.error = None
        except LogError as error:
            if self.error is None:
                logger.error("the log is not being published: %s", error)
            self.error = str(error)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
