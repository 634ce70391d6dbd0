"""Tables and views of a log, its migrations, and how its file is opened.

Every event row has its ``position``, the place of the event in the one order over all tables. Columns that end in
``_of`` are lists with one element per arm, in the order of ``arms``; beside them stand the chosen arm's own values, so
that analysis need not open a list. A record's ``at`` is ``unix_time`` here, in
seconds, for AT is a word of SQL. Prompts are never stored.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from armwise.errors import LogError
from armwise.rewards import QUALITY_OF

EVENT_TABLES: tuple[str, ...] = ("attempts", "signals", "pool_changes", "decisions")
"""Tables of events. Publishing goes in this order: the file of decisions closes a stretch."""

SIDE_TABLES: tuple[str, ...] = ("signal_kinds", "policy_versions", "gaps")
"""Small tables, published whole."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "decisions": {
        "position": "BIGINT NOT NULL",
        "id": "VARCHAR NOT NULL",
        "unix_time": "DOUBLE",
        "arm": "VARCHAR",
        "propensity": "DOUBLE",
        "predicted_quality": "DOUBLE",
        "predicted_cost_usd": "DOUBLE",
        "predicted_latency_ms": "DOUBLE",
        "cost_weight": "DOUBLE",
        "latency_weight": "DOUBLE",
        "cost_ref_usd": "DOUBLE",
        "latency_ref_ms": "DOUBLE",
        "task": "VARCHAR",
        "input_tokens": "BIGINT",
        "tools": "BOOLEAN",
        "modalities": "VARCHAR[]",
        "tenant": "VARCHAR",
        "session": "VARCHAR",
        "policy_version": "VARCHAR",
        "feature_version": "VARCHAR",
        "method": "VARCHAR",
        "seed": "UBIGINT",
        "arms": "VARCHAR[]",
        "probability_of": "DOUBLE[]",
        "predicted_quality_of": "DOUBLE[]",
        "predicted_cost_usd_of": "DOUBLE[]",
        "predicted_latency_ms_of": "DOUBLE[]",
        "excluded": "MAP(VARCHAR, VARCHAR)",
        "vector": "FLOAT[]",
        # Only where float32 cannot hold the context exactly, which encoders see to; else NULL.
        "vector_exact": "DOUBLE[]",
    },
    "signals": {
        "position": "BIGINT NOT NULL",
        "decision_id": "VARCHAR NOT NULL",
        "kind": "VARCHAR",
        "value": "DOUBLE",
        "source": "VARCHAR",
        "event_id": "VARCHAR",
        "unix_time": "DOUBLE",
    },
    "attempts": {
        "position": "BIGINT NOT NULL",
        "decision_id": "VARCHAR NOT NULL",
        "attempt": "BIGINT",
        "model": "VARCHAR",
        "unix_time": "DOUBLE",
        "status": "VARCHAR",
        "latency_ms": "DOUBLE",
        "input_tokens": "BIGINT",
        "output_tokens": "BIGINT",
        "cost_usd": "DOUBLE",
    },
    "pool_changes": {
        "position": "BIGINT NOT NULL",
        "action": "VARCHAR",
        "name": "VARCHAR",
        "arm": "VARCHAR",
        "unix_time": "DOUBLE",
    },
    "policy_versions": {
        "version": "VARCHAR NOT NULL",
        "position": "BIGINT",
        "unix_time": "DOUBLE",
        "feature_version": "VARCHAR",
        "spec": "VARCHAR",
    },
    "signal_kinds": {"kind": "VARCHAR NOT NULL", "quality": "DOUBLE"},
    "gaps": {"first": "BIGINT NOT NULL", "last": "BIGINT NOT NULL", "reason": "VARCHAR", "unix_time": "DOUBLE"},
    "meta": {"key": "VARCHAR NOT NULL", "value": "VARCHAR"},
}
"""Table -> column -> type."""


def _create(table: str) -> str:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS[table].items())
    return f"CREATE TABLE {table} ({columns})"


MIGRATIONS: tuple[tuple[str, ...], ...] = (tuple(_create(table) for table in COLUMNS),)
"""What brings a log from schema version i to i + 1. Version 0 is an empty database. Append; never change one.

Once a second entry exists, the first must be spelled out instead of being made from ``COLUMNS``.
"""

SCHEMA_VERSION = len(MIGRATIONS)

