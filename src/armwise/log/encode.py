"""Events to Arrow: whole columns at once, hardly any work per element."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from armwise.contracts import (
    Attempt,
    Beside,
    BudgetChange,
    Decision,
    JudgeDraw,
    PoolChange,
    RolloutChange,
    Signal,
    SourceChange,
    Vector,
)
from armwise.log.events import arm_to_json, kind_of
from armwise.log.health import Gap
from armwise.log.writer import Numbered

UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError)
"""What encoding raises on an event that breaks its contract."""

_NONE: Vector = np.zeros(0)
Offsets = np.ndarray[Any, np.dtype[np.int32]]


def encode(
    batch: Sequence[Numbered], *, fits: Callable[[dict[str, pa.Table]], None] | None = None
) -> tuple[dict[str, pa.Table], list[Gap]]:
    """Arrow tables by name, and a gap for every event that no table can hold.

    With ``fits``, each event is tried by itself, and held to be unfit where ``fits`` raises ValueError.
    """
    if fits is None:
        try:
            return _tables(batch), []
        except UNFIT:
            pass  # which of them?
    fit: list[Numbered] = []
    gaps: list[Gap] = []
    for position, event in batch:
        try:
            alone = _tables([(position, event)])
            if fits is not None:
                fits(alone)
            fit.append((position, event))
        except UNFIT as error:
            reason = f"{type(event).__name__} breaks its contract: {type(error).__name__}: {error}"
            gaps.append(Gap(position, position, reason[:500], time.time()))
    return _tables(fit), gaps


def warm_up() -> None:
    """Make pyarrow's first conversion now: it imports pandas, where there is one, and could not while Python ends."""
    pa.array([""], pa.string())


def _tables(batch: Sequence[Numbered]) -> dict[str, pa.Table]:
    split: dict[str, tuple[list[int], list[Any]]] = {}
    for position, event in batch:
        positions, events = split.setdefault(kind_of(event), ([], []))
        positions.append(position)
        events.append(event)
    return {
        name: pa.table({"position": positions, **_ENCODERS[name](events)})
        for name, (positions, events) in split.items()
    }


def _decisions(decisions: Sequence[Decision]) -> dict[str, Any]:
    (ids, ats, arms_chosen, propensities, arms, probabilities, excluded, predictions, trades, contexts, methods, seeds,
     policies, features, tenants, sessions, heads, switched, besides) = zip(*decisions, strict=True)  # fmt: skip
    qualities, costs, latencies = zip(*predictions, strict=True)
    vectors, tasks, input_tokens, tools, modalities = zip(*contexts, strict=True)
    trade = np.asarray(trades, dtype=np.float64)

    sizes = list(map(len, arms))
    offsets = _offsets(sizes)
    chosen = offsets[:-1] + [names.index(name) for names, name in zip(arms, arms_chosen, strict=True)]
    columns = [_flat(arrays, sizes) for arrays in (probabilities, qualities, costs, latencies)]
    probability, quality, cost, latency = columns

    dimensions = list(map(len, vectors))
    exact = _flat(vectors, dimensions)
    with np.errstate(over="ignore"):
        short = exact.astype(np.float32)
    vector_offsets = _offsets(dimensions)
    return {
        "id": _strings(ids),
        "unix_time": np.asarray(ats, dtype=np.float64),
        "arm": _strings(arms_chosen),
        "propensity": np.asarray(propensities, dtype=np.float64),
        "predicted_quality": quality[chosen],
        "predicted_cost_usd": cost[chosen],
        "predicted_latency_ms": latency[chosen],
        "cost_weight": trade[:, 0],
        "latency_weight": trade[:, 1],
        "cost_ref_usd": trade[:, 2],
        "latency_ref_ms": trade[:, 3],
        "task": _strings(tasks),
        "input_tokens": pa.array(input_tokens, pa.int64()),
        "tools": pa.array(tools, pa.bool_()),
        "modalities": _repeated(modalities, sorted),
        "tenant": _strings(tenants),
        "session": _strings(sessions),
        "head": _strings(heads),
        "switched": _strings(switched),
        **_candidates(besides, sizes),
        "policy_version": _strings(policies),
        "feature_version": _strings(features),
        "method": _strings(methods),
        "seed": pa.array(seeds, pa.uint64()),
        "arms": _repeated(arms, list),
        "probability_of": _lists(offsets, probability),
        "predicted_quality_of": _lists(offsets, quality),
        "predicted_cost_usd_of": _lists(offsets, cost),
        "predicted_latency_ms_of": _lists(offsets, latency),
        "excluded": _maps(excluded),
        "vector": _lists(vector_offsets, short),
        "vector_exact": _where_inexact(vector_offsets, exact, short),
    }


