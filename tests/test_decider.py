"""The heart, alone: what it decides can be replayed, what it learned is learned once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armwise.contracts import Arm, Model, Outcome, PoolChange, Request, utility
from armwise.decider import Decider
from armwise.errors import BadInput, NoEligibleArm, SnapshotError
from armwise.pacing import Objective
from helpers import assert_same_state, context, contexts, decider, model, play, spent_usd

NOTHING = Outcome()


def decide(one: Decider, request: Request | None = None, seed: int = 3, **settings: Any) -> Any:
    return one.decide(request or Request(), context(**settings), id="d", at=100.0, seed=seed)


@pytest.mark.parametrize("name", ["thompson", "squarecb", "epsilon", "uniform"])
def test_a_decision_can_be_replayed_bit_for_bit(name: str) -> None:
    one = decider({"name": name})
    play(one, 30)
    for i, x in enumerate(contexts(20, 5)):
        first = one.decide(Request(), context(x), id="d", at=5.0, seed=i)
        again = one.decide(Request(), first.context, id="d", at=first.at, seed=first.seed)
        assert again.arm == first.arm
        assert again.propensity == first.propensity
        assert again.probability_of.tobytes() == first.probability_of.tobytes()
        assert [p.tobytes() for p in again.predictions] == [p.tobytes() for p in first.predictions]
        assert first.propensity == first.probabilities[first.arm]
        assert sum(first.probabilities.values()) == pytest.approx(1.0)
        assert list(first.utilities.values()) == utility(first.predictions, first.trade).tolist()


def test_deciding_changes_nothing() -> None:
    one = decider(objective=Objective.max_quality(spend_usd_per_request=1e-3))
    play(one, 20)
    before = one.state()
    decide(one)
    assert_same_state(one.state(), before)


def test_the_same_events_give_the_same_state() -> None:
    left, right = decider(), decider()
    play(left, 50)
    play(right, 50)
    assert_same_state(left.state(), right.state())


def test_a_restored_decider_decides_alike() -> None:
    one, two = decider(), decider(arms=[])
    play(one, 50)
    two.restore(one.state())
    assert_same_state(two.state(), one.state())
    for seed in range(20):
        left, right = decide(one, seed=seed), decide(two, seed=seed)
        assert left.arm == right.arm
        assert left.probability_of.tobytes() == right.probability_of.tobytes()


def test_a_state_of_other_features_is_refused_and_of_another_policy_not_accepted() -> None:
    one = decider()
    play(one, 5)
    other = decider()
    other.feature_version = "vector-4-other"
    with pytest.raises(SnapshotError, match=r"of features 'vector-4', the encoder now gives 'vector-4-other'"):
        other.restore(one.state())
    for policy in ({"name": "squarecb"}, {"name": "thompson", "engine": "linear"}, {"name": "thompson", "scale": 0.5}):
        assert not decider(policy).accepts(one.state())
        with pytest.raises(SnapshotError, match="snapshot is of policy"):
            decider(policy).restore(one.state())
    assert not decider(objective=Objective.min_cost(reference="large")).accepts(one.state())


def test_a_quality_is_learned_once_and_a_revision_replaces_it() -> None:
    policy = {"name": "squarecb", "engine": "linear"}
    revised, right = decider(policy), decider(policy)
    decision = decide(revised)
    wrong, true = Outcome(quality=0.1), Outcome(quality=0.9)
    revised.learn(decision, wrong, NOTHING)
    revised.learn(decision, true, wrong)
    revised.learn(decision, true, true)
    right.learn(decision, true, NOTHING)
    np.testing.assert_allclose(
        revised.policy.state()["model"]["mean"], right.policy.state()["model"]["mean"], atol=1e-14
    )
    assert revised.policy.state()["model"]["lessons"] == 1


def test_a_judgement_moves_the_quality_floor_once() -> None:
    floor = Objective.min_cost(reference="large")
    revised, right = decider(objective=floor), decider(objective=floor)
    decision = decide(revised)
    revised.learn(decision, Outcome(quality=0.1), NOTHING)
    revised.learn(decision, Outcome(quality=0.9), Outcome(quality=0.1))
    right.learn(decision, Outcome(quality=0.9), NOTHING)
    assert revised.pacer.state()["base"]["log_weight"] == pytest.approx(right.pacer.state()["base"]["log_weight"])


def test_a_bill_teaches_length_once_and_its_revision_only_moves_the_budget() -> None:
    one = decider(objective=Objective.max_quality(spend_usd_per_request=1e-3))
    decision = decide(one)
    one.decided(decision)
    first, revised = Outcome(cost_usd=1e-3), Outcome(cost_usd=3e-3)
    one.learn(decision, first, NOTHING)
    lengths, spent = one.costs.state(), spent_usd(one)
    one.learn(decision, revised, first)
    assert_same_state(one.costs.state(), lengths)
    assert spent_usd(one) == pytest.approx(spent + 2e-3)
    assert spent == pytest.approx(1e-3)


def test_a_failed_call_teaches_no_length_and_no_latency() -> None:
    one = decider()
    decision = decide(one)
    lengths, latencies = one.costs.state(), one.latencies.state()
    one.learn(decision, Outcome(quality=0.0, cost_usd=0.0, latency_ms=30_000.0, error=True), NOTHING)
    assert_same_state(one.costs.state(), lengths)
    assert_same_state(one.latencies.state(), latencies)
    assert one.policy.state()["model"]["lessons"] == 1


def test_the_bill_of_an_arm_that_left_still_counts() -> None:
    one = decider(objective=Objective.max_quality(spend_usd_per_request=1e-3))
    decision = decide(one)
    one.decided(decision)
    one.change_pool(PoolChange(action="remove", arm=Arm.of(model(decision.arm))))
    before = one.policy.state()
    one.learn(decision, Outcome(quality=1.0, cost_usd=5e-3), NOTHING)
    assert_same_state(one.policy.state(), before)
    assert spent_usd(one) == pytest.approx(5e-3)


def test_a_refused_arm_leaves_no_trace() -> None:
    one = decider({"name": "squarecb", "engine": "vw"})
    one.policy.model._arms = (1 << 18) // 4 - 1  # as full as VW gets
    before = one.pool.state(), one.costs.state(), one.latencies.state()
    with pytest.raises(BadInput, match="room for"):
        one.change_pool(PoolChange(action="add", arm=Arm.of(model("one too many"))))
    with pytest.raises(BadInput, match="has no price"):
        one.change_pool(PoolChange(action="add", arm=Arm.of(Model("priceless"))))
    assert_same_state([*before], [one.pool.state(), one.costs.state(), one.latencies.state()])


def test_the_limits_of_a_request_hold_and_name_what_they_excluded() -> None:
    one = decider()
    costs = dict(zip(*(lambda d: (d.arms, d.predictions.cost_usd))(decide(one)), strict=True))
    limit = (costs["middle"] + costs["large"]) / 2
    decision = decide(one, Request(max_cost_usd=limit))
    assert decision.arms == ("small", "middle")
    assert "predicted cost in USD" in decision.excluded["large"]
    assert decision.predictions.cost_usd.shape == decision.probability_of.shape == (2,)
    with pytest.raises(NoEligibleArm, match=r"small: predicted cost in USD .* > 1e-09"):
        decide(one, Request(max_cost_usd=1e-9))
    with pytest.raises(NoEligibleArm, match="predicted latency in ms"):
        decide(one, Request(max_cost_usd=limit, max_latency_ms=1.0))


def test_a_request_brings_its_own_trade() -> None:
    one = decider({"name": "epsilon", "epsilon": 0.0})
    assert decide(one, Request(cost_weight=100.0)).arm == "small"
    decision = decide(one, Request(cost_weight=0.0, latency_weight=2.0))
    assert (decision.trade.cost_weight, decision.trade.latency_weight) == (0.0, 2.0)


def test_an_explanation_names_every_arm() -> None:
    one = decider()
    text = decide(one, Request(arms=frozenset({"small", "large"}))).explain()
    for part in (
        "small",
        "large",
        "middle",
        "excluded: not among the arms",
        "was drawn with probability",
        "policy test",
    ):
        assert part in text


def test_a_plan_is_expected_to_take_as_long_as_what_it_is_likely_to_call() -> None:
    fast, slow = model("fast", latency_ms=100.0), model("slow", latency_ms=900.0)
    one = decider(arms=[fast, slow])
    for name, plan in (("cascade", "cascade"), ("council", "ensemble")):
        one.change_pool(PoolChange(action="add", arm=Arm(name, models=(fast, slow), plan=plan)))
    decision = one.decide(Request(), context(), id="d", at=0.0, seed=1)
    expected = dict(zip(decision.arms, decision.predictions.latency_ms, strict=True))
    assert expected["cascade"] == expected["fast"] < expected["council"] == expected["slow"]
