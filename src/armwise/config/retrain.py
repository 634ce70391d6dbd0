"""Scheduled retraining: the candidates, and the gate that they have to pass."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from armwise.config.base import NonNegative, PositiveInt, Probability, Settings
from armwise.errors import BadInput
from armwise.policies import make_policy

Level = Annotated[float, Field(gt=0.5, lt=1)]
Part = Annotated[float, Field(gt=0, lt=1)]


class CandidateSettings(Settings):
    """One policy to train."""

    name: Annotated[str, Field(min_length=1)]
    policy: str | dict[str, Any]
    """A name, or ``name`` with parameters; ``engine`` and ``model`` (its parameters, such as ``forgetting``) too."""
    window_rows: PositiveInt | None = None
    """Learn from the latest so many rows only."""

    @model_validator(mode="after")
    def _known(self) -> CandidateSettings:
        try:
            make_policy(dimension=2, **self.settings())
        except (BadInput, TypeError) as error:
            raise ValueError(f"policy: {error}") from error
        return self

    def settings(self) -> dict[str, Any]:
        """Name and parameters of the policy."""
        return {"name": self.policy} if isinstance(self.policy, str) else dict(self.policy)


class GuardSettings(Settings):
    """By how much each metric may get worse, beyond what chance explains; None does not guard it."""

    quality: NonNegative | None = 0.0
    """Of all traffic."""
    slices: NonNegative | None = 0.0
    """Quality of each task and tenant with ``slice_rows`` rows or more."""
    spend: NonNegative | None = 0.0
    """Mean billed cost, as a share of what it is."""
    latency: NonNegative | None = 0.0
    """Mean latency, as a share of what it is."""
    errors: NonNegative | None = 0.0
    """Share of failed requests."""
    exploration: NonNegative | None = 0.02
    """Share of the traffic that does not go to the likeliest arm."""
    least_exploration: Probability = 0.0
    """Share of exploration that has to be left, so that the next log can answer too."""
    slice_rows: PositiveInt = 500


class RetrainSettings(Settings):
    """``armwise retrain``."""

    candidates: Annotated[list[CandidateSettings], Field(min_length=1)] = Field(
        default_factory=lambda: [CandidateSettings(name="thompson", policy="thompson")]
    )
    source: str | None = None
    """A DuckDB file, a published directory, or Parquet by path, glob or URL; by default ``log.path``."""
    registry: str | None = None
    """Default: beside ``log.path``."""
    train: Part = 0.6
    """Share of the rows, from the start, that teaches."""
    select: Part = 0.2
    """Share that chooses between candidates; what is left confirms the choice."""
    latest_rows: PositiveInt | None = None
    """Use the latest so many rows only."""
    least_rows: PositiveInt = 1_000
    """Rows that have to be there to confirm."""
    margin: NonNegative = 0.0
    """Utility by which the candidate has to be better."""
    level: Level = 0.95
    """Of the two-sided intervals."""
    guards: GuardSettings = GuardSettings()
    stage: Literal["full", "canary", "shadow"] = "full"
    """Where a candidate begins that passes."""
    share: Probability = 0.0
    """Of each draw, for a canary."""
    tolerance: Probability = 0.0
    """Utility by which a canary may be worse before it is taken off."""
    refit: bool = True
    """Let the winner learn from the rows that judged it, before it is published."""
    keep: PositiveInt = 20
    """Snapshots kept in the registry, beside those in use."""
    report: str | None = "retrain.html"
    """Where the report is written; None writes none."""

    @model_validator(mode="after")
    def _consistent(self) -> RetrainSettings:
        names = [candidate.name for candidate in self.candidates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or "logging" in names:
            raise ValueError(f"candidates: every one needs a name of its own, and not 'logging'; got {names}")
        if not self.train + self.select < 1:
            raise ValueError(f"train and select take {self.train + self.select:g} of the rows; some must be left")
        if (self.stage == "canary") != (0 < self.share < 1):
            raise ValueError(f"share: {self.share:g} does not go with the stage {self.stage!r}")
        return self
