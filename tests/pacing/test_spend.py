"""Budgets: what is spent comes out as asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from armwise.contracts import Decision, Outcome, Request, Trade
from armwise.decider import Decider
from armwise.pacing import DAY, Objective, chosen_usd
from helpers import assert_same_state, context, decider, spent_usd

NOTHING = Outcome()


def trade(one: Decider, at: float = 0.0, tenant: str | None = None, task: str = "chat") -> Trade:
    return one.pacer.trade(at, Request(tenant=tenant), context(task=task))


def serve(
    one: Decider,
    count: int,
    *,
    seed: int = 0,
    start: float = 0.0,
    gap_s: float = 1.0,
    late: int = 0,
    factor: float = 1.0,
) -> list[float]:
    """Decide and bill ``count`` requests whose true cost is lognormal around the predicted; the bills."""
    rng = np.random.default_rng(seed)
    waiting: list[tuple[Decision, float]] = []
    bills = []
    for i in range(count):
        seen = context(input_tokens=int(rng.integers(50, 3_000)))
        decision = one.decide(Request(), seen, id=f"d{i}", at=start + i * gap_s, seed=int(rng.integers(1 << 62)))
        one.decided(decision)
        mean = float(decision.predictions.cost_usd[decision.arms.index(decision.arm)])
        bills.append(mean * float(rng.lognormal(-0.125, 0.5)))
        waiting.append((decision, bills[-1]))
        if len(waiting) > late:
            billed, usd = waiting.pop(0)
            quality = {"small": 0.5, "middle": 0.7, "large": 0.9}[billed.arm]
            one.learn(billed, Outcome(quality=quality, cost_usd=usd), NOTHING)
    return bills


@pytest.mark.parametrize("budget", [4e-4, 1.5e-3, 5e-3])
@pytest.mark.parametrize("late", [0, 200])
def test_spend_per_request_converges(budget: float, late: int) -> None:
    one = decider(objective=Objective.max_quality(spend_usd_per_request=budget))
    bills = serve(one, 4_000, late=late)
    assert np.mean(bills) == pytest.approx(budget, rel=0.02)  # what is saved or overspent at first is made good


def test_a_budget_that_no_arm_reaches_is_underspent_and_one_below_all_arms_does_not_stop_the_service() -> None:
    rich = serve(decider(objective=Objective.max_quality(spend_usd_per_request=1.0)), 500)
    poor = decider(objective=Objective.max_quality(spend_usd_per_request=1e-6))
    bills = serve(poor, 500)
    assert np.mean(rich) < 1.0
    decision = poor.decide(Request(), context(), id="d", at=1e4, seed=1)
    assert decision.probabilities["small"] > 0.99
    assert math.isfinite(sum(bills))


def test_spend_per_day_is_spent_each_day() -> None:
    one = decider(objective=Objective.max_quality(spend_usd_per_day=3.0))
    days = [sum(serve(one, 2_000, seed=day, start=day * DAY + 10.0, gap_s=DAY / 2_001)) for day in range(4)]
    for spent in days[1:]:
        assert spent == pytest.approx(3.0, rel=0.05)


def test_a_bill_settles_what_was_reserved_and_a_revision_settles_the_bill() -> None:
    one = decider(objective=Objective.max_quality(spend_usd_per_request=1e-3))
    decision = one.decide(Request(), context(), id="d", at=10.0, seed=1)
    one.decided(decision)
    [report] = one.pacer.report(10.0)
    assert (report.reserved_usd, report.billed_usd) == (chosen_usd(decision), 0.0)
    one.learn(decision, Outcome(cost_usd=2e-3), NOTHING)
    [report] = one.pacer.report(10.0)
    assert (report.reserved_usd, report.billed_usd) == (0.0, 2e-3)
    one.learn(decision, Outcome(cost_usd=5e-4), Outcome(cost_usd=2e-3))
    assert spent_usd(one) == pytest.approx(5e-4)


def test_requests_whose_bill_never_comes_are_still_paid_for() -> None:
    one = decider(objective=Objective.max_quality(spend_usd_per_request=1e-3))
    bills = serve(one, 3_000, late=10_000)
    assert np.mean(bills[500:]) == pytest.approx(1e-3, rel=0.05)


def test_a_restarted_pacer_goes_on_where_it_was() -> None:
    objective = Objective.max_quality(spend_usd_per_day=3.0)
    one = decider(objective=objective)
    serve(one, 300)
    twin = decider(objective=objective, arms=[])
    twin.restore(one.state())
    assert trade(twin, 301.0) == trade(one, 301.0)
    serve(one, 100, start=400.0)
    serve(twin, 100, start=400.0)
    assert_same_state(twin.state(), one.state())
