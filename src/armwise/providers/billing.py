"""Usage -> billed cost in USD."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from armwise.contracts import Model
from armwise.errors import BadInput
from armwise.providers.prices import calculate, price
from armwise.providers.usage import Usage

_LONG_PROMPT = 100_000
"""Input tokens from which list prices may have tiers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """What an answer costs, and how that is known."""

    cost_usd: float
    source: Literal["provider", "model", "list"]
    """``provider``: it named the cost itself; ``model``: the prices of the record; ``list``: those of genai-prices."""
    flags: frozenset[str] = frozenset()


def bill(model: Model, usage: Usage, reported: object = None) -> Bill:
    """The cost of one answer.

    The prices of the model count. Where they are the list prices, or it has none, and part of the input came from a
    cache or the prompt is long, the list is asked for its discounts and tiers; where they are the caller's own, cached
    input is billed in full. A cost that the provider names itself (``usage.cost``, USD) comes first, unless it is over
    ten times the other figure; then it is flagged and not believed.

    Raises:
        BadInput: if the model has no price and the list does not know it.
    """
    ours = _list_bill(model, usage) or _model_bill(model, usage)
    cost = reported.get("cost") if isinstance(reported, Mapping) else None
    if isinstance(cost, (int, float)) and not isinstance(cost, bool):
        if math.isfinite(cost) and 0 <= cost <= 10 * ours.cost_usd + 0.01:
            return Bill(cost_usd=float(cost), source="provider", flags=usage.flags)
        return Bill(cost_usd=ours.cost_usd, source=ours.source, flags=usage.flags | {"implausible_cost"})
    return ours


def prices_of(model: Model) -> tuple[float, float]:
    """Input and output price of a model, in USD per million tokens, from its record or the list.

    Raises:
        BadInput: if neither has one.
    """
    given, back = model.input_usd_per_mtok, model.output_usd_per_mtok
    if given is None or back is None:
        listed = price(model.upstream or model.name)
        given, back = listed[0] if given is None else given, listed[1] if back is None else back
    return given, back


def _model_bill(model: Model, usage: Usage) -> Bill:
    given, back = prices_of(model)
    cost = (usage.input_tokens * given + usage.output_tokens * back) / 1e6
    return Bill(cost_usd=cost, source="model", flags=usage.flags)


def _list_bill(model: Model, usage: Usage) -> Bill | None:
    """By the list, where the list's prices are the model's and a flat price would not do."""
    if not usage.cached_tokens and not usage.cache_write_tokens and usage.input_tokens < _LONG_PROMPT:
        return None
    name = model.upstream or model.name
    listed = _listed(name)
    if listed is None or listed != prices_of(model):
        return None
    tokens: dict[str, Any] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    if usage.cached_tokens:
        tokens["cache_read_tokens"] = usage.cached_tokens
    if usage.cache_write_tokens:
        tokens["cache_write_tokens"] = usage.cache_write_tokens
    found = calculate(name, **tokens)
    return None if found is None else Bill(cost_usd=float(found.total_price), source="list", flags=usage.flags)


@lru_cache(maxsize=1024)
def _listed(name: str) -> tuple[float, float] | None:
    try:
        return price(name)
    except BadInput:
        return None
