"""How a budget stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetReport:
    """How a budget stands. USD; for a budget per day, of the present UTC day."""

    name: str
    usd: float
    per: str
    tenant: str | None
    task: str | None
    hard_stop: bool
    requests: int
    billed_usd: float
    reserved_usd: float
    """Decided, and not billed yet."""
    estimated_usd: float
    """Never billed within the patience; counted as predicted."""
    left_usd: float | None
    """None for a mean per request, which is never used up."""
    resets_at: float | None
    """Unix time."""
    allowance_usd: float
    """What the next request may cost."""
    cost_weight: float
    """Points of quality that one allowance is worth now."""
    binds: bool
    """False where the price of money lies at its floor: the best that can be bought costs less than the budget."""

    @property
    def spent_usd(self) -> float:
        """All that has to be counted on: billed, reserved and estimated."""
        return self.billed_usd + self.reserved_usd + self.estimated_usd
