"""The heart: request + state -> decision; event -> new state. No I/O, no clock, no global randomness.

The router, the simulator and the retrain job run this very code. Time, seed and identifier of a decision are given by
the caller; given the same events in the same order, two deciders are in the same state bit for bit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.constraints import ActionSet, Pool, ToolRule, within
from armwise.contracts import (
    Arm,
    Attempt,
    BudgetChange,
    Context,
    Decision,
    Experience,
    Outcome,
    Policy,
    PoolChange,
    Predictions,
    Request,
    RolloutChange,
    State,
    Trade,
    Vector,
    penalty,
)
from armwise.errors import BadInput, SnapshotError
from armwise.pacing import Pacer
from armwise.policies.base import draw, one_hot
from armwise.predictors import CostModel, DifficultyModel, PooledLogModel, ValidityModel
from armwise.predictors.cost import usd_per_token
from armwise.rewards import lesson_weight
from armwise.rollout import Rollout, Trained, mixed
from armwise.sessions import PINNED, Sessions

_SAYS_NOTHING = frozenset({"cancelled", "deadline"})
"""Ends of an upstream call that are the caller's doing."""


class Decider:
    """Pool, predictors, policy and pacer put together. Not thread-safe: the router's lock covers it.

    Args:
        policy: turns utilities into probabilities, and learns quality.
        pacer: gives the exchange rates.
        dimension: length of the context vectors.
        policy_version, feature_version: recorded with each decision.
        sessions: which sessions keep which arm.
        difficulty: learns how difficult requests are, where a rule asks.
        tools: which arms may take requests with tools; by default all that can.
        settings: of the policy, to make it anew after another was promoted in its place.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        pacer: Pacer,
        dimension: int,
        policy_version: str,
        feature_version: str,
        sessions: Sessions | None = None,
        difficulty: DifficultyModel | None = None,
        tools: ToolRule | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.rollout = Rollout(policy, policy_version, settings)
        self.pacer = pacer
        self.dimension = dimension
        self.feature_version = feature_version
        self.pool = Pool()
        self.costs = CostModel(dimension)
        self.latencies = PooledLogModel(dimension, typical=1_000.0)
        self.validity = ValidityModel()
        self.tool_validity = ValidityModel()
        self.difficulty = difficulty
        self.tools = tools
        self.sessions = sessions or Sessions()
        self.decisions = 0

    @property
    def policy(self) -> Policy:
        """What serves."""
        return self.rollout.policy

    @property
    def policy_version(self) -> str:
        """Its name, as it is logged."""
        return self.rollout.version

    # ---------------------------------------------------------------------------- request + state -> decision

    def decide(self, request: Request, context: Context, *, id: str, at: float, seed: int) -> Decision:  # noqa: A002 - as its field
        """Choose an arm. Changes nothing: hand the decision to :meth:`decided` if it is acted upon.

        Raises:
            NoEligibleArm: naming the constraints that excluded every arm.
            BudgetExhausted: naming the budget whose hard stop it is.
        """
        vector = context.vector
        actions = self.pool.eligible(context, request)
        if context.tools and self.tools is not None and self.decisions % self.tools.probe_every:
            actions = self.tools.able(actions, self.tool_validity.predict(actions.slots))
        cost_usd = self.costs.predict(vector, context.input_tokens, actions.slots)
        latency_ms = self.latencies.predict(vector, actions.slots)
        if request.max_cost_usd is not None or request.max_latency_ms is not None:
            actions, cost_usd, latency_ms = _limited(actions, cost_usd, latency_ms, request)
        pacer = self.pacer
        if pacer.narrows:
            limit = pacer.narrow(at, request, context, cost_usd)
            if limit is not None:
                actions, cost_usd, latency_ms = _narrowed(
                    actions, cost_usd, latency_ms, within(actions, cost_usd, *limit)
                )
        trade = pacer.trade(at, request, context)
        if request.cost_weight is not None or request.latency_weight is not None:
            trade = _own_trade(trade, request)
        rollout = self.rollout
        taken = penalty(cost_usd, latency_ms, trade)
        choice = rollout.policy.choose(vector, actions.slots, taken, seed=seed)
        version, probabilities, beside = rollout.version, choice.probabilities, None
        if rollout.trial is not None:
            version, probabilities, beside = rollout.tried(choice, vector, actions, taken, context.task, seed)
        if pacer.mixes:
            probabilities = pacer.mixed(actions.names, probabilities)
            if beside is not None:
                beside = beside._replace(probability_of=pacer.mixed(actions.names, beside.probability_of))
        if beside is not None:
            probabilities = mixed(probabilities, beside)
        method, head, switched = choice.method, None, None
        pin = self.sessions.pin(request)
        if pin is not None:
            switched = self.sessions.reason_to_leave(pin, actions.names, actions.excluded, cost_usd, trade, at)
        if pin is None or switched is not None:
            position, propensity = draw(probabilities, seed)
        else:
            method, head, position, propensity = PINNED, pin.head, actions.names.index(pin.arm), 1.0
            probabilities = one_hot(position, len(actions.names))
        return Decision(
            id,
            at,
            actions.names[position],
            propensity,
            actions.names,
            probabilities,
            actions.excluded,
            Predictions(choice.quality, cost_usd, latency_ms),
            trade,
            context,
            method,
            seed,
            version,
            self.feature_version,
            request.tenant,
            request.session,
            head,
            switched,
            None if head is not None else beside,
        )

    # ---------------------------------------------------------------------------- event -> new state

    def decided(self, decision: Decision) -> None:
        """A decision was acted upon: its expected spend is reserved."""
        self.decisions += 1
        self.pacer.decided(decision)
        self.sessions.decided(decision)

    def change_budget(self, change: BudgetChange) -> None:
        """A budget was set or removed."""
        self.pacer.change(change)

    def check_rollout(self, change: RolloutChange, trained: Trained | None = None) -> None:
        """Refuse what :meth:`change_rollout` would refuse; changes nothing."""
        self.rollout.check(change, trained, [arm.name for arm in self.pool.arms], self.feature_version)

    def change_rollout(self, change: RolloutChange, trained: Trained | None = None) -> None:
        """Another policy serves, or is tried beside the one that does.

        Raises:
            BadInput, SnapshotError: as :meth:`armwise.rollout.Rollout.check`; nothing is changed then.
        """
        self.check_rollout(change, trained)
        if trained is not None:
            for arm in self.pool.arms[len(trained.arms) :]:
                trained.policy.add_arm(arm)
        self.rollout.change(change, trained)

    def change_pool(self, change: PoolChange) -> None:
        """An arm joined (or came with new particulars), left, was disabled or enabled."""
        if change.action == "remove":
            self.pool.remove(change.arm.name)
        elif change.action == "disable":
            self.pool.disable(change.arm.name)
        elif change.action == "enable":
            self.pool.enable(change.arm.name)
        elif change.arm.name in self.pool:
            self.costs.reprice(self.pool.replace(change.arm), change.arm)
        else:
            self._add(change.arm)

    def _add(self, arm: Arm) -> None:
        usd_per_token(arm)  # refuses an arm without a price
        slot = self.rollout.add_arm(arm)  # may have no room: until here nothing is changed
        if slot != len(self.pool.arms):
            raise BadInput(f"policy gave arm {arm.name!r} slot {slot}, the pool's next is {len(self.pool.arms)}")
        self.costs.add_arm(arm)
        expected = [model.latency_ms for model in arm.models if model.latency_ms is not None]
        likely = expected[:1] if arm.plan == "cascade" else expected  # as its cost; an ensemble waits for the slowest
        self.latencies.add_arm(max(likely, default=None))
        self.validity.add_arm()
        self.tool_validity.add_arm()
        self.pool.add(arm)

    def learn(self, decision: Decision, known: Outcome, before: Outcome, *, head: Decision | None = None) -> None:
        """Take in what is known of a decision by now, beyond what was known before.

        Nothing is learned twice: a revised quality replaces the former one, a revised bill moves only the budget.
        Quality is credited to ``head``, the decision that drew the arm, where that is another.
        """
        if known.cost_usd != before.cost_usd:  # None: not billed yet, or the bill was taken back
            self.pacer.billed(decision, known.cost_usd, before.cost_usd)
        if known.judging_usd != before.judging_usd:
            self.pacer.charged(decision, known.judging_usd - before.judging_usd)
        if known.error and not before.error:
            self.sessions.failed(decision)
        trial = self.rollout.trial
        if trial is not None and _is_told(known) and not _is_told(before):
            trial.observe(decision, known)
        if decision.arm not in self.pool:
            return  # it left the pool since: its bill counts, but its slot learns no more
        slot = self.pool.slot(decision.arm)
        vector = decision.context.vector
        if (known.quality, known.deviation) != (before.quality, before.deviation):
            if known.quality is not None and known.quality != before.quality:
                self.pacer.judged(decision, known.quality, before.quality)
                if self.difficulty is not None and before.quality is None:
                    self.difficulty.learn(vector, slot, known.quality)
            if decision.head is None or head is not None:
                self._learn_quality(head or decision, slot, *self.sessions.credit(decision, known, before))
        if known.error:
            return  # what a failed call cost or took says nothing of an answer's length
        if before.cost_usd is None and before.output_tokens is None:
            self.costs.learn(
                vector,
                slot,
                decision.context.input_tokens,
                cost_usd=known.cost_usd,
                output_tokens=known.output_tokens,
            )
        if known.latency_ms is not None and before.latency_ms is None:
            self.latencies.learn(vector, slot, known.latency_ms)

    def attempted(self, decision: Decision, attempt: Attempt) -> None:
        """Take in one upstream call: it teaches the arm that is the called model, whichever arm was drawn.

        Quality is credited to the decision alone. What the drawn arm cost and took is told by the decision's own
        signals, and so left to them.
        """
        if attempt.model not in self.pool or attempt.status in _SAYS_NOTHING:
            return
        slot = self.pool.slot(attempt.model)
        valid = attempt.status == "ok"
        self.validity.learn(slot, valid)
        if not valid or attempt.model == decision.arm:
            return
        vector, tokens = decision.context.vector, attempt.input_tokens
        self.costs.learn(
            vector,
            slot,
            decision.context.input_tokens if tokens is None else tokens,
            cost_usd=attempt.cost_usd,
            output_tokens=attempt.output_tokens,
        )
        self.latencies.learn(vector, slot, attempt.latency_ms)

    def called_tools(self, decision: Decision, valid: bool) -> None:
        """An arm called a tool that there is, with arguments that fit its schema; or it did not."""
        if decision.arm in self.pool:
            self.tool_validity.learn(self.pool.slot(decision.arm), valid)

    def _learn_quality(self, decision: Decision, slot: int, known: Outcome, before: Outcome) -> None:
        position = decision.arms.index(decision.arm)
        taken = penalty(
            decision.predictions.cost_usd[position : position + 1],
            decision.predictions.latency_ms[position : position + 1],
            decision.trade,
        )
        quality = before.quality if known.quality is None else known.quality  # None: all of it was retracted
        if quality is None:
            return
        lesson = Experience(
            decision.context.vector,
            slot,
            quality,
            decision.propensity,
            float(taken[0]),
            weight=lesson_weight(known),
            replaces=before.quality,
            replaced_weight=1.0 if before.quality is None else lesson_weight(before),
            actions=self.pool.slots_of(decision.arms),
        )
        for policy in self.rollout.learning:
            policy.learn(lesson)

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        """All that was learned, and the pool it was learned for."""
        return {
            "feature_version": self.feature_version,
            "dimension": self.dimension,
            "decisions": self.decisions,
            "pool": self.pool.state(),
            "policy": {"spec": dict(self.policy.spec), "state": self.policy.state()},
            "costs": self.costs.state(),
            "latencies": self.latencies.state(),
            "validity": self.validity.state(),
            "tool_validity": self.tool_validity.state(),
            "sessions": self.sessions.state(),
            "difficulty": self.difficulty.state() if self.difficulty is not None else None,
            "rollout": self.rollout.state(),
            "pacer": {"kind": self.pacer.kind, "state": self.pacer.state()},
        }

    def accepts(self, state: State) -> bool:
        """Whether a saved state is of this policy; if not, what was learned is had by replaying the log.

        Raises:
            SnapshotError: if it was learned from other features, which not even the log can mend.
        """
        self.check_features(state["feature_version"])
        if "rollout" not in state:
            return False  # of an earlier armwise
        same: bool = state["policy"]["spec"] == dict(self.policy.spec) or Rollout.promoted(state["rollout"])
        same = same and (state["difficulty"] is None) == (self.difficulty is None)
        return same and state["pacer"]["kind"] == self.pacer.kind

    def check_features(self, version: str) -> None:
        """Raise SnapshotError unless ``version`` is that of the features this decider learns from."""
        if version != self.feature_version:
            raise SnapshotError(
                f"what was learned is of features {version!r}, the encoder now gives "
                f"{self.feature_version!r}: restore the former feature settings, or start with a new log"
            )

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if it was learned from other features or by another policy.
        """
        if not self.accepts(state):
            raise SnapshotError(
                f"snapshot is of policy {state['policy']['spec']}, this one is {dict(self.policy.spec)}"
            )
        self.pool.restore(state["pool"])
        self.decisions = int(state["decisions"])
        self.rollout.restore(state["rollout"], self.dimension)
        self.policy.restore(state["policy"]["state"])
        self.costs.restore(state["costs"])
        self.latencies.restore(state["latencies"])
        self.validity.restore(state["validity"])
        self.tool_validity.restore(state["tool_validity"])
        self.sessions.restore(state["sessions"])
        if self.difficulty is not None:
            self.difficulty.restore(state["difficulty"])
        self.pacer.restore(state["pacer"]["state"])


