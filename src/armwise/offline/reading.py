"""From a log to arrays, through Arrow: outcomes, which are few numbers, all at once; what was decided, block by block.

Any log will do that can be queried: a DuckDB file that is free (:class:`armwise.log.duckdb.ReadOnlyLog`), one that a
service is writing (what it has published: :func:`armwise.log.open_reader`), or the service's own log, in its process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from armwise.contracts import Arm
from armwise.errors import BadInput, LogError, unknown
from armwise.log.events import arm_from_json
from armwise.log.reading import Reading
from armwise.offline.rows import Array, LoggedOutcomes, LoggedRows

BLOCK = 1 << 16
"""Rows of a block."""

_KNOWN = (
    "quality",
    "quality_deviation",
    "quality_unix_time",
    "cost_usd",
    "latency_ms",
    "output_tokens",
    "judging_probability",
)
_DECIDED = (
    "propensity",
    "cost_weight",
    "latency_weight",
    "cost_ref_usd",
    "latency_ref_ms",
    "predicted_cost_usd",
    "predicted_latency_ms",
)
_NONE = "{} has no decision at positions above {} and up to {}"
_LOST = "{} lost decisions while it was read; read it again"
_TEXTS = ("task", "tenant", "policy_version")


@dataclass(frozen=True, kw_only=True)
class LogSummary:
    """What there is in a log, before any row of it is read."""

    name: str
    decisions: int
    first: int
    last: int
    """Positions of the first and of the last decision."""
    arms: tuple[str, ...]
    """Every arm that was ever eligible, in the order in which they first were."""
    feature_version: str
    dimension: int


def summary(log: Reading, *, feature_version: str | None = None) -> LogSummary:
    """What there is in a log.

    Args:
        feature_version: the one to keep to, where the log has several.

    Raises:
        BadInput: an empty log, mixed feature versions, duplicate decisions.
        LogError: if the log cannot be read.
    """
    versions = log.query("SELECT feature_version, count(*) AS n FROM decisions GROUP BY 1 ORDER BY 1").to_pylist()
    if not versions:
        raise BadInput(f"{log.name} holds no decision; there is nothing to evaluate")
    found = [str(row["feature_version"]) for row in versions]
    if feature_version is None:
        if len(found) > 1:
            counts = ", ".join(f"{row['feature_version']!r} ({row['n']:,} rows)" for row in versions)
            raise BadInput(f"{log.name} mixes feature versions: {counts}; name the one to evaluate")
        feature_version = found[0]
    elif feature_version not in found:
        raise BadInput(f"{log.name}: {unknown('feature version', feature_version, found)}")
    where = "FROM decisions WHERE feature_version = $1"
    row = log.query(
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, min(position) AS first, max(position) AS last, "
        f"min(len(vector)) AS low, max(len(vector)) AS high {where}",
        [feature_version],
    ).to_pylist()[0]
    if row["ids"] < row["n"]:
        raise BadInput(f"{log.name} has {row['n'] - row['ids']:,} duplicate decisions; every id must be there once")
    if row["low"] != row["high"]:
        raise BadInput(f"{log.name} has contexts of {row['low']} to {row['high']} features under one feature version")
    sets = log.query(
        f"SELECT arms, min(position) AS first {where} GROUP BY arms ORDER BY first", [feature_version]
    ).column("arms")
    return LogSummary(
        name=log.name,
        decisions=int(row["n"]),
        first=int(row["first"]),
        last=int(row["last"]),
        arms=tuple(dict.fromkeys(name for names in sets.to_pylist() for name in names)),
        feature_version=feature_version,
        dimension=int(row["low"]),
    )


def pool_of(log: Reading) -> list[Arm]:
    """The arms that ever were in the pool, each with its latest particulars, in the order in which they joined."""
    rows = log.query("SELECT name, arm, action FROM pool_changes ORDER BY position").to_pylist()
    pool: dict[str, Arm] = {}
    for row in rows:
        if row["action"] == "add":
            pool[row["name"]] = arm_from_json(row["arm"])
    return list(pool.values())


def read_outcomes(
    log: Reading, *, after: int = 0, until: int | None = None, feature_version: str | None = None
) -> LoggedOutcomes:
    """What is known by now of the decisions, all at once.

    Decisions that follow their session's first are left out: nothing was drawn there, and what their quality is stands
    in the row of the decision that drew (:mod:`armwise.sessions`).

    Raises:
        BadInput: as :func:`summary`, or if no decision lies between the positions.
        LogError: if the log cannot be read.
    """
    about = summary(log, feature_version=feature_version)
    found = _outcomes(log, about, after, about.last if until is None else until)
    if not len(found):
        raise BadInput(_NONE.format(log.name, after, until))
    return found


def read_blocks(
    log: Reading,
    *,
    after: int = 0,
    until: int | None = None,
    feature_version: str | None = None,
    block: int = BLOCK,
    contexts: bool = True,
    outcomes: LoggedOutcomes | None = None,
) -> Iterator[LoggedRows]:
    """The rows of :func:`read_outcomes` with what was decided, ``block`` at a time.

    Args:
        after, until: positions: decisions above the one, and up to the other.
        contexts: whether the vectors are wanted; without them d is 0.
        outcomes: of the same decisions, where they have been read already.

    Raises:
        BadInput: as :func:`read_outcomes`.
        LogError: if the log cannot be read, or lost decisions meanwhile.
    """
    about = summary(log, feature_version=feature_version)
    last = about.last if until is None else until
    if outcomes is None:
        outcomes = _outcomes(log, about, after, last)
    columns = ("position", "seed", "input_tokens", *_DECIDED, *_TEXTS, "arms", "probability_of")
    sql = (
        f"SELECT {', '.join(columns)}{', vector' if contexts else ''} FROM decisions "
        "WHERE feature_version = $1 AND position > $2 AND position <= $3 AND head IS NULL ORDER BY position"
    )
    at = 0
    for batch in log.stream(sql, [about.feature_version, after, last], rows=block):
        if batch.num_rows:
            yield _rows(batch, about, outcomes.take(slice(at, at + batch.num_rows)), log.name)
        at += batch.num_rows
    if at != len(outcomes):
        raise LogError(_LOST.format(log.name))


def read_rows(
    log: Reading,
    *,
    after: int = 0,
    until: int | None = None,
    feature_version: str | None = None,
    contexts: bool = True,
) -> LoggedRows:
    """All rows at once: about 200 bytes each, 9 per arm and 4 per feature.

    Raises:
        BadInput: as :func:`read_outcomes`.
    """
    parts = list(read_blocks(log, after=after, until=until, feature_version=feature_version, contexts=contexts))
    if not parts:
        raise BadInput(_NONE.format(log.name, after, until))
    return LoggedRows.concatenate(parts)


def _outcomes(log: Reading, about: LogSummary, after: int, until: int) -> LoggedOutcomes:
    sql = (
        f"SELECT position, unix_time, arm, error, {', '.join(_KNOWN)} FROM rewarded "
        "WHERE feature_version = $1 AND position > $2 AND position <= $3 AND head IS NULL ORDER BY position"
    )
    code = {name: k for k, name in enumerate(about.arms)}
    # Filled in place: put together from parts, they would be there twice.
    columns: dict[str, Array] = {name: np.empty(about.decisions) for name in ("unix_time", *_KNOWN)}
    columns["position"], columns["arm"] = (np.empty(about.decisions, dtype=kind) for kind in (np.int64, np.intp))
    columns["error"] = np.empty(about.decisions, dtype=bool)
    rows = 0
    for batch in log.stream(sql, [about.feature_version, after, until], rows=BLOCK):
        here = slice(rows, rows + batch.num_rows)
        for name, column in columns.items():
            values = batch.column(name)
            column[here] = _codes(values, code) if name == "arm" else values.to_numpy(zero_copy_only=False)
        rows += batch.num_rows
    return LoggedOutcomes(arms=about.arms, **{name: column[:rows] for name, column in columns.items()})


def _rows(batch: pa.RecordBatch, about: LogSummary, known: LoggedOutcomes, name: str) -> LoggedRows:
    if not np.array_equal(_integers(batch.column("position")), known.position):
        raise LogError(_LOST.format(name))
    eligible, probabilities = _tables(batch, {arm: k for k, arm in enumerate(about.arms)})
    columns: dict[str, Any] = {field.name: getattr(known, field.name) for field in fields(known)}
    columns |= {text: _texts(batch.column(text)) for text in _TEXTS}
    columns |= {number: _floats(batch.column(number)) for number in _DECIDED}
    return LoggedRows(
        **columns,
        feature_version=about.feature_version,
        eligible=eligible,
        probabilities=probabilities,
        vectors=_vectors(batch) if "vector" in batch.schema.names else np.zeros((len(known), 0), dtype=np.float32),
        input_tokens=_integers(batch.column("input_tokens")),
        seed=batch.column("seed").to_numpy(zero_copy_only=False).astype(np.uint64),
    )


def _integers(column: pa.Array) -> Array:
    values: Array = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def _floats(column: pa.Array) -> Array:
    """float64, NULL as NaN."""
    values: Array = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return values


def _codes(column: pa.Array, code: dict[str, int]) -> Array:
    """Columns of arms by name."""
    words = column.dictionary_encode()
    at = np.array([code.get(str(word), -1) for word in words.dictionary.to_pylist()], dtype=np.intp)
    codes: Array = at[words.indices.to_numpy(zero_copy_only=False)]
    return codes


def _texts(column: pa.Array) -> Array:
    """Python strings, of which equal ones are one object."""
    words = pc.fill_null(column, "").dictionary_encode()
    known = np.array(words.dictionary.to_pylist(), dtype=object)
    texts: Array = known[words.indices.to_numpy(zero_copy_only=False)]
    return texts


def _tables(batch: pa.RecordBatch, code: dict[str, int]) -> tuple[Array, Array]:
    """[n, K] from the lists of arms and of their probabilities."""
    n, arms, chances = batch.num_rows, batch.column("arms"), batch.column("probability_of")
    lengths = np.diff(arms.offsets.to_numpy())
    if not np.array_equal(lengths, np.diff(chances.offsets.to_numpy())):
        raise BadInput("a decision has as many probabilities as arms in its action set; this log has others")
    row = np.repeat(np.arange(n), lengths)
    column = _codes(arms.flatten(), code)
    eligible = np.zeros((n, len(code)), dtype=bool)
    probabilities = np.zeros((n, len(code)))
    eligible[row, column] = True
    probabilities[row, column] = chances.flatten().to_numpy(zero_copy_only=False)
    return eligible, probabilities


def _vectors(batch: pa.RecordBatch) -> Array:
    """float32 [n, d]; a context that float32 cannot hold exactly is rounded, as for learning it may be."""
    flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
    vectors: Array = flat.reshape(batch.num_rows, -1).astype(np.float32, copy=False)
    return vectors
