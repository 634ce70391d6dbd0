"""Sessions in the decider: pinned with probability one, credited to the decision that drew, left for a reason only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armwise.contracts import Arm, Decision, Outcome, PoolChange, Request, Signal, Trade
from armwise.decider import Decider
from armwise.errors import BadInput
from armwise.learning import OnlineLearner
from armwise.pacing import Objective
from armwise.sessions import PINNED, SessionRules, Sessions, session_of
from helpers import assert_same_state, context, contexts, decider, model


class Service:
    """A decider with a learner, a clock and everything that happened."""

    def __init__(self, one: Decider | None = None) -> None:
        self.decider = one or decider()
        self.learner = OnlineLearner(self.decider, recall=lambda *_: None)
        self.events: list[Any] = []
        self.at = 1e9

    def take(self, event: Any) -> None:
        self.events.append(event)
        self.learner.apply(event, len(self.events))

    def turn(self, session: str | None = "s", *, wait_s: float = 1.0, **request: Any) -> Decision:
        self.at += wait_s
        number = len(self.events)
        decision = self.decider.decide(
            Request(session=session, **request),
            context(contexts(1, number)[0], tools="tools" in request),
            id=f"d{number}",
            at=self.at,
            seed=number * 7919,
        )
        self.take(decision)
        return decision

    def report(self, decision: Decision, kind: str, value: float = 1.0, source: str = "app") -> None:
        self.take(
            Signal(decision_id=decision.id, kind=kind, value=value, source=source, event_id=f"{len(self.events)}")
        )


@pytest.fixture
def service() -> Service:
    return Service()


def test_a_session_keeps_its_arm_with_probability_one(service: Service) -> None:
    head = service.turn()
    assert (head.head, head.switched) == (None, None)
    assert head.method != PINNED
    assert 0 < head.propensity < 1
    for _ in range(20):
        turn = service.turn()
        assert (turn.arm, turn.propensity, turn.method, turn.head) == (head.arm, 1.0, PINNED, head.id)
        assert turn.probabilities == {arm: float(arm == head.arm) for arm in turn.arms}
        assert len(turn.predictions.quality) == len(turn.arms)
    assert "keeps the arm that decision d0 drew" in turn.explain()


def test_sessions_are_apart_by_name_and_by_tenant(service: Service) -> None:
    heads = {service.turn(f"s{i}", tenant=tenant).id for i in range(10) for tenant in ("a", "b", None)}
    follow = [service.turn(f"s{i}", tenant=tenant) for i in range(10) for tenant in ("a", "b", None)]
    assert {turn.head for turn in follow} == heads
    assert len({turn.arm for turn in follow}) > 1
    assert service.turn(None).head is None


def leave(service: Service, head: Decision, why: str) -> None:
    """The next turn is drawn anew, says why, and begins what follows."""
    turn = service.turn()
    assert turn.head is None
    assert turn.switched is not None
    assert turn.switched.startswith(why), turn.switched
    assert turn.method != PINNED
    assert turn.propensity == turn.probabilities[turn.arm]
    assert why in turn.explain()
    assert service.turn().head == turn.id


def test_it_leaves_an_arm_that_failed(service: Service) -> None:
    head = service.turn()
    service.report(service.turn(), "error")
    leave(service, head, f"failure: {head.arm} failed")


def test_a_failure_of_an_earlier_turn_is_no_reason(service: Service) -> None:
    head = service.turn()
    early = service.turn()
    service.turn()
    service.report(early, "error")
    assert service.turn().head == head.id


def test_it_leaves_an_arm_that_cannot_do_what_is_asked() -> None:
    service = Service(decider(arms=[model("small", tools=False), model("large", tools=False)]))
    head = service.turn()
    service.take(PoolChange(action="add", arm=Arm.of(model("able"))))
    assert service.turn().head == head.id
    turn = service.turn(tools=({"type": "function"},))
    assert turn.arm == "able"
    assert turn.switched == f"capability: {head.arm}: takes no tools"


def test_it_leaves_an_arm_that_left_the_pool(service: Service) -> None:
    head = service.turn()
    service.take(PoolChange(action="remove", arm=Arm.of(model(head.arm))))
    leave(service, head, f"capability: {head.arm}: left the pool")


def test_it_never_leaves_the_action_set(service: Service) -> None:
    head = service.turn()
    others = frozenset({"small", "middle", "large"} - {head.arm})
    turn = service.turn(arms=others)
    assert turn.arm in others
    assert turn.switched == f"capability: {head.arm}: not among the arms the request allows"


def test_it_leaves_a_dear_arm_when_money_gets_dearer() -> None:
    service = Service(decider(objective=Objective.tradeoff(cost_weight=0.01)))
    head = service.turn(arms=frozenset({"large"}))
    assert service.turn().head == head.id
    turn = service.turn(cost_weight=50.0)  # as a pacer would ask when a budget runs short
    assert turn.switched is not None
    assert turn.switched.startswith("budget: large costs")
    assert turn.arm != "large"
    cheap = service.turn("other", arms=frozenset({"small"}))
    assert service.turn("other", cost_weight=50.0).head == cheap.id


def test_it_is_forgotten_after_a_silence(service: Service) -> None:
    service.turn()
    turn = service.turn(wait_s=3_601.0)
    assert turn.switched == "idle: silent for 3601 s"
    assert turn.head is None


def test_memory_is_bounded() -> None:
    sessions = Sessions(SessionRules(capacity=3))
    one = decider()
    one.sessions = sessions
    service = Service(one)
    for i in range(10):
        service.report(service.turn(f"s{i}"), "quality", 0.5)
    assert len(sessions) == 3
    assert len(sessions.state()["credits"]) == 3
    assert service.turn("s9").head is not None
    assert service.turn("s0").head is None


# -------------------------------------------------------------------------------------------- credit


class Recorded:
    """A policy's lessons, instead of a policy."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lessons: list[Any] = []
        monkeypatch.setattr(service.decider.policy, "learn", self.lessons.append)


