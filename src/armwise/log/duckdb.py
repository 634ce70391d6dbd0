"""The log in a DuckDB file: one writer thread, group commit through Arrow, any number of reading threads."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from pathlib import Path

import duckdb

from armwise.contracts import Decision, Event, Signal
from armwise.errors import BadInput, LogError
from armwise.log.database import LAST, Database
from armwise.log.events import check_event
from armwise.log.health import Gap, LogHealth
from armwise.log.journal import Journal
from armwise.log.publish import PublishedLog, published_directory, read_published
from armwise.log.publishing import Publishing
from armwise.log.reading import Reading, Span, first_of_key
from armwise.log.retention import boundary, delete
from armwise.log.schema import (
    EVENT_TABLES,
    SCHEMA_VERSION,
    explain,
    open_database,
    schema_version,
)
from armwise.log.writer import GroupWriter
from armwise.rewards import RewardRules

logger = logging.getLogger("armwise.log")


_RELAXED_S = 2.0
"""How long events may wait for their commit once a journal holds them."""

_LIVE = {table: table for table in EVENT_TABLES}


def _shut(writer: GroupWriter, publishing: Publishing, database: Database) -> None:
    """What becomes of a log that is not closed before it is collected or the interpreter ends."""
    publishing.stop()
    try:
        writer.close(timeout=30.0)
    except LogError as error:
        logger.error("a log was not closed, and its last events are lost: %s", error)
        writer.close(timeout=0.0, abandon=True)
    finally:
        database.close()


class DuckDBLog(Reading):
    """The log in a DuckDB file. One process owns the file; others read what is published.

    ``append`` does no I/O. A thread commits what was appended, many events at a time; ``flush`` waits for it. While
    the file cannot be written (full disk, ...) events wait in memory, up to ``bound`` of them, ``health`` and
    ``flush`` say why, and appending goes on; past the bound, events are dropped, and the log's table ``gaps`` says
    which. :mod:`armwise.log.writer` has the rules.

    Args:
        path: the file; made if it does not exist. Its directory has to exist.
        rules: how signals become rewards, for the view ``rewarded``. Default: what the log has; at first,
            :data:`armwise.rewards.RULES`.
        bound: most events that wait in memory; a decision over 12 arms takes about 2 kB there.
        batch: most events in one commit.
        interval_s: how long an event may wait for others to share its commit, unless ``flush`` asks.
        publish_every_s, publish_every_rows: publish from a thread, so often or after so many events. Default: only
            by :meth:`publish`.

    Raises:
        LogError: if the file is locked, damaged, not a log, from a newer armwise, or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rules: RewardRules | None = None,
        bound: int = 200_000,
        batch: int = 10_000,
        interval_s: float = 0.05,
        publish_every_s: float | None = None,
        publish_every_rows: int | None = None,
    ) -> None:
        for name, value in (("publish_every_s", publish_every_s), ("publish_every_rows", publish_every_rows)):
            if value is not None and not value > 0:
                raise BadInput(f"{name} must be above 0, got {value!r}")
        self._path = Path(path)
        self._database = Database(self._path, rules)
        self._journal = Journal(self._path, self._database.id)
        self._take_over()
        self._writer = GroupWriter(
            self._database.commit,
            position=self._database.last or 0,
            bound=bound,
            batch=batch,
            interval_s=interval_s,
        )
        self._publishing = Publishing(self._database, self._writer, published_directory(self._path))
        self._securing = threading.Lock()
        if publish_every_s is not None or publish_every_rows is not None:
            self._publishing.start(publish_every_s, publish_every_rows)
        self._finalizer = weakref.finalize(self, _shut, self._writer, self._publishing, self._database)

    @property
    def name(self) -> str:
        return f"the log {self._path}"

    @property
    def path(self) -> Path:
        """The DuckDB file."""
        return self._path

    @property
    def position(self) -> int:
        """Position of the last event appended, durable or not; 0 for an empty log."""
        return self._writer.position

    @property
    def health(self) -> LogHealth:
        """How the writing goes, and the publishing."""
        return replace(self._writer.health, publish_error=self._publishing.error)

    def append(self, event: Event) -> int:
        """Queue an event and return its position. Does no I/O.

        Waits for nothing, but for room where events come faster than a working disk takes them.

        Raises:
            BadInput: if it is no event, or an arm that cannot be stored.
            LogError: if the log is closed.
        """
        check_event(event)
        return self._writer.append(event)

    def flush(self, timeout: float | None = None) -> None:
        """Return when every event appended so far is durable.

        Raises:
            LogError: if it cannot be made so, or not within ``timeout`` seconds; the events stay queued.
        """
        self._writer.flush(timeout)

    def secure(self, timeout: float | None = None) -> None:
        """Return when every event appended so far would survive a crash: in the database, or in the journal before it.

        Much quicker than :meth:`flush`, whose work is left for later. See :mod:`armwise.log.journal`.

        Raises:
            LogError: if the journal cannot be written, or an event was dropped; what is queued stays queued.
        """
        with self._securing:
            target = self._writer.position
            done = max(self._journal.last, self._writer.durable)
            if target <= done:
                return
            events = self._writer.pending(done)
            if not events:
                if self._writer.durable < target:
                    raise LogError(f"events up to {target} were dropped: {self._writer.health.error}")
                return
            if not self._journal.last:
                self._writer.relax(_RELAXED_S)
            self._journal.write(events, self._writer.durable)

    def _take_over(self) -> None:
        """Commit what an earlier process left in the journal."""
        try:
            stored = self._database.last or 0
            left = self._journal.left(stored)
            if left:
                numbers = [stored, *(position for position, _ in left)]
                lost = "not written before the process ended"
                gaps = [Gap(a + 1, b - 1, lost, time.time()) for a, b in pairwise(numbers) if b > a + 1]
                self._database.commit(left, gaps)
            self._journal.remove()
        except BaseException:
            self._database.close()
            raise

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """As :meth:`Reading.events`; flushes first."""
        self._writer.flush()
        return super().events(after)

    def decision(self, decision_id: str) -> Decision | None:
        """The decision of that id, durable or not, or None."""
        for _, event in self._writer.pending():
            if type(event) is Decision and event.id == decision_id:
                return event
        found = self._lookup("decisions", "id", decision_id)
        known = found and found[0][0] > self.pruned_to
        return found[0][1] if known else None  # type: ignore[return-value]  # of this table, a Decision

    def signals(self, decision_id: str, *, before: int | None = None) -> list[Signal]:
        """Signals of one decision in the order of the log, durable or not; of several with one key, the first.

        With ``before``, only those at positions below it.
        """
        pending = self._writer.pending()
        found = dict(self._lookup("signals", "decision_id", decision_id))
        found.update((at, event) for at, event in pending if type(event) is Signal and event.decision_id == decision_id)
        return first_of_key(sorted(found.items(), key=itemgetter(0)), before)

    def record_policy(
        self, version: str, *, spec: str, feature_version: str, at: float, position: int | None = None
    ) -> None:
        """Write down what a policy version is (``spec`` as JSON). Does I/O; a version that is there stays as it is.

        Raises:
            LogError: if it cannot be written.
        """
        position = self.position if position is None else position
        cursor = self.cursor()
        try:
            cursor.execute(
                """INSERT INTO policy_versions
                   SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM policy_versions WHERE version = $1)""",
                [version, position, at, feature_version, spec],
            )
        except duckdb.Error as error:
            raise LogError(explain(error, self._path)) from error
        finally:
            cursor.close()

    @property
    def pruned_to(self) -> int:
        """Position up to which decisions were pruned; 0 for none."""
        return self._database.pruned_to

    def boundary(self, before: float) -> int:
        """Position up to which every decision is older than ``before`` (Unix time, seconds). Does I/O."""
        cursor = self.cursor()
        try:
            return boundary(cursor, before, self._writer.durable)
        except duckdb.Error as error:
            raise LogError(explain(error, self._path)) from error
        finally:
            cursor.close()

    def hide(self, until: int) -> None:
        """Answer no more look-ups of decisions up to a position, which are about to be pruned."""
        self._database.pruned_to = max(self._database.pruned_to, until)

    def prune(self, until: int) -> int:
        """Delete decisions up to a position, with what belongs to them, also where it is published. Does I/O.

        The state can no longer be rebuilt from the log alone: save a snapshot first, or use ``Router.prune``.

        Returns:
            How many decisions went.

        Raises:
            LogError: if it cannot be done; nothing is deleted then.
        """
        self.hide(until)
        cursor = self.cursor()
        try:
            gone = delete(cursor, until)
        except duckdb.Error as error:
            raise LogError(explain(error, self._path)) from error
        finally:
            cursor.close()
        self._publishing.drop(until)
        return gone

    def publish(self) -> int:
        """Flush, and publish as Parquet all that is not published yet; returns the number of new stretches.

        Raises:
            LogError: if it cannot be written.
        """
        self._writer.flush()
        return self._publishing.now()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self._database.cursor()

    def close(self, timeout: float | None = None, *, abandon: bool = False) -> None:
        """Flush and close. With ``abandon``, events that cannot be written are given up.

        Raises:
            LogError: if events cannot be written; the log then stays open and keeps trying.
        """
        if not self._finalizer.alive:
            return
        try:
            self._writer.close(timeout, abandon=abandon)
        finally:
            if self._writer.closed:
                self._finalizer.detach()
                self._publishing.stop()
                self._database.close()
                if self._writer.durable == self._writer.position:
                    self._journal.remove()

    def _spans(self, after: int) -> list[Span]:
        return [Span(after, self._writer.durable, _LIVE)] if after < self._writer.durable else []


