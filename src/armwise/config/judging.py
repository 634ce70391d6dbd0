"""Judging: which judges look at the answers, how often, and what they are watched by."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from armwise.config.base import NonNegative, Positive, PositiveInt, Probability, Settings
from armwise.config.pool import ModelSettings

OF_MODELS = ("pointwise", "reference", "pairwise")
"""Kinds of judge that ask a model."""


class SandboxSettings(Settings):
    """What a program may take that a code check runs."""

    wall_s: Positive = 10.0
    cpu_s: PositiveInt = 5
    memory_mb: PositiveInt = 512


class JudgeSettings(Settings):
    """One judge."""

    name: Annotated[str, Field(min_length=1)]
    kind: Literal["pointwise", "reference", "pairwise", "exact", "pattern", "schema", "numeric", "code"]
    model: ModelSettings | None = None
    """What is asked, for ``pointwise``, ``reference`` and ``pairwise``."""
    signal: str = "judge_score"
    """The kind of signal that it gives, of ``rewards.kinds``; ``task_success`` suits a check."""
    rate: Probability = 0.1
    """Share of the decisions that it looks at, in the long run."""
    focus: NonNegative = 2.0
    floor: Annotated[float, Field(gt=0, le=1)] = 0.03
    ahead: Probability = 0.4
    horizon: PositiveInt = 10_000
    rubric: str | None = None
    scale: tuple[float, float] = (1.0, 10.0)
    pattern: str | None = None
    json_schema: dict[str, Any] | None = None
    tests: str | None = None
    isolated: bool = True
    sandbox: SandboxSettings = SandboxSettings()
    lenient: bool = True
    relative_tolerance: NonNegative = 1e-6
    absolute_tolerance: NonNegative = 1e-9
    anchors: str | None = None
    """A JSONL file of question, answer and quality, beside the configuration."""
    anchor_every: PositiveInt = 5
    correct_length: bool = False

    @model_validator(mode="after")
    def _fits(self) -> JudgeSettings:
        if (self.model is not None) != (self.kind in OF_MODELS):
            needs = "needs a model" if self.model is None else "takes no model"
            raise ValueError(f"a judge of kind {self.kind!r} {needs}")
        if (self.pattern is not None) != (self.kind == "pattern"):
            raise ValueError(f"pattern goes with kind 'pattern', and only with it; got kind {self.kind!r}")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is not a regular expression: {error}") from error
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale must go up, got {self.scale}")
        return self


class JudgingSettings(Settings):
    """All judges, and their queue."""

    judges: list[JudgeSettings] = Field(default_factory=list)
    queue: PositiveInt = 1_000
    workers: PositiveInt = 4
    timeout_s: Positive = 60.0

    @property
    def explored(self) -> float:
        """Share of the decisions that are to explore where judges alone tell of quality: as many as some judge sees."""
        return 1.0 - math.prod(1.0 - judge.rate for judge in self.judges)

    @model_validator(mode="after")
    def _named(self) -> JudgingSettings:
        names = [judge.name for judge in self.judges]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"judges: duplicate name {', '.join(map(repr, twice))}; every judge needs its own")
        return self
