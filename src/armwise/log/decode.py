"""Arrow back to events, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from armwise.contracts import (
    Attempt,
    Beside,
    Budget,
    BudgetChange,
    Context,
    Decision,
    JudgeDraw,
    PoolChange,
    Predictions,
    RolloutChange,
    Signal,
    SourceChange,
    Trade,
    Vector,
)
from armwise.log.events import arm_from_json
from armwise.log.writer import Numbered


def decode(table: str, rows: pa.Table) -> list[Numbered]:
    """The events of one table's rows, with their positions."""
    columns = {name: rows.column(name) for name in rows.column_names}
    positions = columns.pop("position").to_pylist()
    return list(zip(positions, _DECODERS[table](columns), strict=True))


def _decisions(columns: Mapping[str, pa.ChunkedArray]) -> Iterator[Decision]:
    known: dict[Any, Any] = {}

    def same(value: Any) -> Any:  # equal values share one object
        return known.setdefault(value, value)

    def get(name: str) -> list[Any]:
        values: list[Any] = columns[name].to_pylist()
        return values

    exact = columns["vector_exact"]
    vectors = _arrays(columns["vector"])
    if exact.null_count < len(exact):
        spare = _arrays(exact)
        has_spare = exact.is_valid().to_pylist()
        vectors = [spare[i] if has_spare[i] else vector for i, vector in enumerate(vectors)]
    contexts = map(
        Context,
        vectors,
        map(same, get("task")),
        get("input_tokens"),
        get("tools"),
        (same(frozenset(names)) for names in get("modalities")),
    )
    predictions = map(
        Predictions,
        _arrays(columns["predicted_quality_of"]),
        _arrays(columns["predicted_cost_usd_of"]),
        _arrays(columns["predicted_latency_ms_of"]),
    )
    trades = map(Trade, *map(get, Trade._fields))
    return map(
        Decision,
        get("id"),
        get("unix_time"),
        map(same, get("arm")),
        get("propensity"),
        (same(tuple(names)) for names in get("arms")),
        _arrays(columns["probability_of"]),
        map(dict, get("excluded")),
        predictions,
        trades,
        contexts,
        map(same, get("method")),
        get("seed"),
        map(same, get("policy_version")),
        map(same, get("feature_version")),
        map(same, get("tenant")),
        get("session"),
        get("head"),
        get("switched"),
        _besides(columns),
    )


def _besides(columns: Mapping[str, pa.ChunkedArray]) -> list[Beside | None]:
    versions = columns["candidate"]
    if versions.null_count == len(versions):
        return [None] * len(versions)
    return [
        None if version is None else Beside(version, share, probabilities)
        for version, share, probabilities in zip(
            versions.to_pylist(),
            columns["candidate_share"].to_pylist(),
            _arrays(columns["candidate_probability_of"]),
            strict=True,
        )
    ]


def _arrays(column: pa.ChunkedArray) -> list[Vector]:
    """One float64 array of its own per row (a view would keep the whole chunk alive)."""
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks)
    offsets = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    ends = offsets.tolist()
    return [values[start:end].astype(np.float64, copy=True) for start, end in pairwise(ends)]


def _records(kind: Callable[..., Any]) -> Callable[[Mapping[str, pa.ChunkedArray]], Iterator[Any]]:
    def build(columns: Mapping[str, pa.ChunkedArray]) -> Iterator[Any]:
        names = tuple("at" if name == "unix_time" else name for name in columns)
        rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
        return (kind(**dict(zip(names, row, strict=True))) for row in rows)

    return build


def _pool_change(*, action: Any, name: str, arm: str, at: float, changed_by: str | None) -> PoolChange:
    return PoolChange(action=action, arm=arm_from_json(arm), at=at, by=changed_by or "")


def _budget_change(*, action: Any, at: float, declared: bool, **budget: Any) -> BudgetChange:
    return BudgetChange(action=action, budget=Budget(**budget), at=at, declared=declared)


def _rollout_change(*, rule: str, promoted_by: str, **fields: Any) -> RolloutChange:
    return RolloutChange(rule=json.loads(rule), by=promoted_by, **fields)


_DECODERS: dict[str, Callable[[Mapping[str, pa.ChunkedArray]], Iterator[Any]]] = {
    "decisions": _decisions,
    "signals": _records(Signal),
    "attempts": _records(Attempt),
    "pool_changes": _records(_pool_change),
    "judge_draws": _records(JudgeDraw),
    "source_changes": _records(SourceChange),
    "budget_changes": _records(_budget_change),
    "rollout_changes": _records(_rollout_change),
}
