"""The open file of a log, and how events are committed to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa

from armwise.errors import LogError
from armwise.log.encode import encode, warm_up
from armwise.log.health import Gap
from armwise.log.retention import pruned_to
from armwise.log.schema import EVENT_TABLES, WRITER_SETTINGS, explain, open_database, prepare
from armwise.log.writer import Numbered
from armwise.rewards import RewardRules

logger = logging.getLogger("armwise.log")

LAST = 'SELECT greatest({}, (SELECT coalesce(max("last"), 0) FROM gaps))'.format(
    ", ".join(f"(SELECT coalesce(max(position), 0) FROM {table})" for table in EVENT_TABLES)
)
"""The last position that a log holds, or knows to be missing."""

_SHRUNK = "16MB"
"""What DuckDB may keep of the blocks that it wrote, after each publishing."""

_UNFIT = (duckdb.IntegrityError, duckdb.DataError, duckdb.InvalidInputException)
"""These blame the values, not the disk: trying again cannot help."""


class Database:
    """The open file, and the writer's side of it. Holds no reference to the log, so that the log can be collected."""

    _open: ClassVar[set[Path]] = set()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path, rules: RewardRules | None) -> None:
        self.path = path
        self._key = path.resolve()
        with self._lock:
            if self._key in self._open:
                raise LogError(f"the log {path} is open in this process already; share that one, or close it first")
            self._open.add(self._key)
        self._root: duckdb.DuckDBPyConnection | None = None
        self._own: duckdb.DuckDBPyConnection | None = None
        self.last: int | None = None
        self._closed = False
        self._switch = threading.Lock()
        self._busy = threading.Lock()
        fresh = not path.exists()
        try:
            self._own = self._connected().cursor()
            self.id = prepare(self._own, path, rules)
            self.last = self._stored(self._own)
            self.pruned_to = pruned_to(self._own)
            warm_up()
        except duckdb.Error as error:
            self.close()
            if fresh and ("No space left" in str(error) or "File too large" in str(error)):
                path.unlink(missing_ok=True)  # a stump that no later start could open
            raise LogError(explain(error, path)) from error
        except BaseException:
            self.close()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        try:
            return self._connected().cursor()
        except duckdb.Error as error:
            raise LogError(explain(error, self.path)) from error

    def _connected(self) -> duckdb.DuckDBPyConnection:
        with self._switch:
            if self._closed:
                raise LogError(f"the log {self.path} is closed")
            if self._root is None:
                self._root = open_database(self.path)
            return self._root

    def commit(self, batch: Sequence[Numbered], gaps: Sequence[Gap]) -> Sequence[Gap]:
        """One transaction; see :data:`armwise.log.writer.Commit`."""
        with self._busy:
            try:
                own = self._own
                if own is None:
                    own = self._own = self._connected().cursor()
                return self._write(own, batch, gaps)
            except duckdb.Error as error:
                self._disconnect()  # wholly: after a failed commit, DuckDB 1.4 mixes up strings in what it writes next
                raise LogError(explain(error, self.path)) from error

    def shrink(self) -> None:
        """Let go of the blocks that DuckDB keeps in memory after it wrote them: it would keep all up to its limit.

        It drops what no query holds when its limit is lowered. A query that needs more at that very moment makes it
        refuse, and then nothing is dropped.
        """
        with self._busy:
            try:
                own = self._own or self._connected().cursor()
                try:
                    own.execute(f"SET memory_limit = '{_SHRUNK}'")
                finally:
                    own.execute(f"SET memory_limit = '{WRITER_SETTINGS['memory_limit']}'")
            except duckdb.Error as error:
                logger.debug("the memory of the log was not shrunk: %s", error)

    def _write(self, own: duckdb.DuckDBPyConnection, batch: Sequence[Numbered], gaps: Sequence[Gap]) -> Sequence[Gap]:
        if self.last is None:  # a commit failed before: whether it was done all the same is for the file to say
            self.last = self._stored(own)
        stored, self.last = self.last, None
        missing = [item for item in batch if item[0] > stored]
        tables, refused = encode(missing)
        try:
            self._insert(own, tables, [gap for gap in (*gaps, *refused) if gap.last > stored])
        except _UNFIT as error:
            tables, refused = encode(missing, fits=lambda one: self._fits(own, one))
            if not refused:
                raise error
            self._insert(own, tables, [gap for gap in (*gaps, *refused) if gap.last > stored])
        self.last = max([stored, *(gap.last for gap in gaps), *(position for position, _ in batch[-1:])])
        return refused

    @staticmethod
    def _insert(
        own: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table], gaps: Sequence[Gap], *, keep: bool = True
    ) -> None:
        own.begin()
        try:
            for name, table in tables.items():
                own.register("armwise_batch", table)
                own.execute(f"INSERT INTO {name} BY NAME SELECT * FROM armwise_batch")
                own.unregister("armwise_batch")
            for gap in gaps:
                own.execute("INSERT INTO gaps VALUES ($1, $2, $3, $4)", list(gap))
        except _UNFIT:
            own.rollback()
            raise
        own.commit() if keep else own.rollback()

    def _fits(self, own: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> None:
        """Raise ValueError if DuckDB refuses the values of one event."""
        try:
            self._insert(own, tables, (), keep=False)
        except _UNFIT as error:
            raise ValueError(str(error)) from error

    def _stored(self, own: duckdb.DuckDBPyConnection) -> int:
        row = own.execute(LAST).fetchone()
        return int(row[0]) if row else 0

    def _disconnect(self) -> None:
        with self._switch:
            connections = (self._own, self._root)
            self._own = self._root = None
        for connection in connections:
            if connection is not None:
                try:
                    connection.close()
                except duckdb.Error as error:
                    logger.warning("closing the log %s: %s", self.path, error)

    def close(self) -> None:
        self._closed = True
        self._disconnect()
        with self._lock:
            self._open.discard(self._key)