def _candidates(besides: Sequence[Beside | None], sizes: Sequence[int]) -> dict[str, Any]:
    """The candidate beside each decision; null where there was none."""
    without = pa.array([beside is None for beside in besides])
    kept = [0 if beside is None else size for beside, size in zip(besides, sizes, strict=True)]
    flat = _flat([_NONE if beside is None else beside.probability_of for beside in besides], kept)
    return {
        "candidate": _strings([None if beside is None else beside.version for beside in besides]),
        "candidate_share": pa.array([None if beside is None else beside.share for beside in besides], pa.float64()),
        "candidate_probability_of": _lists(_offsets(kept), flat, without),
    }


def _signals(signals: Sequence[Signal]) -> dict[str, Any]:
    fields = _transposed(signals, "decision_id", "kind", "value", "source", "event_id", "at", "retracts")
    decision_ids, kinds, values, sources, event_ids, ats, retracts = fields
    return {
        "decision_id": _strings(decision_ids),
        "kind": _strings(kinds),
        "value": np.asarray(values, dtype=np.float64),
        "source": _strings(sources),
        "event_id": _strings(event_ids),
        "unix_time": np.asarray(ats, dtype=np.float64),
        "retracts": _strings(retracts),
    }


def _attempts(attempts: Sequence[Attempt]) -> dict[str, Any]:
    fields = _transposed(
        attempts,
        "decision_id",
        "attempt",
        "model",
        "at",
        "status",
        "latency_ms",
        "input_tokens",
        "output_tokens",
        "cost_usd",
    )
    decision_ids, numbers, models, ats, statuses, latencies, input_tokens, output_tokens, costs = fields
    return {
        "decision_id": _strings(decision_ids),
        "attempt": pa.array(numbers, pa.int64()),
        "model": _strings(models),
        "unix_time": np.asarray(ats, dtype=np.float64),
        "status": _strings(statuses),
        "latency_ms": np.asarray(latencies, dtype=np.float64),
        "input_tokens": pa.array(input_tokens, pa.int64()),
        "output_tokens": pa.array(output_tokens, pa.int64()),
        "cost_usd": pa.array(costs, pa.float64()),
    }


def _pool_changes(changes: Sequence[PoolChange]) -> dict[str, Any]:
    return {
        "action": _strings([change.action for change in changes]),
        "name": _strings([change.arm.name for change in changes]),
        "arm": _strings([arm_to_json(change.arm) for change in changes]),
        "unix_time": np.asarray([change.at for change in changes], dtype=np.float64),
        "changed_by": _strings([change.by for change in changes]),
    }


def _judge_draws(draws: Sequence[JudgeDraw]) -> dict[str, Any]:
    decision_ids, judges, probabilities, drawn, ats = _transposed(
        draws, "decision_id", "judge", "probability", "drawn", "at"
    )
    return {
        "decision_id": _strings(decision_ids),
        "judge": _strings(judges),
        "probability": np.asarray(probabilities, dtype=np.float64),
        "drawn": pa.array(drawn, pa.bool_()),
        "unix_time": np.asarray(ats, dtype=np.float64),
    }


def _source_changes(changes: Sequence[SourceChange]) -> dict[str, Any]:
    fields = _transposed(changes, "source", "offset", "slope", "noise", "weight", "training", "reason", "at")
    sources, offsets, slopes, noises, weights, training, reasons, ats = fields
    return {
        "source": _strings(sources),
        "offset": np.asarray(offsets, dtype=np.float64),
        "slope": np.asarray(slopes, dtype=np.float64),
        "noise": pa.array(noises, pa.float64()),
        "weight": np.asarray(weights, dtype=np.float64),
        "training": pa.array(training, pa.bool_()),
        "reason": _strings(reasons),
        "unix_time": np.asarray(ats, dtype=np.float64),
    }


