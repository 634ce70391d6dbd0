"""Prices of the pool: list prices filled in, what has none refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from armwise.config import RouterConfig
from armwise.contracts import (
    Arm,
    Model,
)
from armwise.errors import BadInput, ConfigError
from armwise.predictors.cost import usd_per_token
from armwise.providers.prices import price

_TYPICAL_INPUT_TOKENS, _TYPICAL_OUTPUT_TOKENS = 500, 200


def priced_pool(models: Iterable[Model], arms: Iterable[Arm]) -> list[Arm]:
    """The arms of a pool, priced.

    Raises:
        BadInput: on a duplicate name or a model without a price.
    """
    pool = [Arm.of(priced(model)) for model in models]
    pool += [replace(arm, models=tuple(map(priced, arm.models))) for arm in arms]
    names = [arm.name for arm in pool]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"duplicate arm {', '.join(map(repr, twice))}; every arm needs its own name")
    return pool


def priced(model: Model) -> Model:
    """The model with its list prices filled in where it gives none."""
    if model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        return model
    input_price, output_price = price(model.upstream or model.name)
    return replace(
        model,
        input_usd_per_mtok=input_price if model.input_usd_per_mtok is None else model.input_usd_per_mtok,
        output_usd_per_mtok=output_price if model.output_usd_per_mtok is None else model.output_usd_per_mtok,
    )


def check_prices(config: RouterConfig) -> None:
    """Raise ConfigError if an enabled model has no price, naming each by its path in the file."""
    lines = []
    for i, settings in enumerate(config.models):
        try:
            if settings.enabled:
                priced(settings.record())
        except BadInput as error:
            lines.append(f"models[{i}]: {error}")
    if lines:
        raise ConfigError("\n".join(lines))


def typical_usd(pool: Iterable[Arm]) -> float:
    """What the dearest arm asks for a typical request: the cost of reference where the objective gives none."""
    prices = [usd_per_token(arm) for arm in pool]
    typical = (_TYPICAL_INPUT_TOKENS * input_ + _TYPICAL_OUTPUT_TOKENS * output for input_, output in prices)
    return max(typical, default=0.0) or 1e-3
