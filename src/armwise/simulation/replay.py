"""Replay: a policy meets an episode. Decide, reveal only the chosen arm's outcome, learn; predict before learning.

Two paths run the very same decision code: :func:`replay` drives the decider alone (fast: no log, no clock), and
:func:`replay_router` drives a whole router with its log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from armwise.contracts import Arm, Decision, Outcome, PoolChange, Request, Vector
from armwise.decider import Decider
from armwise.errors import BadInput
from armwise.pacing import Objective, make_pacer
from armwise.policies import make_policy
from armwise.simulation.episode import Episode, World
from armwise.simulation.table import OutcomeTable
from armwise.simulation.worlds.table import TableWorld

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_NOTHING = Outcome()


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a policy did over an episode. Arrays have one entry per round."""

    world: str
    policy: str
    seed: int
    arms: tuple[str, ...]
    arm: npt.NDArray[np.int64]
    """Column of the arm that was drawn."""
    propensity: Vector
    quality: Vector
    """True quality of the drawn arm."""
    cost_usd: Vector
    weights: Vector
    """Points of quality per USD that were in force."""
    regret: Vector
    """Utility of the best fixed arm in hindsight less that of the drawn arm: below zero where the context has paid."""
    offered: int = 0
    """Rounds of the episode; of a log, more than were accepted."""
    off_policy: tuple[float, float, float] | None = None
    """Of a log: mean quality as the policy learned, over all its rounds, and the ends of its normal 95% interval
    (self-normalised weights; what the policy knew in a round depends on earlier ones only)."""

    def __len__(self) -> int:
        return len(self.arm)

    @property
    def mean_quality(self) -> float:
        return float(self.quality.mean())

    @property
    def mean_cost_usd(self) -> float:
        return float(np.nanmean(self.cost_usd)) if np.isfinite(self.cost_usd).any() else float("nan")

    @property
    def shares(self) -> dict[str, float]:
        """Arm -> share of the rounds."""
        counts = np.bincount(self.arm, minlength=len(self.arms)) / max(len(self.arm), 1)
        return dict(zip(self.arms, counts.tolist(), strict=True))


def replay(
    source: OutcomeTable | World | Episode,
    *,
    policy: str | Mapping[str, Any] = "thompson",
    objective: Objective | None = None,
    cost_weight: float | None = None,
    seed: int = 0,
    plans: Iterable[Arm] = (),
    on_round: Callable[[int, Decision], None] | None = None,
) -> Run:
    """Run a policy over a world from a cold start, through the decider alone.

    Args:
        source: a table is shuffled by ``seed``; an episode is taken as it is.
        policy: a name, or a mapping with ``name`` and parameters.
        objective: what to aim for; or ``cost_weight``, points of quality per mean cost of the best arm.
        seed: of the world's luck and of the policy's draws.
        plans: the arms of those columns of the world that are plans over several models, by name.
        on_round: called after each round with its number and decision.

    Raises:
        BadInput: on an unknown policy, or both ``objective`` and ``cost_weight``.
    """
    if objective is not None and cost_weight is not None:
        raise BadInput("replay takes objective or cost_weight, not both")
    episode = source if isinstance(source, Episode) else _world(source).episode(seed)
    settings = {"name": policy} if isinstance(policy, str) else dict(policy)
    if objective is None:
        objective = Objective.tradeoff(cost_weight=cost_weight or 0.0)
    pacer = make_pacer(objective, cost_ref_usd=episode.cost_ref_usd)
    decider = Decider(
        policy=make_policy(dimension=episode.dimension, **settings),
        pacer=pacer,
        dimension=episode.dimension,
        policy_version=str(settings["name"]),
        feature_version=episode.feature_version,
    )
    arm_of = {arm.name: arm for arm in plans}
    for model in episode.models:
        if model.name not in episode.late:
            decider.change_pool(PoolChange(action="add", arm=arm_of.get(model.name) or Arm.of(model)))
    return _drive(episode, decider, settings, seed, on_round)


