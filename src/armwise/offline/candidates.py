"""Candidates: policies that are asked what they would have done on the rows of a log.

A candidate is a decider without a service: its policy, its own predictions of cost and latency, and its exchange rates.
It has learned from earlier rows (:meth:`Candidate.learn`), or as a snapshot says, or nothing at all. It chooses within
each row's logged action set, as far as its own pool reaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from armwise.config import RouterConfig
from armwise.contracts import Arm, Outcome, PoolChange, State, Trade
from armwise.decider import Decider
from armwise.errors import BadInput, SnapshotError, unknown
from armwise.features import TextEncoder
from armwise.offline.rows import Array, LoggedRows
from armwise.pacing import ConstantTrade
from armwise.policies import make_policy
from armwise.policies.batch import choose_many
from armwise.predictors import ENGINES
from armwise.registry import Snapshot

_NOTHING = Outcome()


@dataclass(kw_only=True)
class Candidate:
    """A policy and what it has learned.

    Attributes:
        name: for tables.
        decider: pool, policy and predictors; its pacer is not asked.
        trade: its exchange rates; None takes those in force on each row, as a paced objective would have met them.
        learned_to: position of the log up to which it has learned. Rows up to there cannot judge it.
        learns: whether rows teach it. A snapshot and a constant policy stay as they are.
    """

    name: str
    decider: Decider
    trade: Trade | None = None
    learned_to: int = 0
    learns: bool = True

    def learn(self, rows: LoggedRows) -> None:
        """Take in rows in their order, each with its outcome as it is known by now."""
        if not self.learns or not len(rows):
            return
        for i in range(len(rows)):
            decision, known = rows.case(i)
            self.decider.learn(decision, known, _NOTHING)
        self.learned_to = int(rows.position[-1])

    def probabilities(self, rows: LoggedRows) -> Array:
        """float32 [n, K]: what it would have done on each row, given what it knows now; 0 outside the action set.

        Raises:
            BadInput: if it knows none of the arms that were eligible on some row, or was made for other features.
        """
        if rows.dimension != self.decider.dimension:
            raise BadInput(
                f"candidate {self.name!r} takes contexts of {self.decider.dimension} features, the log has "
                f"{rows.dimension}"
            )
        pool = self.decider.pool
        known = np.array([name in pool for name in rows.arms])
        slot_of = np.array([pool.slot(name) if name in pool else -1 for name in rows.arms], dtype=np.intp)
        eligible = rows.eligible & known
        empty = ~eligible.any(axis=1)
        if empty.any():
            example = [name for name, there in zip(rows.arms, rows.eligible[int(empty.argmax())], strict=True) if there]
            raise BadInput(
                f"candidate {self.name!r} has none of the eligible arms on {int(empty.sum()):,} of {len(rows):,} rows "
                f"(such as {', '.join(example)}); its pool is {', '.join(pool.names)}"
            )
        out = np.zeros((len(rows), len(rows.arms)), dtype=np.float32)
        for which, at in same_rows(eligible):
            columns = np.flatnonzero(which)
            slots = slot_of[columns]
            order = np.argsort(slots)  # as the decider gives them
            columns, slots = columns[order], slots[order]
            part = rows.take(at)
            vectors = part.vectors.astype(np.float64)
            penalties = self._penalties(part, vectors)[:, slots]
            chosen = choose_many(self.decider.policy, vectors, slots, penalties, part.seed)
            out[np.ix_(at, columns)] = chosen
        return out

    def _penalties(self, rows: LoggedRows, vectors: Array) -> Array:
        """[n, slots], what predicted cost and latency take off each arm's quality."""
        cost = self.decider.costs.predict_many(vectors, rows.input_tokens)
        latency = self.decider.latencies.predict_many(vectors)
        trade = self.trade
        if trade is not None:
            return np.asarray(
                cost * (trade.cost_weight / trade.cost_ref_usd)
                + latency * (trade.latency_weight / trade.latency_ref_ms)
            )
        return np.asarray(
            cost * (rows.cost_weight / rows.cost_ref_usd)[:, None]
            + latency * (rows.latency_weight / rows.latency_ref_ms)[:, None]
        )


def same_rows(table: Array) -> list[tuple[Array, Array]]:
    """Distinct rows of a bool table [n, K], each with where it occurs."""
    packed = np.packbits(table, axis=1)
    if packed.shape[1] <= 8:  # as whole numbers: far faster to sort
        wide = np.zeros((len(packed), 8), dtype=np.uint8)
        wide[:, : packed.shape[1]] = packed
        keys = wide.view(np.uint64)[:, 0]
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    ends = np.searchsorted(inverse.ravel()[order], np.arange(len(first) + 1))
    return [(table[first[g]], order[ends[g] : ends[g + 1]]) for g in range(len(first))]


# ---------------------------------------------------------------------------------------------- where they come from


