"""The objective: what the router aims for."""

from __future__ import annotations

from pydantic import model_validator

from armwise.config.base import Fraction, NonNegative, Positive, Settings
from armwise.pacing import Objective


class MaxQuality(Settings):
    """The best quality whose billed cost stays at a budget."""

    spend_usd_per_request: Positive | None = None
    spend_usd_per_day: Positive | None = None
    latency_weight: NonNegative = 0.0


class MinCost(Settings):
    """The lowest cost whose judged quality stays at a fraction of a reference arm's."""

    reference: str
    quality_fraction: Fraction = 0.95
    latency_weight: NonNegative = 0.0


class Tradeoff(Settings):
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
        return self

    def record(self) -> Objective:
        """The objective as the router takes it."""
        if self.max_quality is not None:
            return Objective.max_quality(**self.max_quality.model_dump())
        if self.min_cost is not None:
            return Objective.min_cost(**self.min_cost.model_dump())
        return Objective.tradeoff(**(self.tradeoff or Tradeoff()).model_dump())
