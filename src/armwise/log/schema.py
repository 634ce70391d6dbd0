"""Tables and views of a log, its migrations, and how its file is opened.

Every event row has its ``position``, the place of the event in the one order over all tables. Columns that end in
``_of`` are lists with one element per arm, in the order of ``arms``; beside them stand the chosen arm's own values, so
that analysis need not open a list. A record's ``at`` is ``unix_time`` here, in
seconds, for AT is a word of SQL. Prompts are never stored.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from armwise.errors import LogError
from armwise.log.migrations import MIGRATIONS
from armwise.rewards import NOT_OF_USERS, QUALITY_VARIANCE, RULES, RewardRules

EVENT_TABLES: tuple[str, ...] = (
    "attempts",
    "signals",
    "pool_changes",
    "judge_draws",
    "source_changes",
    "budget_changes",
    "rollout_changes",
    "decisions",
)
"""Tables of events. Publishing goes in this order: the file of decisions closes a stretch."""

LATER_TABLES: frozenset[str] = frozenset(
    {"judge_draws", "source_changes", "reward_rules", "budget_changes", "rollout_changes"}
)
"""Tables that the first version did not have: what older versions published may lack them."""

SIDE_TABLES: tuple[str, ...] = ("signal_kinds", "reward_rules", "policy_versions", "gaps")
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
        "head": "VARCHAR",
        "switched": "VARCHAR",
        # While a candidate policy is tried beside the serving one; probability_of is the mixture of the two.
        "candidate": "VARCHAR",
        "candidate_share": "DOUBLE",
        "candidate_probability_of": "DOUBLE[]",
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
        "retracts": "VARCHAR",
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
        "changed_by": "VARCHAR",
    },
    "policy_versions": {
        "version": "VARCHAR NOT NULL",
        "position": "BIGINT",
        "unix_time": "DOUBLE",
        "feature_version": "VARCHAR",
        "spec": "VARCHAR",
    },
    "judge_draws": {
        "position": "BIGINT NOT NULL",
        "decision_id": "VARCHAR NOT NULL",
        "judge": "VARCHAR",
        "probability": "DOUBLE",
        "drawn": "BOOLEAN",
        "unix_time": "DOUBLE",
    },
    "source_changes": {
        "position": "BIGINT NOT NULL",
        "source": "VARCHAR",
        "offset": "DOUBLE",
        "slope": "DOUBLE",
        "noise": "DOUBLE",
        "weight": "DOUBLE",
        "training": "BOOLEAN",
        "reason": "VARCHAR",
        "unix_time": "DOUBLE",
    },
    "budget_changes": {
        "position": "BIGINT NOT NULL",
        "action": "VARCHAR",
        "name": "VARCHAR",
        "usd": "DOUBLE",
        "per": "VARCHAR",
        "tenant": "VARCHAR",
        "task": "VARCHAR",
        "hard_stop": "BOOLEAN",
        "declared": "BOOLEAN",
        "unix_time": "DOUBLE",
    },
    "rollout_changes": {
        "position": "BIGINT NOT NULL",
        "stage": "VARCHAR",
        "version": "VARCHAR",
        "share": "DOUBLE",
        "tolerance": "DOUBLE",
        "level": "DOUBLE",
        "rule": "VARCHAR",
        "sequence": "BIGINT",
        "promoted_by": "VARCHAR",
        "reason": "VARCHAR",
        "unix_time": "DOUBLE",
    },
    "signal_kinds": {
        "kind": "VARCHAR NOT NULL",
        "at_zero": "DOUBLE",
        "at_one": "DOUBLE",
        "variance": "DOUBLE",
        "weight": "DOUBLE",
        "question": "VARCHAR",
    },
    "reward_rules": {"final_after_s": "DOUBLE"},
    "gaps": {"first": "BIGINT NOT NULL", "last": "BIGINT NOT NULL", "reason": "VARCHAR", "unix_time": "DOUBLE"},
    "meta": {"key": "VARCHAR NOT NULL", "value": "VARCHAR"},
}
"""Table -> column -> type."""


SCHEMA_VERSION = len(MIGRATIONS)

VIEWS: Mapping[str, str] = {
    # The first of several with one key holds.
    "unique_signals": """
        SELECT * FROM signals
        QUALIFY row_number() OVER (PARTITION BY decision_id, source, event_id ORDER BY position) = 1""",
    # armwise.rewards.resolve, in SQL: this and the next three.
    "standing_signals": """
        SELECT signal.* FROM unique_signals AS signal
        ANTI JOIN (SELECT * FROM unique_signals WHERE kind = 'retraction') AS taken_back
          ON signal.decision_id = taken_back.decision_id AND signal.source = taken_back.source
             AND signal.event_id = taken_back.retracts
        WHERE signal.kind <> 'retraction'""",
    "opinions": f"""
        WITH change AS (
            SELECT * FROM source_changes
            QUALIFY row_number() OVER (PARTITION BY source, unix_time ORDER BY position DESC) = 1),
        said AS (
            SELECT signal.*, kind.question, kind.variance, kind.weight,
                   CASE WHEN kind.at_zero IS NULL THEN CASE WHEN signal.value >= 0.5 THEN kind.at_one END
                        WHEN kind.at_one IS NULL THEN CASE WHEN signal.value < 0.5 THEN kind.at_zero END
                        ELSE kind.at_zero + (kind.at_one - kind.at_zero) * signal.value END AS reported
            FROM standing_signals AS signal JOIN signal_kinds AS kind USING (kind)
            WHERE kind.weight > 0)
        SELECT said.decision_id, said.position, said.kind, said.source, said.question, said.unix_time, said.reported,
               CASE WHEN change.source IS NULL THEN said.reported
                    ELSE change.slope * said.reported + change."offset" END AS quality,
               CASE WHEN coalesce(change.noise * change.noise, said.variance) = 0
                         AND change.weight > 0 AND change.weight < 1
                    THEN {QUALITY_VARIANCE} * (1.0 - change.weight) / change.weight
                    ELSE coalesce(change.noise * change.noise, said.variance) END AS variance,
               said.weight * coalesce(change.weight, 1.0) AS weight
        FROM said ASOF LEFT JOIN change ON said.source = change.source AND said.unix_time >= change.unix_time
        WHERE coalesce(change.training, true)
        QUALIFY row_number() OVER (
            PARTITION BY said.decision_id, said.source, said.question ORDER BY said.position DESC) = 1""",
    "fused": """
        SELECT decision_id,
               greatest(least(CASE
                   WHEN count(*) FILTER (variance = 0) = 1 THEN any_value(quality) FILTER (variance = 0)
                   WHEN bool_or(variance = 0) THEN sum(weight * quality) FILTER (variance = 0)
                                                   / sum(weight) FILTER (variance = 0)
                   WHEN count(*) = 1 THEN any_value(quality)
                   ELSE sum(weight / variance * quality) / sum(weight / variance) END, 1.0), 0.0) AS quality,
               CASE WHEN bool_or(variance = 0) THEN 0.0
                    ELSE sqrt(1.0 / sum(weight / nullif(variance, 0))) END AS quality_deviation,
               max(unix_time) AS unix_time,
               bool_or(kind <> 'judge_score') AS unasked
        FROM opinions WHERE quality IS NOT NULL AND weight > 0
        GROUP BY decision_id""",
    "outcomes": f"""
        SELECT signal.decision_id,
               any_value(fused.quality) AS quality,
               any_value(fused.quality_deviation) AS quality_deviation,
               max_by(value, position) FILTER (kind = 'cost_usd') AS cost_usd,
               max_by(value, position) FILTER (kind = 'latency_ms') AS latency_ms,
               max_by(value, position) FILTER (kind = 'output_tokens') AS output_tokens,
               coalesce(sum(value) FILTER (kind = 'judge_cost_usd'), 0.0) AS judging_usd,
               coalesce(max_by(value, position) FILTER (kind = 'error') <> 0, false)
                   OR coalesce(max_by(value, position) FILTER (kind = 'unavailable') <> 0, false) AS error,
               count(*) AS signals,
               count(*) FILTER (kind = 'quality') AS quality_signals,
               count(*) FILTER (kind = 'judge_score') AS judge_signals,
               count(*) FILTER (kind IN (SELECT kind FROM signal_kinds)
                                AND kind NOT IN {tuple(sorted(NOT_OF_USERS))!r}) AS user_signals,
               max(position) AS last_signal_position,
               max(signal.unix_time) AS last_signal_unix_time,
               any_value(fused.unix_time) AS quality_unix_time,
               any_value(fused.unasked) AS unasked
        FROM standing_signals AS signal LEFT JOIN fused ON signal.decision_id = fused.decision_id
        GROUP BY signal.decision_id""",
    # Independent draws of several judges: one of them at least.
    "judging": """
        SELECT decision_id,
               CASE WHEN count(*) = 1 THEN any_value(probability) ELSE 1.0 - product(1.0 - probability) END
                   AS probability
        FROM (SELECT * FROM judge_draws
              QUALIFY row_number() OVER (PARTITION BY decision_id, judge ORDER BY position) = 1)
        GROUP BY decision_id""",
    # armwise.sessions, in SQL: the mean over the judged turns of a session that kept its arm, for its first decision.
    "session_rewards": f"""
        WITH judged AS (
            SELECT coalesce(decision.head, decision.id) AS head, decision.head IS NOT NULL AS follows, outcome.quality,
                   {QUALITY_VARIANCE} / ({QUALITY_VARIANCE} + outcome.quality_deviation * outcome.quality_deviation)
                       AS weight
            FROM decisions AS decision JOIN outcomes AS outcome ON decision.id = outcome.decision_id
            WHERE decision.session IS NOT NULL AND outcome.quality IS NOT NULL)
        SELECT head, sum(weight * quality) / sum(weight) AS quality,
               sqrt({QUALITY_VARIANCE} * (1.0 - least(sum(weight), 1.0)) / least(sum(weight), 1.0)) AS quality_deviation
        FROM judged GROUP BY head HAVING bool_or(follows)""",
    "rewarded": """
        SELECT decision.*,
               coalesce(whole.quality, outcome.quality) AS quality,
               coalesce(whole.quality_deviation, outcome.quality_deviation) AS quality_deviation,
               outcome.cost_usd, outcome.latency_ms, outcome.output_tokens,
               coalesce(outcome.judging_usd, 0.0) AS judging_usd,
               coalesce(outcome.error, false) AS error,
               coalesce(outcome.signals, 0) AS signals,
               coalesce(outcome.quality_signals, 0) AS quality_signals,
               coalesce(outcome.judge_signals, 0) AS judge_signals,
               coalesce(outcome.user_signals, 0) AS user_signals,
               outcome.quality_unix_time,
               outcome.last_signal_position, outcome.last_signal_unix_time,
               CASE WHEN coalesce(outcome.unasked, false) THEN NULL ELSE judging.probability END AS judging_probability,
               decision.unix_time + (SELECT max(final_after_s) FROM reward_rules) AS final_unix_time,
               coalesce(outcome.quality_unix_time > decision.unix_time + (SELECT max(final_after_s) FROM reward_rules),
                        false) AS corrected_late
        FROM decisions AS decision
        LEFT JOIN outcomes AS outcome ON decision.id = outcome.decision_id
        LEFT JOIN session_rewards AS whole ON decision.id = whole.head
        LEFT JOIN judging ON decision.id = judging.decision_id""",
}
"""View -> its query, in the order of their needs.

