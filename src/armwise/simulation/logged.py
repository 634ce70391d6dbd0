"""Logged bandit feedback as a world: a policy meets the requests of a log, and learns only from what the log can tell.

Rejection sampling (Li et al. 2011, section 3.1; Mandel et al. 2016, section 3, for a logging policy that is not
uniform): the policy draws an arm; where it is the logged one, the round is accepted with probability c / p(logged),
which makes accepted rounds exactly those that the policy would have met by itself on a random part of the traffic, for
a stream of independent requests. c is the least logged propensity, so a log that hardly explores answers with few
rounds: for a policy that does not learn, the estimators of :mod:`armwise.evaluation` make far better use of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from armwise.contracts import Arm, Decision, Model, Outcome, PoolChange, Request, Vector
from armwise.decider import Decider
from armwise.errors import BadInput
from armwise.pacing import Objective, make_pacer
from armwise.policies import make_policy

_MASK = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedRun:
    """The accepted rounds of a replay over a log. Arrays have one entry per accepted round."""

    arms: tuple[str, ...]
    arm: npt.NDArray[np.int64]
    propensity: Vector
    """Of the candidate policy's draw."""
    quality: Vector
    cost_usd: Vector
    """NaN where no bill came."""
    offered: int
    """Rounds of the log that could have been accepted: judged, with a known arm."""

    def __len__(self) -> int:
        return len(self.arm)


def replay_logged(
    rounds: Iterable[tuple[Decision, Outcome]],
    models: Iterable[Model],
    *,
    policy: str | Mapping[str, Any] = "thompson",
    objective: Objective | None = None,
    cost_ref_usd: float = 1e-3,
    seed: int = 0,
) -> LoggedRun:
    """Run a policy over logged rounds, in their order.

    Args:
        rounds: logged decisions with what is known of each; unjudged ones are passed over, which assumes that whether
            a round is judged depends on nothing but chance.
        models: the pool, with prices.

    Raises:
        BadInput: if no round is judged, propensities are not above 0, feature versions are mixed, or the log drew with
            certainty and so can say nothing of other arms.
    """
    known = [(d, o) for d, o in rounds if o.quality is not None]
    pool = tuple(models)
    names = {model.name: k for k, model in enumerate(pool)}
    known = [(d, o) for d, o in known if d.arm in names]
    if not known:
        raise BadInput("the log has no judged decision of an arm of this pool")
    if len({d.feature_version for d, _ in known}) > 1:
        raise BadInput("the log mixes feature versions: replay each by itself")
    least = min(d.propensity for d, _ in known)
    if not 0 < least <= 1:
        raise BadInput(f"logged propensities must be above 0 and at most 1, got {least!r}")
    if least == 1.0 and len(pool) > 1:
        raise BadInput("every logged decision was certain: such a log says nothing of other arms")
    settings = {"name": policy} if isinstance(policy, str) else dict(policy)
    dimension = len(known[0][0].context.vector)
    decider = Decider(
        policy=make_policy(dimension=dimension, **settings),
        pacer=make_pacer(objective or Objective.tradeoff(cost_weight=0.0), cost_ref_usd=cost_ref_usd),
        dimension=dimension,
        policy_version=str(settings["name"]),
        feature_version=known[0][0].feature_version,
    )
    for model in pool:
        decider.change_pool(PoolChange(action="add", arm=Arm.of(model)))
    rng = np.random.default_rng(seed)
    accept = rng.random(len(known))
    seeds = rng.integers(0, _MASK, len(known), dtype=np.uint64).tolist()
    taken: list[tuple[int, float, float, float]] = []
    for (logged, outcome), chance, draw in zip(known, accept, seeds, strict=True):
        request = Request(arms=frozenset(logged.arms))
        mine = decider.decide(request, logged.context, id=logged.id, at=logged.at, seed=draw)
        if mine.arm != logged.arm or chance * logged.propensity > least:
            continue
        assert outcome.quality is not None
        decider.decided(mine)
        decider.learn(mine, outcome, Outcome())
        billed = float("nan") if outcome.cost_usd is None else outcome.cost_usd
        taken.append((names[mine.arm], mine.propensity, outcome.quality, billed))
    columns = np.array(taken, dtype=float).reshape(len(taken), 4)
    return LoggedRun(
        arms=tuple(names),
        arm=columns[:, 0].astype(np.int64),
        propensity=columns[:, 1],
        quality=columns[:, 2],
        cost_usd=columns[:, 3],
        offered=len(known),
    )
