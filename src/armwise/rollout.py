"""Staged rollout: which policy serves, which stands beside it, and when the newcomer is taken off.

Stages of a candidate, of which any may be left out:

- ``shadow``: it is asked, and its answer is logged; the serving policy decides.
- ``canary``: the arm is drawn from (1 - share) * serving + share * candidate, and the propensity is the mixture's own.
- ``full``: it serves. What served before is kept as it was, so that a rollback is at once and forgets nothing.
- ``stop``: it is taken off.
- ``apprentice``, for a new installation: the present fixed rule decides, but for a share; the policy learns, and its
  probabilities are logged.

Both policies learn from every reward, by the mixture's propensity. While a candidate has a share, each reward weighs
the two against each other by importance weights (:class:`armwise.evaluation.SequentialComparison`); once the serving
policy is shown to be better by more than the tolerance, whenever that is looked at, the candidate is to be taken off.

All of it is a fold over the log, and part of the decider's state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from armwise.constraints import ActionSet
from armwise.contracts import Arm, Beside, Choice, Decision, Outcome, Policy, RolloutChange, State, Vector, penalty
from armwise.errors import BadInput, SnapshotError
from armwise.evaluation.intervals import SequentialComparison
from armwise.policies import make_policy

INITIAL = "initial"
"""The version by which the policy of the configuration is called in the registry."""

RULE = "rule"
"""The policy version of a decision that the present fixed rule made."""

_KEPT = 2
"""Displaced policies kept as they were."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A policy that was made elsewhere, with what it takes to make it again.

    Attributes:
        settings: name and parameters, for :func:`armwise.policies.make_policy`.
        arms: names by slot.
        feature_version: of the encoder that it learned with.
    """

    version: str
    settings: Mapping[str, Any]
    policy: Policy
    arms: Sequence[str] = ()
    feature_version: str = ""

    def check(self, arms: Sequence[str], feature_version: str) -> None:
        """Raise SnapshotError unless its slots are those of a pool, up to arms that joined since, and its features."""
        if self.feature_version != feature_version:
            raise SnapshotError(
                f"snapshot {self.version} was learned from features {self.feature_version!r}, the encoder here gives "
                f"{feature_version!r}: train again on a log of these features"
            )
        if list(self.arms) != list(arms[: len(self.arms)]):
            raise SnapshotError(
                f"snapshot {self.version} knows the arms {', '.join(self.arms)} in this order, the pool here has "
                f"{', '.join(arms)}: train again on the log of this service"
            )


@dataclass
class Trial:
    """A candidate, and what its rewards say of it.

    Attributes:
        change: stage, share and terms.
        policy: None for an apprentice, who is the decider's own policy.
    """

    change: RolloutChange
    settings: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy | None = None

    def __post_init__(self) -> None:
        # The other way round: what has to be shown is that the serving policy is the better one.
        self.test = SequentialComparison(
            level=self.change.level, margin=self.change.tolerance / 2.0, bounds=(-1.0, 1.0)
        )

    def imitated(self, names: tuple[str, ...], task: str) -> Vector:
        """What the present rule draws from; an arm that is not eligible gives way to the first that is."""
        rule = self.change.rule
        arm = rule.get(task, rule.get("", ""))
        out = np.zeros(len(names))
        out[names.index(arm) if arm in names else 0] = 1.0
        return out

    def observe(self, decision: Decision, known: Outcome) -> None:
        """Weigh one reward, on the decision that it is of."""
        beside = decision.beside
        if beside is None or not 0.0 < beside.share < 1.0 or beside.version != self.change.version:
            return
        at = decision.arms.index(decision.arm)
        candidate = float(beside.probability_of[at])
        serving = max((decision.propensity - beside.share * candidate) / (1.0 - beside.share), 0.0)
        self.test.update(
            [_utility(decision, at, known)], [serving / decision.propensity], [candidate / decision.propensity]
        )

    @property
    def worse(self) -> bool:
        """Whether it has been shown to be worse."""
        return self.test.reject

    def withdrawal(self, at: float) -> RolloutChange:
        """What follows from its being worse: it is taken off; an apprentice goes on watching."""
        seen = self.report()
        reason = (
            f"shown to be worse than what serves after {seen['rewards']:,} rewards: utility differs by "
            f"{seen['difference']:+.4f}, at most {seen['upper']:+.4f}"
        )
        apprentice = self.change.stage == "apprentice"
        return replace(
            self.change,
            stage="apprentice" if apprentice else "stop",
            share=0.0,
            sequence=0,
            by="armwise",
            reason=reason,
            at=at,
        )

    def report(self) -> dict[str, Any]:
        """Stage, share, and the difference in utility so far with its anytime-valid interval."""
        seen = self.test.count > 0
        return {
            "version": self.change.version,
            "stage": self.change.stage,
            "share": self.change.share,
            "rewards": self.test.count,
            "difference": -2.0 * self.test.difference if seen else None,
            "lower": -2.0 * self.test.upper if seen else None,
            "upper": -2.0 * self.test.lower if seen else None,
            "worse": self.worse,
        }


class Kept(NamedTuple):
    """A displaced policy, as it was."""

    version: str
    settings: Mapping[str, Any]
    policy: Policy


class Rollout:
    """What serves and what is tried. Changed by events alone.

    Args:
        policy, version, settings: the policy of the configuration.
    """

    def __init__(self, policy: Policy, version: str, settings: Mapping[str, Any] | None = None) -> None:
        self.policy = policy
        self.version = version
        self.initial = version
        self.settings: Mapping[str, Any] = dict(settings or {})
        self.sequence = 0
        self.trial: Trial | None = None
        self.kept: list[Kept] = []

    def needs(self, change: RolloutChange) -> bool:
        """Whether the change brings a policy that has to be fetched."""
        if change.stage in ("stop", "apprentice"):
            return False
        there = {self.version, *(kept.version for kept in self.kept)}
        if self.trial is not None:
            there.add(self.trial.change.version)
        return self._named(change.version) not in there

    def check(self, change: RolloutChange, trained: Trained | None, arms: Sequence[str], feature_version: str) -> None:
        """Refuse a change that cannot be carried out.

        Raises:
            BadInput: a candidate that serves already, a rule of unknown arms.
            SnapshotError: a policy that is not kept any more, or is of other arms or features.
        """
        version = self._named(change.version)
        if change.stage in ("shadow", "canary") and version == self.version:
            raise BadInput(f"{change.version} serves already; there is nothing to try")
        if change.stage == "full" and self.needs(change) and version == self.initial:
            raise SnapshotError("the policy of the configuration is no longer kept; promote a snapshot instead")
        strange = sorted(set(change.rule.values()) - set(arms))
        if strange:
            raise BadInput(f"the rule names {', '.join(strange)}; the pool has {', '.join(arms)}")
        if self.needs(change):
            if trained is None:
                raise SnapshotError(f"snapshot {change.version} is not here: restore the registry that held it")
            trained.check(arms, feature_version)

    def change(self, change: RolloutChange, trained: Trained | None) -> None:
        """Carry out a change that was checked."""
        self.sequence = max(self.sequence, change.sequence)
        if change.stage == "stop":
            if self.trial is not None and self.trial.change.version == change.version:
                self.trial = None
        elif change.stage == "apprentice":
            self.trial = Trial(change)
        elif change.stage == "full":
            self._serve(self._taken(change, trained))
        elif change.version != self.version:
            taken = self._taken(change, trained)
            self.trial = Trial(change, taken.settings, taken.policy)

    def _taken(self, change: RolloutChange, trained: Trained | None) -> Kept:
        version = self._named(change.version)
        if self.trial is not None and self.trial.change.version == version and self.trial.policy is not None:
            return Kept(version, self.trial.settings, self.trial.policy)
        if version == self.version:
            return Kept(version, self.settings, self.policy)
        for kept in self.kept:
            if kept.version == version:
                return kept
        assert trained is not None  # checked
        return Kept(version, trained.settings, trained.policy)

    def _serve(self, taken: Kept) -> None:
        self.trial = None
        if taken.version != self.version:
            left = Kept(self.version, self.settings, self.policy)
            self.kept = [left, *(kept for kept in self.kept if kept.version not in (left.version, taken.version))]
            del self.kept[_KEPT:]
            self.version, self.settings, self.policy = taken

    def _named(self, version: str) -> str:
        return self.initial if version == INITIAL else version

    def tried(
        self, choice: Choice, vector: Vector, actions: ActionSet, taken: Vector, task: str, seed: int
    ) -> tuple[str, Vector, Beside]:
        """While there is a trial: version and probabilities of what serves, and the candidate beside it.

        Args:
            choice: of the serving policy.
            taken: what cost and latency take off each arm's quality, shape (arms,).
        """
        trial = self.trial
        assert trial is not None
        change = trial.change
        if trial.policy is None:
            serving = trial.imitated(actions.names, task)
            return RULE, serving, Beside(change.version, change.share, choice.probabilities)
        own = trial.policy.choose(vector, actions.slots, taken, seed=seed)
        return self.version, choice.probabilities, Beside(change.version, change.share, own.probabilities)

    @property
    def learning(self) -> list[Policy]:
        """All that take in lessons: what serves, and what is tried."""
        if self.trial is None or self.trial.policy is None:
            return [self.policy]
        return [self.policy, self.trial.policy]

    def add_arm(self, arm: Arm) -> int:
        """Make room for an arm in all policies; returns its slot. One beside the serving one that has none is let go.

        Raises:
            BadInput: if the serving policy has no room; nothing is changed then.
        """
        slot = self.policy.add_arm(arm)
        if self.trial is not None and self.trial.policy is not None and not _has_room(self.trial.policy, arm):
            self.trial = None
        self.kept = [kept for kept in self.kept if _has_room(kept.policy, arm)]
        return slot

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        trial = self.trial
        return {
            "version": self.version,
            "initial": self.initial,
            "settings": dict(self.settings),
            "sequence": self.sequence,
            "trial": None
            if trial is None
            else {
                "change": asdict(trial.change),
                "settings": dict(trial.settings),
                "policy": None if trial.policy is None else trial.policy.state(),
                "test": trial.test.state(),
            },
            "kept": [
                {"version": kept.version, "settings": dict(kept.settings), "policy": kept.policy.state()}
                for kept in self.kept
            ],
        }

    @staticmethod
    def promoted(state: State) -> bool:
        """Whether what served was not the policy of the configuration."""
        return bool(state["version"] != state["initial"])

    def restore(self, state: State, dimension: int) -> None:
        """Take over a saved rollout; what the serving policy learned is restored by the decider."""
        if self.promoted(state):
            self.policy = make_policy(dimension=dimension, **state["settings"])
            self.version, self.settings = state["version"], state["settings"]
        self.sequence = int(state["sequence"])
        self.kept = [
            Kept(kept["version"], kept["settings"], _restored(kept["settings"], kept["policy"], dimension))
            for kept in state["kept"]
        ]
        self.trial = None
        if state["trial"] is not None:
            saved = state["trial"]
            policy = None if saved["policy"] is None else _restored(saved["settings"], saved["policy"], dimension)
            self.trial = Trial(RolloutChange(**saved["change"]), saved["settings"], policy)
            self.trial.test.restore(saved["test"])


def mixed(serving: Vector, beside: Beside) -> Vector:
    """The mixture of the two, shape (arms,)."""
    return (1.0 - beside.share) * serving + beside.share * beside.probability_of


def _has_room(policy: Policy, arm: Arm) -> bool:
    try:
        policy.add_arm(arm)
    except BadInput:
        return False
    return True


def _restored(settings: Mapping[str, Any], state: State, dimension: int) -> Policy:
    policy = make_policy(dimension=dimension, **settings)
    policy.restore(state)
    return policy


def _utility(decision: Decision, at: int, known: Outcome) -> float:
    """What the answer was worth, in [-1, 1]: predictions stand in for a bill or a latency that is not known yet."""
    quality = 0.0 if known.quality is None else known.quality
    cost, latency = known.cost_usd, known.latency_ms
    taken = penalty(
        np.array([decision.predictions.cost_usd[at] if cost is None else cost]),
        np.array([decision.predictions.latency_ms[at] if latency is None else latency]),
        decision.trade,
    )
    return max(min(quality - float(taken[0]), 1.0), -1.0)
