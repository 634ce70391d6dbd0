"""Credit: quality goes to the decision; every upstream call teaches the model that was called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armwise.contracts import Arm, Attempt, Decision, Event, PoolChange, Request, Signal
from armwise.decider import Decider
from armwise.learning import OnlineLearner
from helpers import assert_same_state, context, decider, model

CASCADE = Arm("cascade", models=(model("small"), model("large")), plan="cascade")


def played() -> tuple[Decider, OnlineLearner, list[Event]]:
    """A decider whose cascade was drawn once; and the events so far."""
    one = decider({"name": "squarecb"})
    learner = OnlineLearner(one, recall=lambda *_: None)
    events: list[Event] = [PoolChange(action="add", arm=CASCADE)]
    learner.apply(events[0], 1)
    decision = one.decide(Request(arms=frozenset({"cascade"})), context(), id="d", at=1.0, seed=1)
    events.append(decision)
    learner.apply(decision, 2)
    return one, learner, events


def attempt(name: str, number: int, status: str = "ok", **settings: Any) -> Attempt:
    given = {"input_tokens": 100, "output_tokens": 900, "cost_usd": 3e-4, **settings}
    return Attempt(decision_id="d", attempt=number, model=name, at=1.0, status=status, latency_ms=4_000.0, **given)


def test_the_quality_of_a_cascade_is_the_cascades() -> None:
    one, learner, _ = played()
    first = one.policy.state()["model"]["mean"].copy()
    learner.apply(Signal(decision_id="d", kind="quality", value=0.0, event_id="q"), 3)
    moved = (one.policy.state()["model"]["mean"] != first).any(axis=1)
    assert moved.tolist() == [name == "cascade" for name in one.pool.names]


def test_an_attempt_of_a_plan_teaches_the_plain_arm_its_cost_latency_and_validity() -> None:
    one, learner, _ = played()
    slots = np.array([one.pool.slot(name) for name in one.pool.names])
    vector = context().vector

    def predicted() -> np.ndarray:
        return np.array(
            [
                one.costs.predict(vector, 100, slots),
                one.latencies.predict(vector, slots),
                one.validity.predict(slots),
            ]
        )

    before = predicted()
    for number in range(5):
        learner.apply(attempt("small", number), 3 + number)
    small = one.pool.names.index("small")
    change = predicted() - before
    assert (change[:, small] > 0).all()
    assert change[2].tolist() == [change[2, small] if i == small else 0.0 for i in range(len(slots))]
    learner.apply(attempt("large", 5, "http_500", cost_usd=None, output_tokens=None), 8)
    large = one.pool.names.index("large")
    assert one.validity.predict(slots)[large] < 0.98
    after = predicted()
    learner.apply(attempt("large", 6, "cancelled"), 9)  # the caller's doing
    learner.apply(attempt("gone", 7), 10)  # not in the pool
    assert (predicted() == after).all()


def test_the_drawn_arms_own_call_is_not_counted_twice() -> None:
    one = decider({"name": "squarecb"})
    learner = OnlineLearner(one, recall=lambda *_: None)
    decision = one.decide(Request(arms=frozenset({"small"})), context(), id="d", at=1.0, seed=1)
    learner.apply(decision, 1)
    costs, latencies = one.costs.state(), one.latencies.state()
    learner.apply(attempt("small", 0), 2)
    assert_same_state(one.costs.state(), costs)
    assert_same_state(one.latencies.state(), latencies)
    learner.apply(Signal(decision_id="d", kind="cost_usd", value=3e-4, event_id="c"), 3)
    with pytest.raises(AssertionError, match="output_tokens"):
        assert_same_state(one.costs.state(), costs)


def test_attempts_replay_bit_for_bit() -> None:
    _, learner, events = played()
    for number in range(6):
        events.append(attempt(("small", "large")[number % 2], number, ("ok", "timeout")[number // 4]))
        learner.apply(events[-1], len(events))
    again = decider({"name": "squarecb"})
    replayed = OnlineLearner(again, recall=lambda *_: None, memory=0)
    known = {event.id: event for event in events if isinstance(event, Decision)}
    replayed._recall = lambda decision_id, _: (known[decision_id], [])
    replayed.replay(enumerate(events, 1))
    assert_same_state(replayed.state(), learner.state())
