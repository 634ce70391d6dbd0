"""From a log to arrays, through Arrow, block by block: memory is that of a block, or of the rows that are kept.

Any log will do that can be queried: a DuckDB file that is free (:class:`armwise.log.duckdb.ReadOnlyLog`), one that a
service is writing (what it has published: :func:`armwise.log.open_reader`), or the service's own log, in its process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from armwise.contracts import Arm
from armwise.errors import BadInput, unknown
from armwise.log.events import arm_from_json
from armwise.log.reading import Reading
from armwise.offline.rows import Array, LoggedRows

BLOCK = 1 << 16
"""Rows of a block."""

_NUMBERS = (
    "unix_time",
    "propensity",
    "cost_weight",
    "latency_weight",
    "cost_ref_usd",
    "latency_ref_ms",
    "predicted_cost_usd",
    "predicted_latency_ms",
    "quality",
    "quality_deviation",
    "cost_usd",
    "latency_ms",
    "output_tokens",
    "judging_probability",
)
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


def read_blocks(
    log: Reading,
    *,
    after: int = 0,
    until: int | None = None,
    feature_version: str | None = None,
    block: int = BLOCK,
    contexts: bool = True,
) -> Iterator[LoggedRows]:
    """Rows in the order of the log, ``block`` at a time.

    Decisions that follow their session's first are left out: nothing was drawn there, and what their quality is stands
    in the row of the decision that drew (:mod:`armwise.sessions`).

    Args:
        after, until: positions: decisions above the one, and up to the other.
        contexts: whether the vectors are wanted; without them d is 0 and reading is several times faster.

    Raises:
        BadInput: as :func:`summary`.
        LogError: if the log cannot be read.
    """
    about = summary(log, feature_version=feature_version)
    vectors = ", decision.vector, decision.vector_exact" if contexts else ""
    numbers = ", ".join(f"decision.{name}" for name in _NUMBERS)
    sql = (
        f"SELECT decision.position, decision.arm, decision.seed, decision.input_tokens, decision.error, {numbers}, "
        f"{', '.join(f'decision.{name}' for name in _TEXTS)}, decision.arms, decision.probability_of, "
        f"outcome.quality_unix_time{vectors} "
        "FROM rewarded AS decision LEFT JOIN outcomes AS outcome ON decision.id = outcome.decision_id "
        "WHERE decision.feature_version = $1 AND decision.position > $2 AND decision.position <= $3 "
        "AND decision.head IS NULL "
        "ORDER BY decision.position"
    )
    for batch in log.stream(sql, [about.feature_version, after, about.last if until is None else until], rows=block):
        if batch.num_rows:
            yield _rows(batch, about)


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
        BadInput: as :func:`summary`, or if no decision lies between the positions.
    """
    options = {"after": after, "until": until, "feature_version": feature_version, "contexts": contexts}
    parts = list(read_blocks(log, **options))  # type: ignore[arg-type]  # one mapping of several types
    if not parts:
        raise BadInput(f"{log.name} has no decision at positions above {after} and up to {until}")
    return LoggedRows.concatenate(parts)


def _rows(batch: pa.RecordBatch, about: LogSummary) -> LoggedRows:
    n = batch.num_rows
    code = {name: k for k, name in enumerate(about.arms)}
    eligible, probabilities = _tables(batch, code)
    parts = {name: _floats(batch.column(name)) for name in (*_NUMBERS, "quality_unix_time")}
    return LoggedRows(
        arms=about.arms,
        feature_version=about.feature_version,
        position=batch.column("position").to_numpy(zero_copy_only=False).astype(np.int64),
        arm=_codes(batch.column("arm"), code),
        eligible=eligible,
        probabilities=probabilities,
        vectors=_vectors(batch, n) if "vector" in batch.schema.names else np.zeros((n, 0), dtype=np.float32),
        input_tokens=batch.column("input_tokens").to_numpy(zero_copy_only=False).astype(np.int64),
        seed=batch.column("seed").to_numpy(zero_copy_only=False).astype(np.uint64),
        error=batch.column("error").to_numpy(zero_copy_only=False).astype(bool),
        **{name: _texts(batch.column(name)) for name in _TEXTS},
        **parts,
    )


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


def _vectors(batch: pa.RecordBatch, n: int) -> Array:
    """float32 [n, d]; a context that float32 cannot hold exactly is rounded, as for learning it may be."""
    flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
    vectors: Array = flat.reshape(n, -1).astype(np.float32, copy=False)
    return vectors