VIEWS: Mapping[str, str] = {
    # The first of several with one key holds.
    "unique_signals": """
        SELECT * FROM signals
        QUALIFY row_number() OVER (PARTITION BY decision_id, source, event_id ORDER BY position) = 1""",
    # armwise.rewards.resolve, in SQL.
    "outcomes": """
        SELECT decision_id,
               coalesce(max_by(value, position) FILTER (signal.kind = 'quality'),
                        avg(coalesce(opinion.quality, value)) FILTER (opinion.kind IS NOT NULL),
                        CASE WHEN max_by(value, position) FILTER (signal.kind = 'error') <> 0 THEN 0.0 END) AS quality,
               max_by(value, position) FILTER (signal.kind = 'cost_usd') AS cost_usd,
               max_by(value, position) FILTER (signal.kind = 'latency_ms') AS latency_ms,
               max_by(value, position) FILTER (signal.kind = 'output_tokens') AS output_tokens,
               coalesce(max_by(value, position) FILTER (signal.kind = 'error') <> 0, false) AS error,
               count(*) AS signals,
               count(*) FILTER (signal.kind = 'quality') AS quality_signals,
               count(*) FILTER (opinion.kind IS NOT NULL) AS user_signals,
               max(position) AS last_signal_position,
               max(unix_time) AS last_signal_unix_time
        FROM unique_signals AS signal LEFT JOIN signal_kinds AS opinion ON signal.kind = opinion.kind
        GROUP BY decision_id""",
    "rewarded": """
        SELECT decision.*,
               outcome.quality, outcome.cost_usd, outcome.latency_ms, outcome.output_tokens,
               coalesce(outcome.error, false) AS error,
               coalesce(outcome.signals, 0) AS signals,
               coalesce(outcome.quality_signals, 0) AS quality_signals,
               coalesce(outcome.user_signals, 0) AS user_signals,
               outcome.last_signal_position, outcome.last_signal_unix_time
        FROM decisions AS decision LEFT JOIN outcomes AS outcome ON decision.id = outcome.decision_id""",
}
"""View -> its query, in the order of their needs.

``rewarded`` has one row per decision: what was chosen and predicted, and what its signals say by now. ``quality`` NULL
is no feedback yet, which is not zero.
"""

