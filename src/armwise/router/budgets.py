"""Budgets: set, removed and reported while the router runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from armwise.contracts import (
    Budget,
    BudgetChange,
)
from armwise.errors import BadInput, UnknownName, unknown
from armwise.pacing import BudgetReport, FloorReport
from armwise.router.keeping import Keeping


class Budgeting(Keeping):
    """Changes of the budgets, each an event of the log."""

    def budgets(self) -> list[BudgetReport]:
        """How each budget stands now: spent, reserved, left, when it resets, and what a dollar is worth."""
        with self._lock:
            return self._decider.pacer.report(time.time())

    def holding(self) -> FloorReport | None:
        """Whether the quality floor is held, as far as judgements prove; None where the objective is not a floor."""
        with self._lock:
            return self._decider.pacer.holding()

    def set_budget(self, budget: Budget | None = None, **settings: Any) -> Budget:
        """Set a budget while running: a new one, or a new amount for a known name, which keeps what it has spent.

        Takes a :class:`Budget`, or its fields: ``router.set_budget(usd=5.0, tenant="acme", hard_stop=True)``.

        Raises:
            BadInput: if it is out of range.
        """
        if budget is None:
            try:
                budget = Budget(**settings)
            except TypeError as error:
                raise BadInput(f"set_budget needs a Budget or its fields: {error}") from error
        elif settings or not isinstance(budget, Budget):
            raise BadInput(f"set_budget needs a Budget or its fields, got {budget!r:.80} and {settings!r:.80}")
        self._apply(BudgetChange(action="set", budget=budget, at=time.time()))
        return budget

    def remove_budget(self, name: str) -> None:
        """Take a budget out of force.

        Raises:
            UnknownName: if there is none of that name.
        """
        with self._lock:
            there = {budget.name: budget for budget in self._decider.pacer.budgets}
            if name not in there:
                raise UnknownName(unknown("budget", name, there))
            self._apply(BudgetChange(action="remove", budget=there[name], at=time.time()))

    def _reconcile_budgets(self, budgets: Sequence[Budget]) -> None:
        """Bring the log in line with the objective's budgets, where those have changed; what calls did since stays."""
        wanted = {budget.name: budget for budget in budgets}
        declared = dict(self._decider.pacer.declared)
        for name, budget in declared.items():
            if name not in wanted:
                self._apply(BudgetChange(action="remove", budget=budget, at=time.time(), declared=True))
        for name, budget in wanted.items():
            if declared.get(name) != budget:
                self._apply(BudgetChange(action="set", budget=budget, at=time.time(), declared=True))
