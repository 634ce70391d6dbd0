"""Candidates that learn from the rows of a log, many at once: what cost and latency teach is learned once for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from armwise.contracts import Experience, PoolChange, Trade
from armwise.decider import Decider
from armwise.offline import Candidate, LoggedRows
from armwise.pacing import ConstantTrade
from armwise.policies import make_policy
from armwise.rewards import QUALITY_VARIANCE

Slots = tuple[int, ...]


class Trainee(Candidate):
    """A candidate with the settings it was made by, and the stretch of the log that it is to learn from."""

    settings: Mapping[str, Any]
    window_rows: int | None
    first: int
    """Position from which on it learns."""


def trainee(
    name: str,
    settings: Mapping[str, Any],
    changes: Iterable[PoolChange],
    *,
    dimension: int,
    feature_version: str,
    window_rows: int | None = None,
) -> Trainee:
    """A policy that has learned nothing, with the slots that the changes of a log's pool give its arms."""
    decider = Decider(
        policy=make_policy(dimension=dimension, **settings),
        pacer=ConstantTrade(Trade()),
        dimension=dimension,
        policy_version=name,
        feature_version=feature_version,
        settings=settings,
    )
    for change in changes:
        if change.action == "add" or change.arm.name in decider.pool:
            decider.change_pool(change)
    made = Trainee(name=name, decider=decider)
    made.settings, made.window_rows, made.first = dict(settings), window_rows, 0
    return made


def teach(trainees: Sequence[Trainee], rows: LoggedRows) -> None:
    """Let them take in rows, in order, each with its outcome as it is known by now.

    The first learns costs and latencies, which the others share (see :func:`share`).
    """
    if not trainees or not len(rows):
        return
    leader = trainees[0].decider
    pool = leader.pool
    slot_of = np.array([pool.slot(name) if name in pool else -1 for name in rows.arms], dtype=np.intp)
    slots = slot_of[rows.arm]
    vectors = rows.vectors.astype(np.float64)
    _teach_costs(leader, rows, slots, vectors)
    known = np.flatnonzero(~np.isnan(rows.quality) & (slots >= 0))
    penalties = rows.predicted_cost_usd * (rows.cost_weight / rows.cost_ref_usd)
    penalties = penalties + rows.predicted_latency_ms * (rows.latency_weight / rows.latency_ref_ms)
    deviation = np.nan_to_num(rows.quality_deviation)
    weights = QUALITY_VARIANCE / (QUALITY_VARIANCE + deviation * deviation)
    actions = _action_sets(rows, slot_of)
    lessons = [
        Experience(vectors[i], slot, quality, propensity, taken, weight, actions=actions[i])
        for i, slot, quality, propensity, taken, weight in zip(
            known.tolist(),
            slots[known].tolist(),
            rows.quality[known].tolist(),
            rows.propensity[known].tolist(),
            penalties[known].tolist(),
            weights[known].tolist(),
            strict=True,
        )
    ]
    for one in trainees:
        start = int(np.searchsorted(rows.position[known], one.first))
        learn = one.decider.policy.learn
        for lesson in lessons[start:]:
            learn(lesson)
        one.learned_to = int(rows.position[-1])


def share(trainees: Sequence[Trainee]) -> None:
    """Let all predict costs and latencies as the first does, which learns them."""
    leader = trainees[0].decider
    for one in trainees[1:]:
        one.decider.costs, one.decider.latencies = leader.costs, leader.latencies


def _teach_costs(decider: Decider, rows: LoggedRows, slots: Any, vectors: Any) -> None:
    there = ~np.isnan(rows.cost_usd) | ~np.isnan(rows.output_tokens) | ~np.isnan(rows.latency_ms)
    fit = np.flatnonzero(there & (slots >= 0) & ~rows.error)
    costs, latencies = decider.costs, decider.latencies
    measures = zip(
        fit.tolist(),
        slots[fit].tolist(),
        rows.input_tokens[fit].tolist(),
        rows.cost_usd[fit].tolist(),
        rows.output_tokens[fit].tolist(),
        rows.latency_ms[fit].tolist(),
        strict=True,
    )
    for i, slot, tokens, cost, output, latency in measures:
        if cost == cost or output == output:  # NaN is not itself
            costs.learn(
                vectors[i],
                slot,
                tokens,
                cost_usd=cost if cost == cost else None,
                output_tokens=output if output == output else None,
            )
        if latency == latency:
            latencies.learn(vectors[i], slot, latency)


def _action_sets(rows: LoggedRows, slot_of: Any) -> list[Slots]:
    """Slots of the action set of each row."""
    known: dict[bytes, Slots] = {}
    out = []
    for key, eligible in zip(np.packbits(rows.eligible, axis=1), rows.eligible, strict=True):
        packed = key.tobytes()
        if packed not in known:
            known[packed] = tuple(slot for slot in slot_of[eligible].tolist() if slot >= 0)
        out.append(known[packed])
    return out
