"""Closed stretches of a log as Parquet, so that others read while the service writes.

Beside ``armwise.duckdb`` stands the directory ``armwise.duckdb.parquet``::

    meta.json                                             log id and schema version
    signal_kinds.parquet policy_versions.parquet gaps.parquet     small tables, whole
    attempts/ signals/ pool_changes/ decisions/           one file per stretch and table:
        000000000000001-000000000050000.parquet           positions 1 to 50,000

A file is written under a hidden name, made durable and renamed, so none is ever seen half-written; a stretch counts
once its file under ``decisions/``, the last to appear, is there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from armwise.errors import LogError
from armwise.log.reading import Reading, Span
from armwise.log.schema import (
    COLUMNS,
    EVENT_TABLES,
    LATER_TABLES,
    SCHEMA_VERSION,
    SIDE_TABLES,
    check_version,
    reader_settings,
    views_sql,
)

STRETCH = 500_000
"""Most positions in one file."""

_NAME = re.compile(r"^(\d{15})-(\d{15})\.parquet$")


class Stretch(NamedTuple):
    """Positions ``first`` to ``last``, published."""

    first: int
    last: int

    @property
    def file(self) -> str:
        return f"{self.first:015d}-{self.last:015d}.parquet"


def published_directory(path: str | os.PathLike[str]) -> Path:
    """Where the log at ``path`` is published."""
    path = Path(path)
    return path.with_name(path.name + ".parquet")


def publish(cursor: duckdb.DuckDBPyConnection, directory: Path, log_id: str, until: int, *, after: int = 0) -> int:
    """Publish what is not yet published, up to position ``until``; returns how many files of decisions were made.

    What lies at or before ``after`` was pruned and is not looked for.

    Raises:
        LogError: if the directory belongs to another log or cannot be written; what is published stays good.
    """
    try:
        directory.mkdir(exist_ok=True)
        _claim(directory, log_id)
        for table in EVENT_TABLES:
            (directory / table).mkdir(exist_ok=True)
            for leftover in (directory / table).glob(".*.tmp"):
                leftover.unlink()
        done = stretches(directory)
        low, made = (done[-1].last if done else after), 0
        for table in SIDE_TABLES:
            _copy(cursor, f"SELECT * FROM {table}", directory / f"{table}.parquet")
        while low < until:
            high = min(low + STRETCH, until)
            for table in EVENT_TABLES:
                query = f"SELECT * FROM {table} WHERE position > {low} AND position <= {high} ORDER BY position"
                _copy(cursor, query, directory / table / Stretch(low + 1, high).file)
            low, made = high, made + 1
    except (duckdb.Error, OSError) as error:
        raise LogError(f"cannot publish the log in {directory}: {error}") from error
    return made


def merge(directory: Path, group: Sequence[Stretch]) -> Stretch:
    """Make one stretch of neighbours and remove them; at every moment, each position is published.

    Raises:
        LogError: if the disk refuses; the neighbours stay then.
    """
    whole = Stretch(group[0].first, group[-1].last)
    try:
        with duckdb.connect(":memory:", config=reader_settings()) as connection:
            for table in EVENT_TABLES:
                files = _present(table, [directory / table / stretch.file for stretch in group])
                if files:
                    query = f"SELECT * FROM {_relation(files)} ORDER BY position"
                    _copy(connection, query, directory / table / whole.file)
        for table in reversed(EVENT_TABLES):
            for stretch in group:
                (directory / table / stretch.file).unlink(missing_ok=True)
    except (duckdb.Error, OSError) as error:
        raise LogError(f"cannot merge what is published in {directory}: {error}") from error
    return whole


def _claim(directory: Path, log_id: str) -> None:
    meta = directory / "meta.json"
    if meta.exists():
        owner = _meta(directory).get("log_id")
        if owner != log_id:
            raise LogError(f"cannot publish in {directory}: it holds another log ({owner}); move it away")
        if _meta(directory).get("schema_version") == SCHEMA_VERSION:
            return
    temporary = directory / ".meta.json.tmp"
    temporary.write_text(json.dumps({"log_id": log_id, "schema_version": SCHEMA_VERSION}), encoding="utf-8")
    _rename(temporary, meta)


def _copy(cursor: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    cursor.execute(f"COPY ({query}) TO {_quoted(temporary)} (FORMAT parquet, COMPRESSION zstd)")
    _rename(temporary, target)


def _rename(temporary: Path, target: Path) -> None:
    for path, flags in ((temporary, os.O_RDWR), (target.parent, os.O_RDONLY)):
        handle = os.open(path, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if path is temporary:
            temporary.replace(target)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _meta(directory: Path) -> dict[str, Any]:
    try:
        meta = json.loads((directory / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(f"{directory} is not a published log: its meta.json cannot be read ({error})") from error
    return meta if isinstance(meta, dict) else {}


def stretches(directory: Path) -> list[Stretch]:
    """Published stretches in order, none inside another.

    Raises:
        LogError: if one is missing between two others.
    """
    names = (_NAME.match(path.name) for path in (directory / "decisions").glob("*.parquet"))
    found = sorted((Stretch(int(m[1]), int(m[2])) for m in names if m), key=lambda s: (s.first, -s.last))
    kept: list[Stretch] = []
    for stretch in found:
        if kept and stretch.last <= kept[-1].last:
            continue  # merged into a longer one
        if kept and stretch.first != kept[-1].last + 1:
            raise LogError(
                f"the published log {directory} lacks positions {kept[-1].last + 1} to {stretch.first - 1}: "
                "a file was removed or renamed; restore it, or publish anew into an empty directory"
            )
        kept.append(stretch)
    return kept


def published_sql(directory: str | os.PathLike[str]) -> list[str]:
    """Statements that give any DuckDB connection the tables and views of a published log, as it is now.

    Raises:
        LogError: if the directory is no published log, or one from a newer armwise.
    """
    directory = Path(directory)
    check_version(int(_meta(directory).get("schema_version", -1)), directory)
    done = stretches(directory)
    sources = {table: _present(table, [directory / table / stretch.file for stretch in done]) for table in EVENT_TABLES}
    sources.update({table: _present(table, [directory / f"{table}.parquet"]) for table in SIDE_TABLES})
    return [_view(table, files) for table, files in sources.items()] + views_sql(temporary=True)


def _present(table: str, files: list[Path]) -> list[Path]:
    """The files, without those of stretches that were published before there was such a table."""
    return [path for path in files if path.exists()] if table in LATER_TABLES else files


def _view(table: str, files: list[Path]) -> str:
    return f"CREATE OR REPLACE TEMP VIEW {table} AS {_whole(table, files)}"


def _whole(table: str, files: list[Path]) -> str:
    """The rows of files with the columns of now: one that came later is NULL."""
    nothing = _nothing(table)
    return f"SELECT * FROM {_relation(files)} UNION ALL BY NAME {nothing}" if files else nothing


def _nothing(table: str) -> str:
    columns = ", ".join(f'NULL::{kind.removesuffix(" NOT NULL")} AS "{name}"' for name, kind in COLUMNS[table].items())
    return f"SELECT {columns} WHERE false"


def _relation(files: list[Path]) -> str:
    return f"read_parquet([{', '.join(map(_quoted, files))}], union_by_name = true)"


class PublishedLog(Reading):
    """A published log, as it was when opened. Open it again to see more.

    Raises:
        LogError: if it cannot be read.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        if not self._directory.is_dir():
            raise LogError(f"there is no published log at {self._directory}")
        self._statements = published_sql(self._directory)
        self._stretches = stretches(self._directory)
        self._root: duckdb.DuckDBPyConnection | None = duckdb.connect(":memory:", config=reader_settings())

    @property
    def name(self) -> str:
        return f"the published log {self._directory}"

    @property
    def position(self) -> int:
        """The last position published."""
        return self._stretches[-1].last if self._stretches else 0

    def cursor(self) -> duckdb.DuckDBPyConnection:
        if self._root is None:
            raise LogError(f"{self.name} is closed")
        cursor = self._root.cursor()
        try:
            for statement in self._statements:  # temporary views belong to one connection
                cursor.execute(statement)
        except duckdb.Error as error:
            cursor.close()
            raise LogError(f"cannot read {self.name}: {error}") from error
        return cursor

    def close(self) -> None:
        if self._root is not None:
            self._root.close()
            self._root = None

    def _spans(self, after: int) -> list[Span]:
        return list(self._each_span(after))

    def _each_span(self, after: int) -> Iterator[Span]:
        for stretch in self._stretches:
            if stretch.last > after:
                files: Mapping[str, str] = {
                    table: f"({_whole(table, found)})"
                    for table in EVENT_TABLES
                    for found in [_present(table, [self._directory / table / stretch.file])]
                }
                yield Span(max(after, stretch.first - 1), stretch.last, files)


def read_published(path: str | os.PathLike[str]) -> PublishedLog:
    """Open what a log published. ``path`` is the log's file or the published directory.

    Raises:
        LogError: if nothing is published there, or it cannot be read.
    """
    path = Path(path)
    return PublishedLog(path if path.is_dir() else published_directory(path))
