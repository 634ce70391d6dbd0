"""Staged rollout: exact propensities in the mixture, the sequential test that takes a candidate off, replays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armwise.contracts import Arm, Decision, Event, PoolChange, Request, RolloutChange, Signal
from armwise.errors import BadInput, SnapshotError
from armwise.learning import OnlineLearner
from armwise.pacing import Objective
from armwise.policies import make_policy
from armwise.rollout import RULE, Trained
from helpers import DIMENSION, assert_same_state, context, contexts, decider, model

ARMS = ("small", "middle", "large")
BEST = "large"
SQUARE = {"name": "squarecb"}


def trained(version: str = "candidate", *, arm: str | None = None, **settings: Any) -> Trained:
    """A candidate: always one arm, or one that learns."""
    made = {"name": "fixed", "arm": arm} if arm else (settings or SQUARE)
    policy = make_policy(dimension=DIMENSION, **made)
    for item in decider().pool.arms:
        policy.add_arm(item)
    return Trained(version=version, settings=made, policy=policy, arms=ARMS, feature_version="vector-4")


class Service:
    """A decider, its learner, and the events so far."""

    def __init__(self, *candidates: Trained, policy: dict[str, Any] | None = None) -> None:
        self.shelf = {candidate.version: candidate for candidate in candidates}
        self.decider = decider(policy or {"name": "uniform"}, Objective.tradeoff(cost_weight=0.0))
        self.decider.rollout.settings = policy or {"name": "uniform"}
        self.learner = OnlineLearner(self.decider, recall=lambda *_: None, fetch=self.fetch)
        self.events: list[Event] = []

    def fetch(self, version: str) -> Trained:
        if version not in self.shelf:
            raise SnapshotError(f"no snapshot {version}")
        return self.shelf[version]

    def take(self, event: Event) -> None:
        self.events.append(event)
        self.learner.apply(event, len(self.events))

    def change(self, stage: str, version: str = "candidate", **terms: Any) -> None:
        change = RolloutChange(stage=stage, version=version, **terms)
        self.decider.check_rollout(change, self.learner.trained_for(change))
        self.take(change)

    def run(self, count: int, seed: int = 0, good: str = BEST) -> list[Decision]:
        rng = np.random.default_rng(seed)
        made = []
        for x in contexts(count, seed):
            number = len(self.events)
            decision = self.decider.decide(
                Request(), context(x), id=f"d{number}", at=1e9 + number, seed=number * 0x9E3779B97F4A7C15 % 2**64
            )
            self.take(decision)
            quality = float(rng.random() < (0.8 if decision.arm == good else 0.4))
            self.take(Signal(decision_id=decision.id, kind="quality", value=quality, event_id="q", at=1e9 + number))
            for follows in self.learner.proposals():
                self.take(follows)
            made.append(decision)
        return made

    def report(self) -> dict[str, Any]:
        assert self.decider.rollout.trial is not None
        return self.decider.rollout.trial.report()


def test_a_shadow_is_logged_and_changes_no_draw() -> None:
    alone, watched = Service(), Service(trained(arm=BEST))
    watched.change("shadow")
    plain, beside = alone.run(60), watched.run(60)
    assert [decision.probability_of.tolist() for decision in plain] == [
        decision.probability_of.tolist() for decision in beside
    ]
    assert all(d.beside and d.beside.probability_of.tolist() == [0.0, 0.0, 1.0] for d in beside)
    assert watched.report()["rewards"] == 0  # nothing is concluded from a candidate that does not act


def test_a_canary_draws_from_the_mixture_and_logs_its_exact_propensity() -> None:
    one = Service(trained(arm=BEST))
    one.change("canary", share=0.25)
    made = one.run(2_000)
    for decision in made[:50]:
        assert decision.probability_of == pytest.approx([0.25, 0.25, 0.5])
        assert decision.propensity == decision.probability_of[decision.arms.index(decision.arm)]
        assert "candidate candidate has 0.25 of the draw" in decision.explain()
    assert np.mean([decision.arm == BEST for decision in made]) == pytest.approx(0.5, abs=0.04)


def test_a_good_canary_stays_and_its_advantage_is_estimated() -> None:
    one = Service(trained(arm=BEST))
    one.change("canary", share=0.5)
    one.run(3_000)
    report = one.report()
    truth = 0.8 - (0.8 + 0.4 + 0.4) / 3
    assert report["lower"] < truth < report["upper"]
    assert report["lower"] > 0
    assert not report["worse"]


def test_a_bad_canary_is_taken_off_and_the_reason_is_in_the_log() -> None:
    one = Service(trained(arm="small"), policy={"name": "fixed", "arm": BEST})
    one.change("canary", share=0.2)
    one.run(3_000)
    assert one.decider.rollout.trial is None
    [end] = [event for event in one.events[1:] if isinstance(event, RolloutChange)]
    assert (end.stage, end.by) == ("stop", "armwise")
    assert "shown to be worse" in end.reason
    assert one.run(1)[0].beside is None


def test_a_failure_counts_as_a_reward() -> None:
    one = Service(trained(arm="small"), policy={"name": "fixed", "arm": BEST})
    one.change("canary", share=0.5)
    x = contexts(1)[0]
    decision = one.decider.decide(Request(), context(x), id="d", at=1e9, seed=7)
    one.take(decision)
    one.take(Signal(decision_id="d", kind="cost_usd", value=1e-4, event_id="c"))
    assert one.report()["rewards"] == 0
    one.take(Signal(decision_id="d", kind="error", value=1.0, source="armwise", event_id="e"))
    one.take(Signal(decision_id="d", kind="quality", value=0.0, event_id="q"))
    assert one.report()["rewards"] == 1


def test_an_equal_canary_is_seldom_taken_off() -> None:
    taken_off = 0
    for seed in range(20):
        one = Service(trained(name="uniform"))
        one.change("canary", share=0.5, level=0.9)
        one.run(300, seed=seed)
        taken_off += one.decider.rollout.trial is None
    assert taken_off <= 4


def test_both_learn_while_one_is_tried() -> None:
    one = Service(trained(), policy={"name": "thompson"})
    one.change("shadow")
    one.run(50)
    trial = one.decider.rollout.trial
    assert trial is not None
    assert trial.policy is not None
    assert trial.policy.state()["model"]["lessons"] == one.decider.policy.state()["model"]["lessons"] == 50


def test_full_goes_on_from_what_the_trial_learned_and_a_rollback_from_what_was_displaced() -> None:
    one = Service(trained(), policy={"name": "thompson"})
    one.change("canary", share=0.5)
    one.run(30)
    before = one.decider.policy.state()
    assert one.decider.rollout.trial is not None
    assert one.decider.rollout.trial.policy is not None
    tried = one.decider.rollout.trial.policy.state()
    one.change("full")
    assert_same_state(one.decider.policy.state(), tried)
    assert one.decider.policy_version == "candidate"
    assert {d.policy_version for d in one.run(10)} == {"candidate"}
    one.change("full", "initial")
    assert one.decider.policy_version == "test"
    assert_same_state(one.decider.policy.state(), before)


def test_an_apprentice_imitates_the_rule_by_task_and_logs_what_the_policy_would_do() -> None:
    one = Service(policy={"name": "thompson"})
    one.change("apprentice", "initial", rule={"": "large", "code": "small"}, share=0.1)
    decide = one.decider.decide
    x = contexts(1)[0]
    chat = decide(Request(), context(x), id="a", at=0.0, seed=1)
    code = decide(Request(), context(x, task="code"), id="b", at=0.0, seed=1)
    assert chat.policy_version == code.policy_version == RULE
    assert chat.probabilities["large"] >= 0.9
    assert code.probabilities["small"] >= 0.9
    assert chat.beside is not None
    assert chat.beside.version == "initial"
    assert chat.probability_of == pytest.approx(0.9 * np.array([0, 0, 1]) + 0.1 * chat.beside.probability_of)
    elsewhere = decide(Request(arms=frozenset({"small", "middle"})), context(x), id="c", at=0.0, seed=1)
    assert elsewhere.probabilities["small"] >= 0.9  # the rule's arm is not allowed: the first that is


def test_an_apprentice_graduates_with_what_it_learned() -> None:
    one = Service(policy={"name": "thompson"})
    one.change("apprentice", "initial", rule={"": "large"})
    one.run(40)
    learned = one.decider.policy.state()
    assert learned["model"]["lessons"] == 40
    one.change("full", "initial")
    assert_same_state(one.decider.policy.state(), learned)
    assert one.run(1)[0].beside is None


def test_an_apprentice_that_does_harm_goes_on_watching_only() -> None:
    one = Service(policy={"name": "fixed", "arm": "small"})
    one.change("apprentice", "initial", rule={"": BEST}, share=0.3)
    one.run(3_000)
    assert one.decider.rollout.trial is not None
    assert one.report()["share"] == 0.0


def test_a_replay_swaps_as_it_did_bit_for_bit() -> None:
    def candidates() -> list[Trained]:
        return [trained(), trained("bad", arm="small")]

    one = Service(*candidates(), policy={"name": "thompson"})
    one.run(20)
    one.change("shadow")
    one.run(20)
    one.change("canary", share=0.3)
    one.run(40)
    one.change("full", sequence=7)
    one.change("canary", "bad", share=0.5)
    one.run(150, good="middle")
    again = Service(*candidates(), policy={"name": "thompson"})
    again.learner.replay(enumerate(one.events, start=1))
    assert_same_state(again.decider.state(), one.decider.state())
    assert again.decider.rollout.sequence == 7


@pytest.mark.parametrize("until", ["shadow", "canary", "full", "back"])
def test_a_snapshot_in_any_stage_goes_on_as_the_original(until: str) -> None:
    one = Service(trained(), policy={"name": "thompson"})
    one.run(10)
    for stage, share in (("shadow", 0.0), ("canary", 0.4), ("full", 0.0), ("back", 0.0)):
        one.change("full" if stage == "back" else stage, "initial" if stage == "back" else "candidate", share=share)
        one.run(20)
        if stage == until:
            break
    other = Service(trained(), policy={"name": "thompson"})
    other.learner.restore(one.learner.state())
    other.events = list(one.events)
    assert_same_state(other.learner.state(), one.learner.state())
    here, there = one.run(15, seed=3), other.run(15, seed=3)
    assert [d.probability_of.tolist() for d in here] == [d.probability_of.tolist() for d in there]
    assert_same_state(other.learner.state(), one.learner.state())


def test_arms_that_joined_since_the_training_are_new_to_the_candidate() -> None:
    one = Service(trained(), policy={"name": "thompson"})
    one.decider.change_pool(event("newcomer"))
    one.change("canary", share=0.5)
    one.decider.change_pool(event("latecomer"))
    decision = one.run(5)[-1]
    assert decision.arms == (*ARMS, "newcomer", "latecomer")
    assert decision.beside is not None
    assert len(decision.beside.probability_of) == 5


def event(name: str) -> PoolChange:
    return PoolChange(action="add", arm=Arm.of(model(name)))


def test_what_cannot_be_carried_out_is_refused_and_changes_nothing() -> None:
    one = Service(trained("strange"), policy={"name": "thompson"})
    one.shelf["strange"] = Trained(
        version="strange", settings=SQUARE, policy=trained().policy, arms=("large", "small"), feature_version="vector-4"
    )
    one.shelf["blind"] = Trained(
        version="blind", settings=SQUARE, policy=trained().policy, arms=ARMS, feature_version="other"
    )
    before = one.decider.state()
    with pytest.raises(SnapshotError, match="knows the arms large, small in this order"):
        one.change("canary", "strange", share=0.1)
    with pytest.raises(SnapshotError, match="learned from features 'other'"):
        one.change("full", "blind")
    with pytest.raises(SnapshotError, match="no snapshot nowhere"):
        one.change("full", "nowhere")
    with pytest.raises(BadInput, match="serves already"):
        one.change("shadow", "initial")
    with pytest.raises(BadInput, match="the rule names huge"):
        one.change("apprentice", "initial", rule={"": "huge"})
    assert_same_state(one.decider.state(), before)
    assert one.events == []