def fresh(
    name: str,
    policy: str | Mapping[str, Any],
    arms: Sequence[Arm],
    *,
    dimension: int,
    feature_version: str,
    trade: Trade | None = None,
    learns: bool = True,
) -> Candidate:
    """A policy that has learned nothing yet.

    Args:
        policy: a name, or a mapping with ``name`` and parameters.
        arms: its pool, with prices.
        trade: constant exchange rates; None takes those in force on each row.

    Raises:
        BadInput: on an unknown policy or parameter, or an arm without a price.
    """
    settings = {"name": policy} if isinstance(policy, str) else dict(policy)
    decider = Decider(
        policy=make_policy(dimension=dimension, **settings),
        pacer=ConstantTrade(trade or Trade()),
        dimension=dimension,
        policy_version=str(settings.get("name")),
        feature_version=feature_version,
    )
    if not arms:
        raise BadInput(f"candidate {name!r} has no arm to choose from; the log says nothing of a pool")
    for arm in arms:
        decider.change_pool(PoolChange(action="add", arm=arm))
    return Candidate(name=name, decider=decider, trade=trade, learns=learns)


def constant(name: str, arm: str, arms: Sequence[Arm], *, dimension: int, feature_version: str) -> Candidate:
    """Always one arm; where it is not eligible, any of the others that is.

    Raises:
        BadInput: if there is no such arm.
    """
    names = [item.name for item in arms]
    if arm not in names:
        raise BadInput(f"candidate {name!r}: {unknown('arm', arm, names)}")
    return fresh(
        name,
        {"name": "fixed", "arm": arm},
        arms,
        dimension=dimension,
        feature_version=feature_version,
        trade=Trade(),
        learns=False,
    )


def from_config(
    name: str, config: RouterConfig, arms: Sequence[Arm], *, seen: Sequence[str], dimension: int, feature_version: str
) -> Candidate:
    """What a configuration would do: its policy over its models, under its exchange rates.

    A constant trade-off is taken as it is; for a budget or a quality floor the rates in force on each row are taken,
    because what a pacer would have charged depends on what it would have spent.

    Args:
        arms: those of the log, with their prices, for models that the configuration gives no price.
        seen: arms that the log has chosen between.

    Raises:
        BadInput: if it needs features or arms that the log does not have.
    """
    version = TextEncoder.from_settings(config.features).version
    if version != feature_version:
        raise BadInput(
            f"candidate {name!r} uses features {version!r}, the log has {feature_version!r}: its contexts cannot be "
            "made from the log, for prompts are not stored"
        )
    priced = {arm.name: arm for arm in arms}
    pool = []
    for model in config.records():
        if model.name not in seen:
            raise BadInput(
                f"candidate {name!r} uses the arm {model.name!r}, which the log has never tried: "
                f"{unknown('arm', model.name, seen)}"
            )
        without = model.input_usd_per_mtok is None or model.output_usd_per_mtok is None
        pool.append(priced[model.name] if without and model.name in priced else Arm.of(model))
    objective = config.objective.record()
    trade = None
    if objective.kind == "tradeoff" and objective.cost_ref_usd is not None:
        trade = Trade(objective.cost_weight, objective.latency_weight, objective.cost_ref_usd, objective.latency_ref_ms)
    return fresh(
        name, config.policy_settings(), pool, dimension=dimension, feature_version=feature_version, trade=trade
    )


def from_snapshot(name: str, snapshot: Snapshot, *, feature_version: str, trade: Trade | None = None) -> Candidate:
    """A saved state, as it is. Rows up to its position taught it, and are none to judge it by.

    Raises:
        SnapshotError: if it was learned from other features, or its policy cannot be built.
    """
    state = snapshot.state
    if state["feature_version"] != feature_version:
        raise SnapshotError(
            f"candidate {name!r} was learned from features {state['feature_version']!r}, the log has "
            f"{feature_version!r}"
        )
    dimension = len(state["latencies"]["weights"])
    decider = Decider(
        policy=_policy_of(state["policy"]["spec"], dimension),
        pacer=ConstantTrade(trade or Trade()),
        dimension=dimension,
        policy_version=snapshot.version,
        feature_version=feature_version,
    )
    _restore(decider, state)
    return Candidate(name=name, decider=decider, trade=trade, learned_to=snapshot.position, learns=False)


def _restore(decider: Decider, state: State) -> None:
    """All but the pacer: rates come from the rows."""
    decider.pool.restore(state["pool"])
    decider.policy.restore(state["policy"]["state"])
    decider.costs.restore(state["costs"])
    decider.latencies.restore(state["latencies"])


def _policy_of(spec: Mapping[str, Any], dimension: int) -> Any:
    """The policy that a spec describes.

    Raises:
        SnapshotError: if this armwise cannot build it.
    """
    settings = {key: value for key, value in spec.items() if key != "model"}
    model = {key: value for key, value in spec.get("model", {}).items() if key not in ("engine", "dimension")}
    kind = spec.get("model", {}).get("engine")
    engine = next((name for name, maker in ENGINES.items() if getattr(maker, "__name__", None) == kind), None)
    try:
        policy = make_policy(dimension=dimension, engine=engine, model=model, **settings)
    except (BadInput, TypeError) as error:
        raise SnapshotError(f"the snapshot's policy {dict(spec)} cannot be built: {error}") from error
    if dict(policy.spec) != dict(spec):
        raise SnapshotError(f"the snapshot is of policy {dict(spec)}, this armwise builds {dict(policy.spec)}")
    return policy
