"""Objectives: what may be asked for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from armwise.contracts import Budget, Request
from armwise.errors import BadInput
from armwise.pacing import Objective, make_pacer
from helpers import context


def test_a_constant_trade_never_moves() -> None:
    pacer = make_pacer(Objective.tradeoff(cost_weight=0.3, latency_weight=0.1, latency_ref_ms=500.0), cost_ref_usd=2e-3)
    asked = Request(), context()
    assert pacer.trade(0.0, *asked) == pacer.trade(1e9, *asked) == (0.3, 0.1, 2e-3, 500.0)
    other = make_pacer(Objective.tradeoff(cost_ref_usd=1e-4), cost_ref_usd=2e-3)
    assert other.trade(0.0, *asked).cost_ref_usd == 1e-4


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Objective.max_quality(), "at least one of spend_usd_per_request, spend_usd_per_day and budgets"),
        (lambda: Objective.max_quality(budgets=Budget(usd=1.0)), "must be a list of Budget, got Budget"),  # type: ignore[arg-type]
        (lambda: Objective.max_quality(budgets=[5.0]), "must be a list of Budget, got float 5.0"),  # type: ignore[list-item]
        (lambda: Objective.tradeoff(budgets=[Budget(usd=1.0), Budget(usd=2.0)]), "two budgets are called 'day'"),
        (lambda: Objective.max_quality(spend_usd_per_day=1, budgets=[Budget(usd=2.0)]), "two budgets are called 'day'"),
        (lambda: Objective.max_quality(spend_usd_per_request=0), "positive number of USD, got 0"),
        (lambda: Objective.max_quality(spend_usd_per_request=float("nan")), "positive number of USD, got nan"),
        (lambda: Objective.max_quality(spend_usd_per_request="1"), "positive number of USD, got '1'"),
        (lambda: Objective.tradeoff(cost_weight=-1), "cost_weight must be a number of at least 0, got -1"),
        (lambda: Objective.tradeoff(latency_ref_ms=0), "latency_ref_ms must be a positive number of ms, got 0"),
        (lambda: Objective.min_cost(reference="a", quality_fraction=1.5), "above 0 and at most 1, got 1.5"),
    ],
)
def test_an_objective_out_of_range_is_refused(make: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"usd": -1.0}, "Budget.usd must be finite and at least 0, got -1.0"),
        ({"usd": float("nan")}, "Budget.usd must be finite and at least 0, got nan"),
        ({"usd": "5"}, "Budget.usd must be a number, got str '5'"),
        ({"usd": None}, "Budget.usd must be a number, got None"),
        ({"usd": 0.0, "per": "request"}, "above 0 per request, got 0.0: no arm is free; to stop spending"),
        ({"usd": 1.0, "per": "month"}, "Budget.per must be 'request' or 'day', got 'month'"),
        ({"usd": 1.0, "tenant": ""}, "Budget.tenant must be a non-empty string or None, got ''"),
        ({"usd": 1.0, "task": 3}, "Budget.task must be a non-empty string or None, got 3"),
        ({"usd": 1.0, "per": "request", "hard_stop": True}, "hard_stop needs a budget per day"),
        ({"usd": 1.0, "name": 7}, "Budget.name must be a string, got 7"),
    ],
)
def test_a_budget_out_of_range_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Budget(**settings)


def test_a_budget_is_called_what_it_is() -> None:
    assert Budget(usd=50.0).name == "day"
    assert Budget(usd=5.0, tenant="acme").name == "day, tenant acme"
    assert Budget(usd=5.0, tenant="*").name == "day, each tenant"
    assert Budget(usd=2e-3, per="request", task="code").name == "request, task code"