class ReadOnlyLog(Reading):
    """A log's file that no process writes at the moment.

    Raises:
        LogError: if it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        if not self._path.exists():
            raise LogError(f"there is no log at {self._path}")
        self._root: duckdb.DuckDBPyConnection | None = open_database(self._path, read_only=True)
        try:
            version = schema_version(self._root, self._path)
            if version < SCHEMA_VERSION:
                raise LogError(
                    f"the log {self._path} has schema version {version}, older than {SCHEMA_VERSION}: "
                    "open it for writing once, which brings it up to date"
                )
            row = self._root.execute(LAST).fetchone()
        except duckdb.Error as error:
            self.close()
            raise LogError(explain(error, self._path)) from error
        except LogError:
            self.close()
            raise
        self._position = int(row[0]) if row else 0

    @property
    def name(self) -> str:
        return f"the log {self._path}"

    @property
    def position(self) -> int:
        """The last position in the file."""
        return self._position

    def cursor(self) -> duckdb.DuckDBPyConnection:
        if self._root is None:
            raise LogError(f"{self.name} is closed")
        return self._root.cursor()

    def close(self) -> None:
        if self._root is not None:
            self._root.close()
            self._root = None

    def _spans(self, after: int) -> list[Span]:
        return [Span(after, self._position, _LIVE)] if after < self._position else []


def open_reader(path: str | os.PathLike[str]) -> ReadOnlyLog | PublishedLog:
    """Read a log, whether or not a service is writing it.

    The file itself where it is free, else what its owner published. ``path`` is the log's file, or a published
    directory.

    Raises:
        LogError: if there is no log, or it is being written and nothing is published yet.
    """
    path = Path(path)
    if path.is_dir():
        return read_published(path)
    published = published_directory(path)
    if not path.exists() and published.is_dir():
        return read_published(published)
    try:
        return ReadOnlyLog(path)
    except LogError as error:
        cause = str(error.__cause__ or "")
        if "Could not set lock" not in cause and "different configuration" not in cause:
            raise
        if not published.is_dir():
            raise LogError(
                f"the log {path} is being written, and what is written is not published yet: a service publishes every "
                "log.publish_every_s (60 s unless set) and when it stops. Read again then, or call publish() on the log"
            ) from error
    return read_published(published)