def _is_told(outcome: Outcome) -> bool:
    """Whether it is known how a decision went."""
    return outcome.quality is not None


def _limited(
    actions: ActionSet, cost_usd: Vector, latency_ms: Vector, request: Request
) -> tuple[ActionSet, Vector, Vector]:
    """The action set and its predictions, within the request's own limits."""
    limits = (
        (cost_usd, request.max_cost_usd, "cost in USD"),
        (latency_ms, request.max_latency_ms, "latency in ms"),
    )
    kept = actions
    for predicted, limit, what in limits:
        if limit is not None:
            kept = within(kept, predicted[np.isin(actions.slots, kept.slots)], limit, what)
    return _narrowed(actions, cost_usd, latency_ms, kept)


def _narrowed(
    actions: ActionSet, cost_usd: Vector, latency_ms: Vector, kept: ActionSet
) -> tuple[ActionSet, Vector, Vector]:
    mask = np.isin(actions.slots, kept.slots)
    return kept, cost_usd[mask], latency_ms[mask]


def _own_trade(trade: Trade, request: Request) -> Trade:
    """The trade of a request that brings its own weights."""
    overrides: Mapping[str, float] = {
        name: value
        for name, value in (("cost_weight", request.cost_weight), ("latency_weight", request.latency_weight))
        if value is not None
    }
    return trade._replace(**overrides)
