"""A log's files made small again: deleting rows leaves room in DuckDB's file, publishing leaves many short files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import duckdb

from armwise.errors import LogError
from armwise.log.duckdb import DuckDBLog
from armwise.log.publish import published_directory, stretches
from armwise.log.retention import merge_published
from armwise.log.schema import WRITER_SETTINGS, explain


class Compacted(NamedTuple):
    """Bytes of the log's file, and published files, before and after."""

    bytes_before: int
    bytes_after: int
    files_before: int
    files_after: int


def compact(path: str | os.PathLike[str]) -> Compacted:
    """Rewrite the file of a log that nobody has open, and merge what it published into long stretches.

    The new file takes the old one's place in one step, once it is complete.

    Raises:
        LogError: if the log is in use, is not a log, or the disk refuses; the log is as it was then.
    """
    path = Path(path)
    if not path.is_file():
        raise LogError(f"there is no log at {path}")
    fresh = path.with_name(f".{path.name}.compact")
    fresh.unlink(missing_ok=True)
    with DuckDBLog(path) as log:  # which nobody else can open meanwhile
        cursor = log.cursor()
        try:
            cursor.execute("CHECKPOINT")
            before = path.stat().st_size
            _copy(cursor, fresh)
        except duckdb.Error as error:
            fresh.unlink(missing_ok=True)
            raise LogError(explain(error, path)) from error
        finally:
            cursor.close()
        fresh.replace(path)  # while the lock is held: whoever opens the log next opens the new file
    directory = published_directory(path)
    if not directory.is_dir():
        return Compacted(before, path.stat().st_size, 0, 0)
    count = len(stretches(directory))
    merge_published(directory)
    return Compacted(before, path.stat().st_size, count, len(stretches(directory)))


def _copy(cursor: duckdb.DuckDBPyConnection, target: Path) -> None:
    version, place = WRITER_SETTINGS["storage_compatibility_version"], str(target).replace("'", "''")
    row = cursor.execute("SELECT current_database()").fetchone()
    assert row is not None
    cursor.execute(f"ATTACH '{place}' AS compact (STORAGE_VERSION '{version}')")
    cursor.execute(f'COPY FROM DATABASE "{row[0]}" TO compact')
    cursor.execute("DETACH compact")