``rewarded`` has one row per decision: what was chosen and predicted, and what its signals say by now. ``quality`` NULL
is no feedback yet, which is not zero. ``judging_probability`` is the probability with which judges were to look, also
where they did not; NULL where no judge was asked, and where quality came by itself, with a probability nobody knows.
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


def reader_settings() -> dict[str, Any]:
    """Of a connection that only reads: what exceeds its memory spills to where any process may write."""
    spill = Path(tempfile.gettempdir()) / f"armwise-{uuid.uuid4().hex}"
    return {**SETTINGS, "memory_limit": "700MB", "temp_directory": str(spill)}


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
        return duckdb.connect(
            str(path), read_only=read_only, config=reader_settings() if read_only else dict(WRITER_SETTINGS)
        )
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


def prepare(connection: duckdb.DuckDBPyConnection, path: Path, rules: RewardRules | None) -> str:
    """Bring a log that is open for writing to the present schema; returns the log's own id.

    Args:
        connection: of this thread.
        path: for messages.
        rules: how signals become rewards; ``None`` keeps what the log has, at first :data:`armwise.rewards.RULES`.

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
    if rules is None and version < SCHEMA_VERSION:
        rules = RULES
    if rules is not None:
        _keep_rules(connection, rules)
    connection.commit()
    return log_id(connection)


def _keep_rules(connection: duckdb.DuckDBPyConnection, rules: RewardRules) -> None:
    """Write the rules beside the signals, unless they are there."""
    kinds = [
        (name, kind.at_zero, kind.at_one, kind.variance, kind.weight, rules.question(name))
        for name, kind in sorted(rules.kinds.items())
    ]
    if connection.execute("SELECT * FROM signal_kinds ORDER BY kind").fetchall() != kinds:
        connection.execute("DELETE FROM signal_kinds")
        for row in kinds:
            connection.execute("INSERT INTO signal_kinds VALUES ($1, $2, $3, $4, $5, $6)", list(row))
    if connection.execute("SELECT * FROM reward_rules").fetchall() != [(rules.final_after_s,)]:
        connection.execute("DELETE FROM reward_rules")
        connection.execute("INSERT INTO reward_rules VALUES ($1)", [rules.final_after_s])


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
