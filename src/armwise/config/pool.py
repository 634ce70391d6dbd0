"""The pool: what models there are."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from armwise.config.base import NonNegative, Positive, PositiveInt, Probability, Settings
from armwise.contracts import Model


def _check_variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):  # what came may be the key itself: it is not repeated
        raise ValueError("must be the name of an environment variable that holds the key; never the key itself")
    return value


def _check_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("must be an address such as 'http://127.0.0.1:8000/v1'")
    return value


class ModelSettings(Settings):
    """One model of the pool. Prices may be left out where genai-prices knows the model."""

    name: Annotated[str, Field(min_length=1)]
    input_usd_per_mtok: NonNegative | None = None
    output_usd_per_mtok: NonNegative | None = None
    context_window: PositiveInt | None = None
    max_output_tokens: PositiveInt | None = None
    modalities: frozenset[str] = frozenset({"text"})
    tools: bool = True
    residency: str | None = None
    clearance: Literal["public", "internal", "confidential", "restricted"] = "public"
    latency_ms: Positive | None = None
    family: str | None = None
    quality_prior: Probability | None = None
    profile: dict[str, Probability] = Field(default_factory=dict)
    provider: Literal["openai", "anthropic", "gemini"] = "openai"
    upstream: str | None = None
    base_url: Annotated[str, AfterValidator(_check_address)] | None = None
    api_key_env: Annotated[str, AfterValidator(_check_variable)] | None = None
    enabled: bool = True

    def record(self) -> Model:
        """The model as the router takes it."""
        return Model(**self.model_dump(exclude={"enabled"}))