SETTINGS: Mapping[str, Any] = {
    # Nothing is ever fetched.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
WRITER_SETTINGS: Mapping[str, Any] = {
    **SETTINGS,
    # Otherwise DuckDB 1.x could not open a file made by 2.x.
    "storage_compatibility_version": "v1.4.0",
    "memory_limit": "1GB",
    # Each checkpoint rewrites the last, unfilled row group; but a longer write-ahead log opens later after a crash.
    "checkpoint_threshold": "64MB",
}


def views_sql(*, temporary: bool = False) -> list[str]:
    """Statements that make the views over tables of the usual names."""
    made = "CREATE OR REPLACE TEMP VIEW" if temporary else "CREATE OR REPLACE VIEW"
    return [f"{made} {name} AS {query}" for name, query in VIEWS.items()]


def open_database(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open the file of a log, or make it.

    Raises:
        LogError: saying what is wrong with the file and what to do about it.
    """
    if not path.parent.is_dir():
        raise LogError(f"cannot open the log {path}: the directory {path.parent} does not exist; make it first")
    if path.is_dir():
        raise LogError(f"cannot open the log {path}: that is a directory; name a file, such as {path / 'log.duckdb'}")
    _check_magic(path)
    try:
        return duckdb.connect(str(path), read_only=read_only, config=dict(SETTINGS if read_only else WRITER_SETTINGS))
    except duckdb.Error as error:
        raise LogError(explain(error, path)) from error


def _check_magic(path: Path) -> None:
    """Refuse a foreign file at once: DuckDB itself would look for an extension that reads it."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LogError(explain(error, path)) from error
    if start[8:] != b"DUCK":
        raise LogError(f"cannot use the log {path}: it is not a DuckDB file; name another file or move it away")


def prepare(connection: duckdb.DuckDBPyConnection, path: Path, signal_values: Mapping[str, float | None] | None) -> str:
    """Bring a log that is open for writing to the present schema; returns the log's own id.

    Args:
        connection: of this thread.
        path: for messages.
        signal_values: kind of user signal -> quality (``None``: the signal's own value); ``None`` keeps what the log
            has, which at first is :data:`armwise.rewards.QUALITY_OF`.

    Raises:
        LogError: if the file is not a log, or is from a newer armwise.
    """
    version = schema_version(connection, path, empty_is=0)
    connection.begin()
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    if version < SCHEMA_VERSION:
        if not version:
            connection.execute("INSERT INTO meta VALUES ('log_id', $1)", [uuid.uuid4().hex])
        connection.execute("DELETE FROM meta WHERE key = 'schema_version'")
        connection.execute("INSERT INTO meta VALUES ('schema_version', $1)", [str(SCHEMA_VERSION)])
        for statement in views_sql():
            connection.execute(statement)
    if signal_values is None and not version:
        signal_values = QUALITY_OF
    if signal_values is not None:
        known = dict(connection.execute("SELECT kind, quality FROM signal_kinds").fetchall())
        if known != dict(signal_values):
            connection.execute("DELETE FROM signal_kinds")
            for kind, quality in signal_values.items():
                connection.execute("INSERT INTO signal_kinds VALUES ($1, $2)", [kind, quality])
    connection.commit()
    return log_id(connection)


def log_id(connection: duckdb.DuckDBPyConnection) -> str:
    """What tells this log from any other."""
    rows = connection.execute("SELECT value FROM meta WHERE key = 'log_id'").fetchall()
    return str(rows[0][0]) if rows else ""


def schema_version(connection: duckdb.DuckDBPyConnection, path: Path, *, empty_is: int | None = None) -> int:
    """Schema version of an open log.

    Raises:
        LogError: if the database is not a log (or is empty and ``empty_is`` is None), or is from a newer armwise.
    """
    tables = {
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'main'"
        ).fetchall()
    }
    if not tables and empty_is is not None:
        return empty_is
    if "meta" not in tables or "decisions" not in tables:
        held = ", ".join(sorted(tables)[:5]) or "nothing"
        raise LogError(f"{path} is a DuckDB database, but not an armwise log (it holds {held}); name another file")
    rows = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall()
    version = int(rows[0][0]) if rows and str(rows[0][0]).isdigit() else -1
    check_version(version, path)
    return version


def check_version(version: int, path: Path) -> None:
    """Raise LogError unless this armwise reads that version of the schema."""
    if version < 0:
        raise LogError(f"the log {path} does not say its schema version: it is damaged, or not an armwise log")
    if version > SCHEMA_VERSION:
        raise LogError(
            f"the log {path} was written by a newer armwise: it has schema version {version}, and this one knows "
            f"versions up to {SCHEMA_VERSION}; upgrade armwise (pip install -U armwise), or name another file"
        )


def explain(error: BaseException, path: Path) -> str:
    """A DuckDB error as a sentence on what is wrong with the log and what to do."""
    text = str(error).strip().split("\n")[0]
    reasons = (
        (
            "Could not set lock",
            "another process is writing it. One process owns a log: stop the other one or name another file; "
            "to read it meanwhile use armwise.log.open_reader, which reads what the owner published as Parquet",
        ),
        ("different configuration", "this process has it open already, with other settings; close that one first"),
        ("not a valid DuckDB database", "it is not a DuckDB file; name another file or move it away"),
        (
            "replaying WAL",
            f"its write-ahead log {path.name}.wal is damaged. Keep copies of both files; moving the .wal file away "
            "opens the log as of its last checkpoint, and what was published as Parquet is safe",
        ),
        ("version number", "it was made by another version of DuckDB that this one cannot read; install that one"),
        ("Permission denied", "permission denied: let this user read and write the file and its directory"),
        ("read-only", "the file or its file system is read-only; make it writable or name another file"),
        ("Read-only", "the file or its file system is read-only; make it writable or name another file"),
        ("No space left", "the disk is full: free some space"),
        ("File too large", "the file may not grow any further (a full disk or a file-size limit): make room"),
        ("Corrupt", "the file is damaged; restore a copy, or rebuild it from what was published as Parquet"),
        ("checksum", "the file is damaged; restore a copy, or rebuild it from what was published as Parquet"),
    )
    advice = next((advice for mark, advice in reasons if mark in text), "")
    return f"cannot use the log {path}: {advice} ({text})" if advice else f"cannot use the log {path}: {text}"
