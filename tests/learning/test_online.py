"""The fold: the live learner and a replay of its events are in the same state, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest

from armwise.contracts import Arm, Decision, Event, Model, PoolChange, Request, Signal
from armwise.decider import Decider
from armwise.errors import CallerError, UnknownDecision
from armwise.learning import OnlineLearner
from armwise.pacing import Objective
from helpers import assert_same_state, context, decider, model, play

POLICIES: list[dict[str, Any]] = [
    {"name": "thompson"},
    {"name": "thompson", "engine": "linear", "model": {"forgetting": 0.99}},
    {"name": "squarecb"},
    {"name": "epsilon"},
    {"name": "uniform"},
]
OBJECTIVES = [
    Objective.tradeoff(),
    Objective.max_quality(spend_usd_per_request=5e-4),
    Objective.max_quality(spend_usd_per_day=3.0),
    Objective.min_cost(reference="large"),
]


def recall_from(events: list[Event]) -> Any:
    """Recall as a log does it: the decision, and its signals before a position, duplicates left out."""

    def recall(decision_id: str, position: int) -> tuple[Decision, list[Signal]] | None:
        found = [event for event in events if isinstance(event, Decision) and event.id == decision_id]
        signals: dict[Any, Signal] = {}
        for event in events[: position - 1]:
            if isinstance(event, Signal) and event.decision_id == decision_id:
                signals.setdefault(event.key, event)
        return (found[0], list(signals.values())) if found else None

    return recall


def replayed(events: list[Event], memory: int, policy: dict[str, Any], objective: Objective) -> Decider:
    one = decider(policy, objective)
    OnlineLearner(one, recall=recall_from(events), memory=memory).replay(enumerate(events, 1))
    return one


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: "-".join(map(str, p.values())))
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: o.kind)
def test_live_and_replayed_states_are_equal_whatever_is_kept_in_memory(
    policy: dict[str, Any], objective: Objective
) -> None:
    live = decider(policy, objective)
    events = play(live, 60)
    for memory in (50_000, 3, 1, 0):
        assert_same_state(replayed(events, memory, policy, objective).state(), live.state())


@pytest.mark.parametrize("cut", [1, 50, 120, 200])
def test_a_snapshot_and_the_rest_of_the_log_give_the_same_state(cut: int) -> None:
    policy, objective = POLICIES[0], OBJECTIVES[1]
    live = decider(policy, objective)
    events = play(live, 60)
    first = replayed(events[:cut], 10, policy, objective)
    second = decider(policy, objective, arms=[])
    second.restore(first.state())
    learner = OnlineLearner(second, recall=recall_from(events))
    learner.replay(list(enumerate(events, 1))[cut:])
    assert_same_state(second.state(), live.state())


def signal(kind: str, value: float, event_id: str = "1", decision_id: str = "d") -> Signal:
    return Signal(decision_id=decision_id, kind=kind, value=value, event_id=event_id)


def one_decision() -> tuple[OnlineLearner, Decider]:
    one = decider({"name": "squarecb"})
    learner = OnlineLearner(one, recall=lambda *_: None)
    learner.apply(one.decide(Request(), context(), id="d", at=1.0, seed=1), 1)
    return learner, one


def test_a_duplicate_changes_nothing() -> None:
    learner, one = one_decision()
    learner.apply(signal("quality", 0.9), 2)
    before = one.state()
    learner.apply(signal("quality", 0.1), 3)
    assert_same_state(one.state(), before)


def test_signals_of_decisions_nobody_knows_change_nothing_and_asking_for_one_is_an_error() -> None:
    learner, one = one_decision()
    before = one.state()
    learner.apply(signal("quality", 0.9, decision_id="nobody"), 2)
    assert_same_state(one.state(), before)
    with pytest.raises(UnknownDecision, match="no decision 'nobody'"):
        learner.case("nobody", 3)


def test_a_refused_change_of_the_pool_is_refused_again_and_changes_nothing() -> None:
    change = PoolChange(action="add", arm=Arm.of(Model("priceless")))
    gone = PoolChange(action="remove", arm=Arm.of(model("never there")))
    learner, one = one_decision()
    before = one.state()
    for refused in (change, gone):
        with pytest.raises(CallerError):
            learner.apply(refused, 2)
        learner.replay([(2, refused)])
    assert_same_state(one.state(), before)
