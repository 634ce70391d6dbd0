"""The pool: what models there are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from armwise.config.base import NonNegative, Positive, PositiveInt, Probability, Settings
from armwise.contracts import Model


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
    base_url: str | None = None
    api_key_env: str | None = None
    enabled: bool = True

    def record(self) -> Model:
        """The model as the router takes it."""
        return Model(**self.model_dump(exclude={"enabled"}))
