"""When an arm is given up for another."""

from __future__ import annotations

from typing import Literal

from armwise.config.base import Positive, PositiveInt, Probability, Settings


class FallbackSettings(Settings):
    """The rule; see ``docs/strategies.md``."""

    reasons: tuple[Literal["failure", "timeout", "rate_limit", "refusal", "empty", "low_confidence"], ...] = (
        "failure",
        "timeout",
        "rate_limit",
        "refusal",
        "empty",
    )
    max_arms: PositiveInt = 4
    order: tuple[str, ...] = ()
    arm_timeout_s: Positive = 60.0
    timeout_s: Positive = 300.0
    resume: bool = True
    check: Literal["logprob", "format"] = "logprob"
    threshold: Probability = 0.5
