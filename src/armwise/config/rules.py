"""Rules and routes: what narrows requests before anything is learned."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from armwise.config.base import NonNegative, Positive, PositiveInt, Probability, Settings
from armwise.errors import BadInput
from armwise.rules import Route, Rule, Then, When


class WhenSettings(Settings):
    """See :class:`armwise.rules.When`."""

    pattern: str | None = None
    min_input_tokens: PositiveInt | None = None
    max_input_tokens: PositiveInt | None = None
    tools: bool | None = None
    modality: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    tenants: frozenset[str] | None = None
    tasks: frozenset[str] | None = None
    min_difficulty: Probability | None = None
    max_difficulty: Probability | None = None


class ThenSettings(Settings):
    """See :class:`armwise.rules.Then`."""

    arms: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    residency: frozenset[str] | None = None
    sensitivity: Literal["public", "internal", "confidential", "restricted"] | None = None
    max_cost_usd: Positive | None = None
    max_latency_ms: Positive | None = None
    cost_weight: NonNegative | None = None
    latency_weight: NonNegative | None = None


class RouteSettings(ThenSettings):
    """A virtual model; its name is its key."""

    task: str | None = None
    like: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    likeness: Probability = 0.3

    def record(self, name: str) -> Route:
        """The route as the router takes it."""
        given = self.model_dump()
        like, likeness = given.pop("like"), given.pop("likeness")
        return Route(name=name, then=Then(**given), like=like, likeness=likeness)


class RuleSettings(Settings):
    """When a request is such, it is narrowed so."""

    name: Annotated[str, Field(min_length=1)]
    when: WhenSettings = WhenSettings()
    then: ThenSettings

    @model_validator(mode="after")
    def _can_be(self) -> RuleSettings:
        try:
            self.record()
        except BadInput as error:
            raise ValueError(str(error)) from error
        if not self.then.model_fields_set:
            raise ValueError(f"then is empty; allowed are {', '.join(ThenSettings.model_fields)}")
        return self

    def record(self) -> Rule:
        """The rule as the router takes it."""
        when: dict[str, Any] = self.when.model_dump()
        return Rule(name=self.name, when=When(**when), then=Then(**self.then.model_dump()))
