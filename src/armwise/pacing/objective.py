"""What the router is to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from armwise.contracts import Budget
from armwise.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What the router is to do. Build one with the class methods.

    Raises:
        BadInput: on numbers out of range.
    """

    kind: str
    spend_usd_per_request: float | None = None
    spend_usd_per_day: float | None = None
    quality_fraction: float | None = None
    reference: str | None = None
    cost_weight: float = 0.0
    latency_weight: float = 0.0
    cost_ref_usd: float | None = None
    """Cost that ``cost_weight`` is per, in USD; by default what the dearest model asks for a typical request."""
    latency_ref_ms: float = 1_000.0
    budgets: tuple[Budget, ...] = ()
    """What may be spent beside; any objective may stand under budgets."""

    def __post_init__(self) -> None:
        for name in ("spend_usd_per_request", "spend_usd_per_day", "cost_ref_usd"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise BadInput(f"objective: {name} must be a positive number of USD, got {value!r}")
        for name in ("cost_weight", "latency_weight"):
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                raise BadInput(f"objective: {name} must be a number of at least 0, got {value!r}")
        if not (_is_number(self.latency_ref_ms) and self.latency_ref_ms > 0):
            raise BadInput(f"objective: latency_ref_ms must be a positive number of ms, got {self.latency_ref_ms!r}")
        fraction = self.quality_fraction
        if fraction is not None and not (_is_number(fraction) and 0 < fraction <= 1):
            raise BadInput(f"objective: quality_fraction must be above 0 and at most 1, got {self.quality_fraction!r}")
        object.__setattr__(self, "budgets", _budgets(self.budgets))
        names = [budget.name for budget in self.all_budgets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadInput(
                f"objective: two budgets are called {', '.join(map(repr, twice))}; give each a name of its own"
            )

    @property
    def all_budgets(self) -> tuple[Budget, ...]:
        """Every budget, those in short form first."""
        short = ((self.spend_usd_per_request, "request"), (self.spend_usd_per_day, "day"))
        return (*(Budget(usd=usd, per=per) for usd, per in short if usd is not None), *self.budgets)  # type: ignore[arg-type]

    @classmethod
    def tradeoff(
        cls,
        *,
        cost_weight: float = 0.2,
        latency_weight: float = 0.0,
        cost_ref_usd: float | None = None,
        latency_ref_ms: float = 1_000.0,
        budgets: Iterable[Budget] = (),
    ) -> Objective:
        """Constant exchange rates: a cost of ``cost_ref_usd`` is worth ``cost_weight`` of quality; latency alike."""
        return cls(
            kind="tradeoff",
            cost_weight=cost_weight,
            latency_weight=latency_weight,
            cost_ref_usd=cost_ref_usd,
            latency_ref_ms=latency_ref_ms,
            budgets=_budgets(budgets),
        )

    @classmethod
    def max_quality(
        cls,
        *,
        spend_usd_per_request: float | None = None,
        spend_usd_per_day: float | None = None,
        budgets: Iterable[Budget] = (),
        latency_weight: float = 0.0,
    ) -> Objective:
        """The best quality whose billed cost stays at the budget, or within several at once."""
        budgets = _budgets(budgets)
        if spend_usd_per_request is None and spend_usd_per_day is None and not budgets:
            raise BadInput(
                "objective max_quality needs at least one of spend_usd_per_request, spend_usd_per_day and budgets"
            )
        return cls(
            kind="max_quality",
            spend_usd_per_request=spend_usd_per_request,
            spend_usd_per_day=spend_usd_per_day,
            latency_weight=latency_weight,
            budgets=budgets,
        )

    @classmethod
    def min_cost(
        cls,
        *,
        quality_fraction: float = 0.95,
        reference: str,
        latency_weight: float = 0.0,
        budgets: Iterable[Budget] = (),
    ) -> Objective:
        """The lowest cost whose mean quality stays at ``quality_fraction`` of the reference arm's."""
        return cls(
            kind="min_cost",
            quality_fraction=quality_fraction,
            reference=reference,
            latency_weight=latency_weight,
            budgets=_budgets(budgets),
        )


def _budgets(given: Iterable[Budget]) -> tuple[Budget, ...]:
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise BadInput(f"objective: budgets must be a list of Budget, got {type(given).__name__} {given!r:.80}")
    budgets = tuple(given)
    for item in budgets:
        if not isinstance(item, Budget):
            raise BadInput(f"objective: budgets must be a list of Budget, got {type(item).__name__} {item!r:.80}")
    return budgets


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