def test_quality_is_credited_to_the_decision_that_drew(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    head, second, third = service.turn(), service.turn(), service.turn()
    lessons = Recorded(service, monkeypatch).lessons
    service.report(head, "quality", 1.0)
    service.report(second, "quality", 0.0)
    service.report(third, "quality", 0.5)
    service.report(second, "quality", 0.3)  # revised
    assert [lesson.quality for lesson in lessons] == pytest.approx([1.0, 0.5, 0.5, 0.6])
    assert [lesson.replaces for lesson in lessons] == pytest.approx([None, 1.0, 0.5, 0.5])
    for lesson in lessons:
        np.testing.assert_array_equal(lesson.vector, head.context.vector)
        assert lesson.propensity == head.propensity
        assert lesson.weight == 1.0


def test_turns_count_by_how_sure_their_quality_is(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.turn()
    second, third = service.turn(), service.turn()
    lessons = Recorded(service, monkeypatch).lessons
    service.report(second, "judge_score", 1.0)  # reliability 0.6
    service.report(third, "thumbs_down")  # reliability 0.35
    assert lessons[0].quality == 1.0
    assert lessons[0].weight == pytest.approx(0.6)
    assert lessons[1].quality == pytest.approx(0.6 / 0.95)
    assert lessons[1].weight == pytest.approx(0.95)
    assert (lessons[1].replaces, lessons[1].replaced_weight) == (1.0, pytest.approx(0.6))


def test_a_session_of_one_turn_is_a_decision_like_any_other() -> None:
    alone, plain = Service(), Service()
    for i in range(20):
        for service, session in ((alone, f"s{i}"), (plain, None)):
            decision = service.turn(session)
            service.report(decision, "quality", (i % 3) / 2)
            service.report(decision, "quality", (i % 2) / 2)
    assert_same_state(alone.decider.policy.state(), plain.decider.policy.state())


def test_what_is_taken_back_leaves_the_rest(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    head, second = service.turn(), service.turn()
    lessons = Recorded(service, monkeypatch).lessons
    service.report(head, "quality", 0.2)
    service.report(second, "quality", 0.8)
    taken_back = service.events[-1]
    service.take(
        Signal(decision_id=second.id, kind="retraction", source="app", event_id="r", retracts=taken_back.event_id)
    )
    assert [lesson.quality for lesson in lessons] == pytest.approx([0.2, 0.5, 0.2])
    assert lessons[-1].replaces == pytest.approx(0.5)


def test_cost_and_latency_stay_the_turns_own(service: Service) -> None:
    head, second = service.turn(), service.turn()
    before = service.decider.costs.state()["output_tokens"]["ratio"].copy()
    service.report(second, "cost_usd", 0.01)
    after = service.decider.costs.state()["output_tokens"]["ratio"]
    slot = service.decider.pool.slot(head.arm)
    assert after[slot] != before[slot]


def test_the_state_replays_bit_for_bit(service: Service) -> None:
    rng = np.random.default_rng(0)
    made = []
    for i in range(150):
        made.append(service.turn(f"s{rng.integers(12)}", tenant=("a", None)[i % 2], wait_s=float(rng.integers(1, 900))))
        service.report(made[rng.integers(len(made))], "quality", float(rng.random()))
        if i % 7 == 0:
            service.report(made[-1], "error")
    again = Service()
    for event in service.events:
        again.take(event)
    assert_same_state(again.decider.state(), service.decider.state())
    restored = decider()
    restored.restore(service.decider.state())
    assert_same_state(restored.state(), service.decider.state())
    follow, copy = service.turn("s3"), Service(restored)
    copy.events, copy.at = list(service.events[:-1]), service.at - 1.0
    assert copy.turn("s3")._replace(context=None, probability_of=None, predictions=None) == follow._replace(  # type: ignore[arg-type]
        context=None,
        probability_of=None,
        predictions=None,  # type: ignore[arg-type]
    )


def test_what_was_forgotten_is_credited_as_though_it_were_alone() -> None:
    sessions = Sessions(SessionRules(capacity=1))
    service = Service()
    head, second = service.turn(), service.turn()
    sessions.credit(head, Outcome(quality=0.4), Outcome())
    sessions.credit(service.turn("other"), Outcome(quality=1.0), Outcome())
    now, before = sessions.credit(second, Outcome(quality=0.6), Outcome())
    assert (now.quality, before.quality) == (0.6, None)


# -------------------------------------------------------------------------------------------- rules


def test_conversations_that_go_on_have_one_name() -> None:
    first = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Book a table."}]
    later = [*first, {"role": "assistant", "content": "Where?"}, {"role": "user", "content": "Lima."}]
    other = [first[0], {"role": "user", "content": "Book a flight."}]
    assert session_of(first) == session_of(later) != session_of(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"idle_s": 0}, "idle_s must be over 0"), ({"capacity": 0}, "at least 1"), ({"budget_margin": -1}, "over 0")],
)
def test_rules_that_cannot_be_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SessionRules(**settings)


def test_the_rate_of_money_is_per_usd() -> None:
    pin = Sessions()
    service = Service()
    decision = service.turn()._replace(trade=Trade(cost_weight=2.0, cost_ref_usd=1e-3))
    pin.decided(decision)
    assert pin.state()["pins"][0][6] == 2000.0
