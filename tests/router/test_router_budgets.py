"""Budgets of a running router: reported, changed, logged, and the same after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from armwise import Budget, Objective, Request, Router
from armwise.errors import BadInput, BudgetExhausted, UnknownName
from armwise.log import MemoryLog
from helpers import assert_same_state, models


def new(budgets: list[Budget], **settings: Any) -> Router:
    objective = settings.pop("objective", None) or Objective.max_quality(budgets=budgets)
    return Router(models=models(), objective=objective, seed=1, **settings)


def ask(router: Router, text: str = "What is the capital of France?", tenant: str | None = None) -> str:
    return router.decide(Request.from_text(text, tenant=tenant)).id


def test_budgets_are_reported() -> None:
    with new([Budget(usd=5.0), Budget(usd=1.0, tenant="acme")]) as router:
        router.observe(ask(router, tenant="acme"), cost_usd=0.25)
        ask(router)
        whole, acme = router.budgets()
        assert (whole.requests, whole.billed_usd, acme.billed_usd, acme.reserved_usd) == (2, 0.25, 0.25, 0.0)
        assert whole.reserved_usd > 0
        assert whole.left_usd == pytest.approx(5.0 - whole.spent_usd)
        assert whole.resets_at is not None
        assert whole.resets_at % 86_400 == 0


def test_budgets_change_while_running_and_the_log_replays_them(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with new([Budget(usd=5.0)], log=path) as router:
        router.observe(ask(router, tenant="acme"), cost_usd=0.25)
        router.set_budget(usd=0.3, hard_stop=True)
        router.set_budget(Budget(usd=1e-3, per="request", tenant="acme"))
        router.observe(ask(router, tenant="acme"), cost_usd=0.2)
        with pytest.raises(BudgetExhausted):
            ask(router)
        state = router._learner.state()
    for folder in tmp_path.glob("*.snapshots"):
        for file in folder.iterdir():
            file.unlink()  # so that all of it is replayed
    with new([Budget(usd=5.0)], log=path) as again:  # the objective says what it said: what calls did stays
        assert_same_state(again._learner.state()["pacer"], state["pacer"])
        assert [report.usd for report in again.budgets()] == [0.3, 1e-3]
        again.remove_budget("day")
        ask(again)
    with new([Budget(usd=7.0)], log=path) as third:  # it says something else
        assert [(report.usd, report.requests) for report in third.budgets()] == [(1e-3, 1), (7.0, 0)]
    with Router(models=models(), log=path, seed=1) as fourth:  # and now it says nothing of it
        assert [report.name for report in fourth.budgets()] == ["request, tenant acme"]


def test_the_same_budgets_at_a_restart_are_no_news(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    for _ in range(2):
        with new([Budget(usd=5.0, hard_stop=True)], log=path) as router:
            router.observe(ask(router), cost_usd=2.0)
            changes = [event for _, event in router._log.events() if type(event).__name__ == "BudgetChange"]
            assert len(changes) == 1
            spent = router.budgets()[0].billed_usd
    assert spent == 4.0


def test_a_wrong_budget_is_refused_before_it_is_logged() -> None:
    log = MemoryLog()
    with new([Budget(usd=5.0)], log=log) as router:
        position = log.position
        for wrong, says in (
            ({"usd": -1.0}, "Budget.usd must be finite and at least 0, got -1.0"),
            ({"usd": 1.0, "tennant": "a"}, "set_budget needs a Budget or its fields: .*tennant"),
            ({}, "set_budget needs a Budget or its fields: .*usd"),
            ({"budget": 5.0}, "set_budget needs a Budget or its fields, got 5.0"),
        ):
            with pytest.raises(BadInput, match=says):
                router.set_budget(**wrong)
        with pytest.raises(UnknownName, match=r"unknown budget 'dya'; did you mean 'day'\?"):
            router.remove_budget("dya")
        assert log.position == position