def _budget_changes(changes: Sequence[BudgetChange]) -> dict[str, Any]:
    names, amounts, periods, tenants, tasks, stops = _transposed(
        [change.budget for change in changes], "name", "usd", "per", "tenant", "task", "hard_stop"
    )
    return {
        "action": _strings([change.action for change in changes]),
        "name": _strings(names),
        "usd": np.asarray(amounts, dtype=np.float64),
        "per": _strings(periods),
        "tenant": _strings(tenants),
        "task": _strings(tasks),
        "hard_stop": pa.array(stops, pa.bool_()),
        "declared": pa.array([change.declared for change in changes], pa.bool_()),
        "unix_time": np.asarray([change.at for change in changes], dtype=np.float64),
    }


def _rollout_changes(changes: Sequence[RolloutChange]) -> dict[str, Any]:
    fields = _transposed(
        changes, "stage", "version", "share", "tolerance", "level", "rule", "sequence", "by", "reason", "at"
    )
    stages, versions, shares, tolerances, levels, rules, sequences, by, reasons, ats = fields
    return {
        "stage": _strings(stages),
        "version": _strings(versions),
        "share": np.asarray(shares, dtype=np.float64),
        "tolerance": np.asarray(tolerances, dtype=np.float64),
        "level": np.asarray(levels, dtype=np.float64),
        "rule": _strings([json.dumps(rule) for rule in rules]),
        "sequence": pa.array(sequences, pa.int64()),
        "promoted_by": _strings(by),
        "reason": _strings(reasons),
        "unix_time": np.asarray(ats, dtype=np.float64),
    }


_ENCODERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "decisions": _decisions,
    "signals": _signals,
    "attempts": _attempts,
    "pool_changes": _pool_changes,
    "judge_draws": _judge_draws,
    "source_changes": _source_changes,
    "budget_changes": _budget_changes,
    "rollout_changes": _rollout_changes,
}


def _transposed(records: Sequence[object], *names: str) -> Iterable[tuple[Any, ...]]:
    return zip(*map(attrgetter(*names), records), strict=True)


def _strings(values: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8: it is stored as its escape
        return pa.array(
            [None if v is None else v.encode("utf-8", "backslashreplace").decode() for v in values], pa.string()
        )


def _offsets(sizes: Sequence[int]) -> Offsets:
    return np.fromiter(accumulate(sizes, initial=0), dtype=np.int32, count=len(sizes) + 1)


def _flat(arrays: Sequence[Vector], sizes: Sequence[int]) -> Vector:
    if list(map(len, arrays)) != sizes:
        raise ValueError("an array has another length than the action set or the context")
    return np.concatenate(arrays, dtype=np.float64, casting="same_kind")


def _lists(offsets: Offsets, values: np.ndarray[Any, Any], mask: pa.Array | None = None) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=mask)


def _repeated(values: Sequence[Any], make: Callable[[Any], list[str]]) -> pa.Array:
    """A list column of few distinct values: each is built once."""
    index = {value: i for i, value in enumerate(dict.fromkeys(values))}
    distinct = [make(value) for value in index]
    lists = _lists(_offsets(list(map(len, distinct))), _strings(list(chain.from_iterable(distinct))))
    return lists.take(pa.array([index[value] for value in values], pa.int32()))


def _maps(values: Sequence[Any]) -> pa.Array:
    keys = list(chain.from_iterable(values))
    items = list(chain.from_iterable(value.values() for value in values if value))
    return pa.MapArray.from_arrays(pa.array(_offsets(list(map(len, values)))), _strings(keys), _strings(items))


def _where_inexact(offsets: Offsets, exact: Vector, short: np.ndarray[Any, Any]) -> pa.Array:
    """The vectors that float32 does not hold exactly; null for the others."""
    differs = short != exact
    if not differs.any():
        return pa.nulls(len(offsets) - 1, pa.list_(pa.float64()))
    counts = np.concatenate([[0], np.cumsum(differs)])
    whole = counts[offsets[1:]] == counts[offsets[:-1]]
    kept = np.repeat(~whole, np.diff(offsets))
    sizes = np.where(whole, 0, np.diff(offsets))
    return _lists(_offsets(sizes.tolist()), exact[kept], pa.array(whole))
