"""The objective: what the router aims for."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from armwise.config.base import Fraction, NonNegative, Positive, Settings
from armwise.config.budgets import BudgetSettings
from armwise.errors import BadInput
from armwise.pacing import Objective


class Budgeted(Settings):
    """Any objective may stand under budgets."""

    budgets: tuple[BudgetSettings, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the objective."""
        return {**self.model_dump(exclude={"budgets"}), "budgets": [budget.record() for budget in self.budgets]}


class MaxQuality(Budgeted):
    """The best quality whose billed cost stays at the budgets."""

    spend_usd_per_request: Positive | None = None
    spend_usd_per_day: Positive | None = None
    latency_weight: NonNegative = 0.0


class MinCost(Budgeted):
    """The lowest cost whose judged quality stays at a fraction of a reference arm's."""

    reference: str
    quality_fraction: Fraction = 0.95
    latency_weight: NonNegative = 0.0


class Tradeoff(Budgeted):
    """Constant exchange rates."""

    cost_weight: NonNegative = 0.2
    latency_weight: NonNegative = 0.0
    cost_ref_usd: Positive | None = None
    latency_ref_ms: Positive = 1_000.0


class ObjectiveSettings(Settings):
    """Exactly one of the three."""

    max_quality: MaxQuality | None = None
    min_cost: MinCost | None = None
    tradeoff: Tradeoff | None = None

    @model_validator(mode="after")
    def _one(self) -> ObjectiveSettings:
        given = self.model_fields_set
        if len(given) != 1:
            raise ValueError(
                f"takes exactly one of max_quality, min_cost, tradeoff; got {', '.join(sorted(given)) or 'none'}"
            )
        try:
            self.record()
        except BadInput as error:
            raise ValueError(str(error)) from error
        return self

    def record(self) -> Objective:
        """The objective as the router takes it."""
        if self.max_quality is not None:
            return Objective.max_quality(**self.max_quality.settings())
        if self.min_cost is not None:
            return Objective.min_cost(**self.min_cost.settings())
        return Objective.tradeoff(**(self.tradeoff or Tradeoff()).settings())
