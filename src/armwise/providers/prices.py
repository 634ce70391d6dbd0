"""List prices by model name, from the data that genai-prices carries. Offline; nothing is ever fetched."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from armwise.errors import BadInput

_TYPICAL = 1_000
"""Tokens at which a price is read: below every tier for long prompts."""


def price(model_name: str) -> tuple[float, float]:
    """List price of a model as (input, output) in USD per million tokens.

    A provider may stand in front, as in ``openai/gpt-4o``.

    Raises:
        BadInput: if the list does not know the model; names the nearest that it knows.
    """
    return _price(model_name)


@lru_cache(maxsize=1024)
def _price(name: str) -> tuple[float, float]:
    found = calculate(name, input_tokens=_TYPICAL, output_tokens=_TYPICAL)
    if found is None:
        near = get_close_matches(name, sorted(_sellers()), n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise BadInput(
            f"model {name!r} has no price: give input_usd_per_mtok and output_usd_per_mtok, "
            f"or a name that genai-prices knows{hint}"
        )
    return (1e6 / _TYPICAL * float(found.input_price), 1e6 / _TYPICAL * float(found.output_price))


def calculate(name: str, **tokens: int) -> Any | None:
    """The ``PriceCalculation`` of genai-prices for counts of tokens (its names of them), or None if it has no price."""
    from genai_prices import Usage, calc_price  # 0.2 s and 20 MB: not for those who give their own prices

    seller, slash, model = name.partition("/")
    tries: list[tuple[str, str | None]] = [(model, seller), (name, None)] if slash else [(name, None)]
    if name in _sellers():
        tries.append((name, _sellers()[name]))
    for model_ref, provider_id in tries:
        try:
            return calc_price(Usage(**tokens), model_ref, provider_id=provider_id)
        except LookupError:
            continue
    return None


@lru_cache(maxsize=1)
def _sellers() -> dict[str, str]:
    """Every model name of the list -> a provider that sells it."""
    from genai_prices.data_snapshot import get_snapshot

    return {model.id: provider.id for provider in reversed(get_snapshot().providers) for model in provider.models}