def _drive(
    episode: Episode,
    decider: Decider,
    settings: Mapping[str, Any],
    seed: int,
    on_round: Callable[[int, Decision], None] | None,
) -> Run:
    rounds = len(episode)
    column = {arm: k for k, arm in enumerate(episode.arms)}
    chosen = np.zeros(rounds, dtype=np.int64)
    propensity = np.zeros(rounds)
    weights = np.zeros(rounds)
    waiting: dict[int, list[tuple[Decision, Outcome, Outcome]]] = {}
    request = Request()
    draw_seed = (seed * 0x2545F4914F6CDD1D + 1) & _MASK
    changes, outages, delays = episode.changes, episode.outages, episode.delay.tolist()
    judged, cost, feedback = episode.judged, episode.cost_usd, episode.feedback
    counted = np.ones(rounds, dtype=bool) if feedback is None else np.zeros(rounds, dtype=bool)
    ratio = np.zeros(rounds)
    for t, context in enumerate(episode.contexts):
        if t in changes:
            for change in changes[t]:
                decider.change_pool(change)
        if t in outages:
            for arm, reason in outages[t].items():
                decider.pool.set_available(arm, reason)
        if t in waiting:
            for late in waiting.pop(t):
                decider.learn(*late)
        if feedback is not None:
            request = Request(arms=feedback.actions[t])
        decision = decider.decide(request, context, id=str(t), at=float(t), seed=draw_seed)
        draw_seed = (draw_seed + _GOLDEN) & _MASK
        k = column[decision.arm]
        if feedback is not None:
            logged = int(feedback.arm[t])
            ratio[t] = decision.probabilities.get(episode.arms[logged], 0.0) / feedback.propensity[t]
            if k != logged or not feedback.accepted[t]:
                continue  # the log does not say what would have come of it
            counted[t] = True
        decider.decided(decision)
        chosen[t] = k
        propensity[t] = decision.propensity
        weights[t] = decision.trade.cost_weight / decision.trade.cost_ref_usd
        quality = float(judged[t, k])
        billed = float(cost[t, k]) if cost[t, k] == cost[t, k] else None
        if quality != quality:  # NaN: never judged
            decider.learn(decision, Outcome(cost_usd=billed), _NOTHING)
        elif delays[t]:
            bill = Outcome(cost_usd=billed)
            decider.learn(decision, bill, _NOTHING)
            due = (decision, Outcome(cost_usd=billed, quality=quality), bill)
            waiting.setdefault(t + 1 + delays[t], []).append(due)
        else:
            decider.learn(decision, Outcome(cost_usd=billed, quality=quality), _NOTHING)
        if on_round is not None:
            on_round(t, decision)
    run = _run(episode, str(settings["name"]), seed, chosen, propensity, weights)
    return run if feedback is None else _of_log(episode, run, counted, ratio)


class Routes(Protocol):
    """What :func:`replay_router` needs of a router."""

    def decide(self, request: Request) -> Decision: ...

    def observe(self, decision_id: str, *, quality: float, cost_usd: float) -> bool: ...


def replay_router(
    table: OutcomeTable, router: Routes, *, on_round: Callable[[int, Decision, float, float], None] | None = None
) -> Run:
    """Send a table through a router, in the table's order: decide, log, reveal the chosen arm's score and cost.

    The router's encoder has to take the table's vectors. ``on_round`` gets round, decision, quality and cost.
    """
    column = {arm: k for k, arm in enumerate(table.arms)}
    chosen = np.zeros(len(table), dtype=np.int64)
    propensity = np.zeros(len(table))
    weights = np.zeros(len(table))
    for t, context in enumerate(table.contexts):
        request = Request(vector=context.vector, task=context.task, input_tokens=context.input_tokens)
        decision = router.decide(request)
        k = column[decision.arm]
        quality, cost = float(table.score[t, k]), float(table.cost_usd[t, k])
        router.observe(decision.id, quality=quality, cost_usd=cost)
        chosen[t], propensity[t] = k, decision.propensity
        weights[t] = decision.trade.cost_weight / decision.trade.cost_ref_usd
        if on_round is not None:
            on_round(t, decision, quality, cost)
    return _run(TableWorld(table).ordered(), "router", 0, chosen, propensity, weights)


def _world(source: OutcomeTable | World) -> World:
    return TableWorld(source) if isinstance(source, OutcomeTable) else source


def _run(
    episode: Episode, policy: str, seed: int, chosen: npt.NDArray[np.int64], propensity: Vector, weights: Vector
) -> Run:
    every = np.arange(len(chosen))
    utility = episode.score - episode.cost_usd * weights[:, None]
    fixed = utility[:, utility.mean(axis=0).argmax()]
    return Run(
        offered=len(chosen),
        world=episode.name,
        policy=policy,
        seed=seed,
        arms=episode.arms,
        arm=chosen,
        propensity=propensity,
        quality=episode.score[every, chosen],
        cost_usd=episode.cost_usd[every, chosen],
        weights=weights,
        regret=fixed - utility[every, chosen],
    )


def _of_log(episode: Episode, run: Run, counted: npt.NDArray[np.bool_], ratio: Vector) -> Run:
    """The accepted rounds of a run over a log, and what all its rounds say. Regret is against estimated means."""
    assert episode.feedback is not None
    outcome = episode.score[np.arange(len(counted)), episode.feedback.arm]
    total = float(ratio.sum())
    mean = float(ratio @ outcome / total) if total else float("nan")
    error = ratio * (outcome - mean) * (len(ratio) / total) if total else ratio
    half = 1.96 * float(error.std() / np.sqrt(len(error)))
    quality, cost_usd = run.quality[counted], run.cost_usd[counted]
    weight = run.weights[counted]
    means, costs = episode.arm_means()
    fixed = int((means - costs * float(weight.mean() if len(weight) else 0.0)).argmax())
    return replace(
        run,
        arm=run.arm[counted],
        propensity=run.propensity[counted],
        quality=quality,
        cost_usd=cost_usd,
        weights=weight,
        regret=(means[fixed] - weight * costs[fixed]) - (quality - weight * np.nan_to_num(cost_usd)),
        off_policy=(mean, mean - half, mean + half),
    )
