"""Several budgets, their scopes, their ends, and what clocks and bills do to them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from armwise.contracts import Budget, BudgetChange, Decision, Outcome, Request
from armwise.decider import Decider
from armwise.errors import BudgetExhausted, UnknownName
from armwise.pacing import DAY, BudgetReport, Objective, chosen_usd
from helpers import assert_same_state, context, decider

NOTHING = Outcome()
NOON = 20_000 * DAY + DAY / 2


def budgeted(*budgets: Budget, policy: str = "thompson") -> Decider:
    return decider({"name": policy}, Objective.max_quality(budgets=budgets))


def ask(one: Decider, at: float, *, tenant: str | None = None, task: str = "chat", name: str = "") -> Decision:
    seen = context(task=task, input_tokens=500)
    return one.decide(Request(tenant=tenant), seen, id=name or f"{at}{tenant}", at=at, seed=int(at * 1_000) + 1)


def act(one: Decider, at: float, *, usd: float | None = None, quality: bool = True, **settings: Any) -> Decision:
    decision = ask(one, at, **settings)
    one.decided(decision)
    judged = {"small": 0.5, "middle": 0.7, "large": 0.9}[decision.arm] if quality else None
    bill = chosen_usd(decision) if usd is None else usd
    one.learn(decision, Outcome(quality=judged, cost_usd=None if math.isnan(bill) else bill), NOTHING)
    return decision


def report(one: Decider, name: str, at: float, tenant: str | None = None) -> BudgetReport:
    return next(r for r in one.pacer.report(at) if r.name == name and (tenant is None or r.tenant == tenant))


def test_a_request_pays_for_every_budget_it_falls_under_and_no_other() -> None:
    one = budgeted(
        Budget(usd=50.0),
        Budget(usd=5.0, tenant="acme"),
        Budget(usd=2e-3, per="request", task="code"),
    )
    for tenant, task in (("acme", "code"), ("acme", "chat"), ("other", "code"), (None, "chat")):
        act(one, NOON, tenant=tenant, task=task, usd=1e-3, name=f"{tenant}{task}")
    found = {r.name: (r.requests, r.spent_usd) for r in one.pacer.report(NOON)}
    assert found == {
        "day": (4, pytest.approx(4e-3)),
        "day, tenant acme": (2, pytest.approx(2e-3)),
        "request, task code": (2, pytest.approx(2e-3)),
    }
    weight = {
        (tenant, task): one.pacer.trade(NOON, Request(tenant=tenant), context(task=task)).cost_weight
        for tenant in ("acme", "other")
        for task in ("code", "chat")
    }
    assert weight["acme", "code"] > weight["acme", "chat"] > weight["other", "chat"]
    assert weight["acme", "code"] > weight["other", "code"] > weight["other", "chat"]


def test_several_budgets_are_all_kept() -> None:
    one = budgeted(
        Budget(usd=1.5e-3, per="request"),
        Budget(usd=8e-4, per="request", tenant="acme"),
        Budget(usd=1.0, tenant="never", hard_stop=True),
    )
    spent: dict[str, list[float]] = {"acme": [], "other": []}
    rng = np.random.default_rng(3)
    for i in range(3_000):
        tenant = "acme" if rng.random() < 0.5 else "other"
        decision = act(one, NOON + i, tenant=tenant)
        spent[tenant].append(chosen_usd(decision))
    late = {tenant: np.mean(values[len(values) // 2 :]) for tenant, values in spent.items()}
    assert late["acme"] == pytest.approx(8e-4, rel=0.03)
    assert np.mean([*spent["acme"], *spent["other"]]) == pytest.approx(1.5e-3, rel=0.03)


def test_a_budget_says_whether_it_binds() -> None:
    one = budgeted(Budget(usd=1e-3, per="request", name="tight"), Budget(usd=1.0, per="request", name="ample"))
    for i in range(1_000):
        act(one, NOON + i)
    assert {r.name: r.binds for r in one.pacer.report(NOON + 1_000)} == {"tight": True, "ample": False}
    assert report(one, "ample", NOON + 1_000).spent_usd < 10.0  # what nothing can be bought with is not spent


def test_each_tenant_may_have_a_budget_of_its_own() -> None:
    one = budgeted(Budget(usd=1.0, tenant="*", hard_stop=True))
    act(one, NOON, tenant="a", usd=0.9999)
    act(one, NOON + 1, tenant="b", usd=0.1)
    act(one, NOON + 2, tenant=None, usd=7.0)  # under no tenant's budget
    assert report(one, "day, each tenant", NOON + 3, "a").spent_usd == pytest.approx(0.9999)
    assert report(one, "day, each tenant", NOON + 3, "b").left_usd == pytest.approx(0.9)
    with pytest.raises(BudgetExhausted):
        ask(one, NOON + 4, tenant="a")
    ask(one, NOON + 4, tenant="b")
    before = one.state()
    ask(one, NOON + 4, tenant="never seen")  # deciding changes nothing
    assert_same_state(one.state(), before)


def test_what_tenants_can_make_us_keep_is_bounded() -> None:
    one = budgeted(Budget(usd=1.0, tenant="*"))
    one.pacer._tenants = 10
    for i in range(50):
        act(one, NOON + i, tenant=f"tenant {i}")
    kept = [r.tenant for r in one.pacer.report(NOON + 50)]
    assert len(kept) <= 11
    assert "tenant 49" in kept


def test_a_hard_stop_is_never_overrun_and_says_which_budget_and_until_when() -> None:
    one = budgeted(Budget(usd=0.01, hard_stop=True, name="trial"), policy="uniform")
    spent = 0.0
    with pytest.raises(BudgetExhausted) as caught:  # noqa: PT012 (until it stops, whenever that is)
        for i in range(10_000):
            spent += chosen_usd(act(one, NOON + i))
    assert 0.0095 < spent <= 0.01
    error = caught.value
    assert (error.budget, error.resets_at, error.status) == ("trial", 20_001 * DAY, 429)
    assert "budget 'trial' of 0.01 USD a day is spent" in str(error)
    assert "it resets at 2024-10-05T00:00:00+00:00" in str(error)
    ask(one, 20_001 * DAY + 1)  # the next day


def test_what_a_hard_stop_leaves_narrows_the_action_set() -> None:
    cost = np.sort(ask(budgeted(Budget(usd=1.0)), NOON).predictions.cost_usd)
    decision = ask(budgeted(Budget(usd=float(cost[1] + cost[2]) / 2, hard_stop=True)), NOON + 1)
    assert decision.arms == ("small", "middle")
    assert "budget 'day' leaves no more until" in decision.excluded["large"]
    assert sum(decision.probabilities.values()) == pytest.approx(1.0)


def test_without_a_hard_stop_the_price_rises_smoothly_and_ends_at_the_cheapest_arm() -> None:
    one = budgeted(Budget(usd=1.0), policy="uniform")
    weights = []
    for i in range(12):
        act(one, NOON + 600 * i, usd=0.08)
        weights.append(one.pacer.trade(NOON + 600 * i, Request(), context()).cost_weight)
    assert all(later > earlier for earlier, later in pairwise(weights[2:]))  # once the traffic is known
    assert max(later / earlier for earlier, later in pairwise(weights[2:10])) < 4
    act(one, NOON + 9_000, usd=0.5)
    decision = ask(one, NOON + 9_001)
    assert len(decision.arms) == 1  # the cheapest, by what its bills have taught
    assert decision.propensity == 1.0


def test_a_budget_of_zero_refuses_all_or_serves_by_the_cheapest() -> None:
    soft = budgeted(Budget(usd=0.0))
    assert ask(soft, NOON).arms == ("small",)
    assert all(math.isfinite(value) for value in ask(soft, NOON).trade)
    act(soft, NOON)
    assert report(soft, "day", NOON).left_usd < 0
    with pytest.raises(BudgetExhausted, match=r"of 0 USD a day is spent: 0 USD are left, the cheapest arm needs"):
        ask(budgeted(Budget(usd=0.0, hard_stop=True)), NOON)


def test_a_bill_that_never_comes_is_counted_as_predicted_and_a_late_one_settles() -> None:
    one = budgeted(Budget(usd=1.0), Budget(usd=1e-3, per="request"))
    never, late = (act(one, NOON + i, usd=math.nan, quality=False) for i in range(2))
    for name in ("day", "request"):
        found = report(one, name, NOON + 2)
        assert found.reserved_usd == pytest.approx(chosen_usd(never) + chosen_usd(late))
    act(one, NOON + 700, usd=0.0)  # past the patience of 600 s
    for name in ("day", "request"):
        found = report(one, name, NOON + 700)
        assert found.reserved_usd == pytest.approx(0.0, abs=1e-15)
        assert found.estimated_usd == pytest.approx(chosen_usd(never) + chosen_usd(late))
    one.learn(late, Outcome(cost_usd=0.25), NOTHING)
    found = report(one, "day", NOON + 700)
    assert found.billed_usd == pytest.approx(0.25)
    assert found.estimated_usd == pytest.approx(chosen_usd(never))
    one.learn(late, Outcome(), Outcome(cost_usd=0.25))  # the bill is taken back
    found = report(one, "day", NOON + 700)
    assert found.billed_usd == pytest.approx(0.0, abs=1e-15)
    assert found.spent_usd == pytest.approx(chosen_usd(never) + chosen_usd(late))


def test_a_bill_counts_on_the_day_of_its_decision() -> None:
    one = budgeted(Budget(usd=1.0))
    evening = act(one, 20_001 * DAY - 10, usd=math.nan)
    act(one, 20_001 * DAY + 10, usd=0.1)
    one.learn(evening, Outcome(cost_usd=0.7), NOTHING)
    assert report(one, "day", 20_001 * DAY + 20).spent_usd == pytest.approx(0.1)
    assert report(one, "day", 20_001 * DAY - 5).spent_usd == pytest.approx(0.1)  # a small step back is waited for
    for day in range(2, 12):
        act(one, (20_000 + day) * DAY + 10, usd=0.1)
    one.learn(evening, Outcome(cost_usd=0.9), Outcome(cost_usd=0.7))  # long closed
    assert report(one, "day", 20_011 * DAY + 20).spent_usd == pytest.approx(0.1)


def test_a_clock_that_jumps_resets_no_budget_twice() -> None:
    one = budgeted(Budget(usd=1.0, hard_stop=True))
    act(one, NOON, usd=0.4)
    act(one, NOON - 1_800, usd=0.1)  # half an hour back: waited for
    assert report(one, "day", NOON).spent_usd == pytest.approx(0.5)
    act(one, NOON + 30 * DAY, usd=0.3)  # a month ahead: another day
    assert report(one, "day", NOON + 30 * DAY).spent_usd == pytest.approx(0.3)
    assert report(one, "day", NOON + 60).spent_usd == pytest.approx(0.8)  # and corrected: all of it was spent today
    late = act(one, NOON + 60, usd=math.nan)
    assert report(one, "day", NOON + 61).spent_usd == pytest.approx(0.8 + chosen_usd(late))
    one.learn(late, Outcome(cost_usd=0.2), NOTHING)
    with pytest.raises(BudgetExhausted):
        ask(one, NOON + 120)
    ask(one, NOON + DAY)
    restored = decider(arms=[], objective=Objective.max_quality(budgets=[Budget(usd=1.0)]))
    restored.restore(one.state())
    assert_same_state(restored.state(), one.state())


def change(one: Decider, budget: Budget, at: float, action: Any = "set") -> None:
    one.change_budget(BudgetChange(action=action, budget=budget, at=at))


def test_a_budget_changed_in_the_middle_of_the_day_keeps_what_was_spent_and_acts_at_once() -> None:
    one = budgeted(Budget(usd=10.0))
    for i in range(50):
        act(one, NOON + 60 * i, usd=0.01)
    before = one.pacer.trade(NOON + 3_000, Request(), context()).cost_weight
    change(one, Budget(usd=1.0), NOON + 3_000)
    found = report(one, "day", NOON + 3_000)
    assert (found.usd, found.spent_usd, found.left_usd) == (1.0, pytest.approx(0.5), pytest.approx(0.5))
    assert one.pacer.trade(NOON + 3_000, Request(), context()).cost_weight > 10 * before
    change(one, Budget(usd=0.25, hard_stop=True), NOON + 3_001)
    with pytest.raises(BudgetExhausted):
        ask(one, NOON + 3_002)
    change(one, Budget(usd=0.25), NOON + 3_003, "remove")
    ask(one, NOON + 3_004)
    with pytest.raises(UnknownName, match="unknown budget 'day'"):
        change(one, Budget(usd=1.0), NOON, "remove")


def test_a_budget_set_while_running_counts_from_then_on() -> None:
    one = budgeted(Budget(usd=10.0))
    old = act(one, NOON, tenant="acme", usd=math.nan)
    change(one, Budget(usd=1.0, tenant="acme"), NOON + 1)
    new = act(one, NOON + 2, tenant="acme", usd=math.nan)
    one.learn(old, Outcome(cost_usd=0.5), NOTHING)
    one.learn(new, Outcome(cost_usd=0.25), NOTHING)
    assert report(one, "day", NOON + 3).spent_usd == pytest.approx(0.75)
    assert report(one, "day, tenant acme", NOON + 3).spent_usd == pytest.approx(0.25)


def test_any_objective_may_stand_under_budgets() -> None:
    for objective in (
        Objective.tradeoff(cost_weight=0.3, budgets=[Budget(usd=0.002, hard_stop=True)]),
        Objective.min_cost(reference="large", budgets=[Budget(usd=0.002, hard_stop=True)]),
    ):
        one = decider(objective=objective)
        with pytest.raises(BudgetExhausted):  # noqa: PT012 (until it stops, whenever that is)
            for i in range(1_000):
                act(one, NOON + i)


def test_a_day_is_spent_over_the_traffic_it_has_whatever_its_hours() -> None:
    one = budgeted(Budget(usd=2.0))
    rng = np.random.default_rng(0)
    hours = np.concatenate([np.full(16, 30), np.full(8, 180)])  # an evening service
    spent = []
    for day in range(4):
        times = np.concatenate([rng.uniform(h, h + 1, n) * 3_600 for h, n in enumerate(hours)])
        bills = [chosen_usd(act(one, (20_000 + day) * DAY + t)) for t in np.sort(times)]
        spent.append((sum(bills), float(np.std([np.mean(part) for part in np.array_split(bills, 8)]))))
    for total, _ in spent[1:]:
        assert total == pytest.approx(2.0, rel=0.03)
    assert spent[3][1] < spent[0][1]  # learned: no more hurry in the evening than in the morning


def test_state_survives_a_restart_in_the_middle_of_everything() -> None:
    def make() -> Decider:
        return budgeted(
            Budget(usd=1.0), Budget(usd=0.5, tenant="*", hard_stop=True), Budget(usd=1e-3, per="request", task="code")
        )

    one, twin = make(), make()
    rng = np.random.default_rng(1)
    for i in range(400):
        usd = math.nan if rng.random() < 0.2 else 1e-3
        act(one, NOON + 40 * i, tenant="ab"[i % 2], task=("chat", "code")[i % 3 == 0], usd=usd)
    twin.restore(one.state())
    for i in range(400, 600):
        for each in (one, twin):
            act(each, NOON + 40 * i, tenant="abc"[i % 3], task="code")
    assert_same_state(twin.state(), one.state())
