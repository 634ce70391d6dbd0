"""When an arm is given up, and which is next. Never outside the action set of the decision.

The decision's propensity is that of the plan as drawn: "this arm, and if it fails, the next best one". What another arm
then answers is a further attempt of the same decision. The arm that was drawn gets the failure; all that was billed
counts as the decision's cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from armwise.contracts import Arm, Decision
from armwise.errors import ConfigError, unknown
from armwise.plans import Check
from armwise.providers.completion import Completion
from armwise.providers.errors import RateLimited, Refused, Timeout, UpstreamError

REASONS: tuple[str, ...] = ("failure", "timeout", "rate_limit", "refusal", "empty", "low_confidence")
"""What an arm can be given up for:

- ``failure``: no connection, an error of the server, an answer that is none;  ``timeout``;  ``rate_limit``
- ``refusal``: the model or its provider's filter refused;  ``empty``: a well-formed answer that says nothing
- ``low_confidence``: the answer's confidence is measured, and below the threshold
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallback:
    """The rule.

    Raises:
        ConfigError: on an unknown reason or a number out of range.
    """

    reasons: Collection[str] = REASONS[:-1]
    """Reasons to try the next arm; for any other the first arm's failure, or its refusal, is the result."""
    max_arms: int = 4
    """Arms tried for one request, the first included."""
    order: tuple[str, ...] = ()
    """Arms to try first, in this order, where the action set has them; then the others by predicted utility."""
    arm_timeout_s: float = 60.0
    """How long one arm may take while another could be tried."""
    timeout_s: float = 300.0
    """How long a request may take in all, unless it says otherwise."""
    resume: bool = True
    """Whether a stream that breaks after it has said something is gone on with."""
    check: str = "logprob"
    """How ``low_confidence`` is measured: ``logprob`` or ``format``. No other model may look: it need not be in the
    action set."""
    threshold: float = 0.5
    """The confidence below which an answer is given up; one that cannot be measured is not."""

    def __post_init__(self) -> None:
        for reason in self.reasons:
            if reason not in REASONS:
                raise ConfigError(f"fallback.reasons: {unknown('reason', reason, REASONS)}")
        if self.check not in ("logprob", "format"):
            raise ConfigError(f"fallback.check: {unknown('check', self.check, ('logprob', 'format'))}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"fallback.threshold must be between 0 and 1, got {self.threshold!r}")
        if self.max_arms < 1:
            raise ConfigError(f"fallback.max_arms must be at least 1, got {self.max_arms}")
        for name in ("arm_timeout_s", "timeout_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ConfigError(f"fallback.{name} must be over 0 and finite, got {value}")

    def forgives(self, error: UpstreamError) -> bool:
        """Whether the next arm may be tried after this error."""
        return reason_of(error) in self.reasons

    @property
    def checks(self) -> tuple[Check, ...]:
        """The check of every answer; none unless a low confidence is a reason."""
        return (Check(kind=self.check),) if "low_confidence" in self.reasons else ()

    def objection(self, completion: Completion, confidence: float | None = None) -> str | None:
        """What speaks against delivering an answer, if it is a reason to try the next arm."""
        if completion.refused or completion.empty:
            reason = "refusal" if completion.refused else "empty"
        elif confidence is not None and confidence < self.threshold:
            reason = "low_confidence"
        else:
            return None
        return reason if reason in self.reasons else None

    def arms(
        self,
        decision: Decision,
        arm_of: Callable[[str], Arm | None],
        failed: Callable[[], Collection[str]],
        resting: Callable[[Arm], bool],
    ) -> Iterator[Arm]:
        """The decision's arm, then the others of its action set while they are asked for.

        Args:
            decision: whose action set bounds everything.
            arm_of: the particulars of an arm; None if it left the pool since.
            failed: models that failed by now.
            resting: whether an arm needs a model that cannot be called now.
        """
        first = arm_of(decision.arm)
        if first is not None:
            yield first
        utilities = decision.utilities
        rank = {name: place for place, name in enumerate(self.order)}
        left = sorted(utilities, key=lambda name: (rank.get(name, len(rank)), -utilities[name]))
        left.remove(decision.arm)
        for _ in range(self.max_arms - 1):
            down = failed()
            arms = [arm for arm in map(arm_of, left) if arm is not None]
            able = [arm for arm in arms if any(model.name not in down for model in arm.models)]
            if not able:
                return
            # A plan that needs a model which just failed may still answer, but only after those that do not need it.
            arm = min(able, key=lambda arm: (any(model.name in down for model in arm.models), resting(arm)))
            left.remove(arm.name)
            yield arm


def reason_of(error: UpstreamError) -> str:
    """The reason of :data:`REASONS` that an error amounts to."""
    if isinstance(error, Timeout):
        return "timeout"
    if isinstance(error, RateLimited):
        return "rate_limit"
    return "refusal" if isinstance(error, Refused) else "failure"


def said(gave_up: Mapping[str, str]) -> str:
    """Why the arms were given up, in words."""
    return "; ".join(f"{arm}: {why}" for arm, why in gave_up.items())
