"""A request may carry its own trade and its own limits; nothing is relearned for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armwise.contracts import Budget, Outcome, Request
from armwise.decider import Decider
from armwise.errors import NoEligibleArm
from armwise.pacing import Objective
from helpers import assert_same_state, context, contexts, decider, play

WEIGHTS = st.floats(0.0, 1e3, allow_nan=False)
SEEDS = st.integers(0, 2**64 - 1)
OBJECTIVES = (
    Objective.tradeoff(cost_weight=0.2, latency_weight=0.1),
    Objective.max_quality(spend_usd_per_request=1e-3),
    Objective.max_quality(budgets=[Budget(usd=5.0), Budget(usd=1.0, tenant="acme", hard_stop=True)]),
    Objective.min_cost(reference="large"),
)


@pytest.fixture(scope="module", params=OBJECTIVES, ids=lambda objective: objective.kind)
def learned(request: pytest.FixtureRequest) -> Decider:
    one = decider({"name": "thompson"}, request.param)
    play(one, 60)
    return one


@given(cost=st.none() | WEIGHTS, latency=st.none() | WEIGHTS, seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_trade_of_its_own_is_the_one_in_force_and_teaches_nothing(
    learned: Decider, cost: float | None, latency: float | None, seed: int
) -> None:
    before = learned.state()
    usual = learned.decide(Request(), context(contexts(1, 3)[0]), id="d", at=1e9 + 100.0, seed=seed)
    asked = Request(cost_weight=cost, latency_weight=latency)
    own = learned.decide(asked, context(contexts(1, 3)[0]), id="d", at=1e9 + 100.0, seed=seed)
    assert own.trade.cost_weight == (usual.trade.cost_weight if cost is None else cost)
    assert own.trade.latency_weight == (usual.trade.latency_weight if latency is None else latency)
    for mine, theirs in zip(own.predictions, usual.predictions, strict=True):
        assert mine.tobytes() == theirs.tobytes()  # the same is known of every arm
    assert sum(own.probabilities.values()) == pytest.approx(1.0)
    assert own.propensity == own.probabilities[own.arm]
    assert_same_state(learned.state(), before)


@given(share=st.floats(0.0, 1.5, allow_nan=False), slow=st.floats(0.0, 1.5, allow_nan=False), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_limits_are_hard_whatever_the_budget_and_the_floor_would_like(
    learned: Decider, share: float, slow: float, seed: int
) -> None:
    seen = context(contexts(1, 3)[0])
    usual = learned.decide(Request(), seen, id="d", at=1e9 + 100.0, seed=seed)
    usd = share * float(usual.predictions.cost_usd.max())
    ms = slow * float(usual.predictions.latency_ms.max())
    within = {
        arm
        for arm, cost, took in zip(usual.arms, usual.predictions.cost_usd, usual.predictions.latency_ms, strict=True)
        if cost <= usd and took <= ms
    }
    asked = Request(max_cost_usd=usd, max_latency_ms=ms)
    if not within:
        with pytest.raises(NoEligibleArm, match="predicted"):
            learned.decide(asked, seen, id="d", at=1e9 + 100.0, seed=seed)
        return
    own = learned.decide(asked, seen, id="d", at=1e9 + 100.0, seed=seed)
    assert set(own.arms) == within
    assert own.arm in within
    assert set(own.excluded) >= set(usual.arms) - within


def test_the_dearer_money_is_the_cheaper_the_choice() -> None:
    one = decider({"name": "epsilon", "epsilon": 0.0})
    play(one, 60)
    seen = context(contexts(1, 3)[0])
    costs = []
    for weight in (0.0, 0.01, 0.1, 1.0, 10.0, 100.0):
        decision = one.decide(Request(cost_weight=weight), seen, id="d", at=1e9 + 100.0, seed=1)
        costs.append(float(decision.predictions.cost_usd[decision.arms.index(decision.arm)]))
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == min(decision.predictions.cost_usd)


def test_a_preference_acts_on_the_next_request_and_is_forgotten_after_it() -> None:
    one = decider({"name": "epsilon", "epsilon": 0.0})
    play(one, 60)
    seen = context(contexts(1, 3)[0])
    first = one.decide(Request(), seen, id="a", at=1e9 + 100.0, seed=1)
    thrifty = one.decide(Request(cost_weight=1e3), seen, id="b", at=1e9 + 100.0, seed=1)
    one.decided(thrifty)
    one.learn(thrifty, Outcome(cost_usd=1e-5), Outcome())
    again = one.decide(Request(), seen, id="c", at=1e9 + 100.0, seed=1)
    assert again.trade == first.trade
    assert again.arm == first.arm
