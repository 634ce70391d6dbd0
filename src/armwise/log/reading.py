"""Reading a log, whatever it is kept in: a DuckDB file or published Parquet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from types import TracebackType
from typing import Any, NamedTuple, Self

import duckdb
import pyarrow as pa

from armwise.contracts import Decision, Event, Signal
from armwise.errors import LogError
from armwise.log.decode import decode
from armwise.log.events import check_after
from armwise.log.health import Gap
from armwise.log.schema import EVENT_TABLES
from armwise.log.writer import Numbered

CHUNK = 4096
"""Positions read at a time: what bounds the memory of :meth:`Reading.events`."""


class Span(NamedTuple):
    """Positions above ``after`` up to ``until``, and for each event table the SQL of where they are."""

    after: int
    until: int
    relations: Mapping[str, str]


class Reading(ABC):
    """What can be asked of a log. A sub-class says where its tables are.

    Safe to use from several threads. The views ``rewarded``, ``outcomes`` and ``unique_signals`` are there to query.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The log, for messages."""

    @abstractmethod
    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for this thread, with all tables and views; the caller closes it.

        Raises:
            LogError: if the log is closed.
        """

    @abstractmethod
    def _spans(self, after: int) -> list[Span]:
        """Where the events behind ``after`` are, in order."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The rows that a query gives, as an Arrow table.

        Raises:
            LogError: if DuckDB refuses it, with the reason.
        """
        cursor = self.cursor()
        try:
            return self._rows(cursor, sql, parameters)
        finally:
            cursor.close()

    def stream(self, sql: str, parameters: Sequence[Any] = (), *, rows: int) -> Iterator[pa.RecordBatch]:
        """The rows that a query gives, as Arrow batches of at most ``rows``; memory is that of a batch.

        Raises:
            LogError: if DuckDB refuses it, with the reason.
        """
        cursor = self.cursor()
        try:
            yield from cursor.sql(sql, params=list(parameters)).to_arrow_reader(rows)
        except duckdb.Error as error:
            raise LogError(f"cannot read {self.name}: {_reason(error)}") from error
        finally:
            cursor.close()

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Events with their positions, in order, from the first behind ``after`` to the last there is at the call.

        A signal that repeats the key of an earlier one is left out. Memory is bounded, however long the log.

        Raises:
            BadInput: if ``after`` is not a position.
            LogError: if the log cannot be read.
        """
        check_after(after)
        return self._events(after, self._spans(after))

    def decision(self, decision_id: str) -> Decision | None:
        """The decision of that id, or None."""
        found = self._lookup("decisions", "id", decision_id)
        return found[0][1] if found else None  # type: ignore[return-value]  # of this table, a Decision

    def signals(self, decision_id: str, *, before: int | None = None) -> list[Signal]:
        """Signals of one decision in the order of the log; of several with one key, the first.

        With ``before``, only those at positions below it.
        """
        return first_of_key(self._lookup("signals", "decision_id", decision_id), before)

    def gaps(self) -> list[Gap]:
        """Stretches of positions whose events were lost or pruned, and why."""
        rows = self.query('SELECT "first", "last", reason, unix_time AS "at" FROM gaps ORDER BY "first"')
        return [Gap(**row) for row in rows.to_pylist()]

    # ------------------------------------------------------------------------------------------ how

    def _rows(self, cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        try:
            return cursor.sql(sql, params=list(parameters)).to_arrow_table()
        except duckdb.Error as error:
            raise LogError(f"cannot read {self.name}: {_reason(error)}") from error

    def _lookup(self, table: str, column: str, value: str) -> list[Numbered]:
        rows = self.query(f"SELECT * FROM {table} WHERE {column} = $1 ORDER BY position", [value])
        return decode(table, rows)

    def _events(self, after: int, spans: Sequence[Span]) -> Iterator[Numbered]:
        if not spans:
            return
        cursor = self.cursor()
        try:
            repeated = self._repeated_signals(cursor, after)
            for span in spans:
                yield from self._read(cursor, span, repeated)
        finally:
            cursor.close()

    def _read(self, cursor: duckdb.DuckDBPyConnection, span: Span, repeated: frozenset[int]) -> Iterator[Numbered]:
        low = span.after
        while low < span.until:
            high = min(low + CHUNK, span.until)
            found: list[Numbered] = []
            for table in EVENT_TABLES:
                where = f"FROM {span.relations[table]} WHERE position > $1 AND position <= $2"
                found += decode(table, self._rows(cursor, f"SELECT * {where} ORDER BY position", [low, high]))
            found.sort(key=itemgetter(0))
            for item in found:
                if item[0] not in repeated:
                    yield item
            low = high if found else max(high, self._next(cursor, span, high) - 1)

    def _next(self, cursor: duckdb.DuckDBPyConnection, span: Span, after: int) -> int:
        """The first position behind a stretch that holds nothing."""
        union = " UNION ALL ".join(
            f"SELECT min(position) AS position FROM {span.relations[table]} WHERE position > $1"
            for table in EVENT_TABLES
        )
        (first,) = self._rows(cursor, f"SELECT min(position) FROM ({union})", [after]).column(0).to_pylist()
        return span.until + 1 if first is None else int(first)

    def _repeated_signals(self, cursor: duckdb.DuckDBPyConnection, after: int) -> frozenset[int]:
        rows = self._rows(
            cursor,
            """SELECT DISTINCT late.position
               FROM signals AS late JOIN signals AS early USING (decision_id, source, event_id)
               WHERE late.position > $1 AND early.position < late.position""",
            [after],
        )
        return frozenset(rows.column(0).to_pylist())


def first_of_key(found: Iterable[Numbered], before: int | None = None) -> list[Signal]:
    """Signals, given in order, without those that repeat an earlier one's key, and without those from ``before`` on."""
    kept: dict[tuple[str, str, str], Signal] = {}
    for position, event in found:
        if isinstance(event, Signal) and (before is None or position < before):
            kept.setdefault(event.key, event)
    return list(kept.values())


def _reason(error: duckdb.Error) -> str:
    """What DuckDB says, in one line, without the picture of the place."""
    return " ".join(str(error).split("\n\n")[0].split())
