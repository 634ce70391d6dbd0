"""Every error armwise raises, in one tree.

    ArmwiseError
    ├── CallerError          the request or the call is at fault: retrying it unchanged cannot help
    │   ├── BadInput         a value of the wrong type, shape or range (also a ValueError)
    │   ├── ConfigError      a setting; names its path in the file
    │   ├── UnknownName      a name that is not registered; suggests the near miss (also a KeyError)
    │   │   ├── UnknownDecision
    │   │   └── UnknownModel
    │   ├── NoEligibleArm    the constraints left no arm; names the one that emptied the set
    │   ├── BudgetExhausted  a hard stop that the caller asked for
    │   ├── TooManySignals   a source of feedback sends more than it may
    │   └── NotAuthorised    a key is missing, wrong, or not of the right kind
    ├── ProviderError        an upstream model is at fault: another arm or a later try may succeed
    │   └── NoAnswer         no arm that could be tried for a request answered it
    └── StateError           stored state is at fault
        ├── LogError         the log cannot be read or written
        └── SnapshotError    a policy snapshot is damaged, foreign or incompatible

Each class carries ``status``, the HTTP status by which the gateway answers, so that translation happens in one place.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar


class ArmwiseError(Exception):
    """Root of all errors raised by armwise."""

    status: ClassVar[int] = 500


class CallerError(ArmwiseError):
    """The call is at fault."""

    status: ClassVar[int] = 400


class BadInput(CallerError, ValueError):
    """A value of the wrong type, shape or range."""


class ConfigError(CallerError, ValueError):
    """A setting that cannot be used. The message names its path in the file."""


class UnknownName(CallerError, KeyError):
    """A name that is not registered."""

    status: ClassVar[int] = 404

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0]) if self.args else ""


class UnknownDecision(UnknownName):
    """Feedback for a decision that neither memory nor log holds."""


class UnknownModel(UnknownName):
    """A model or arm that is not in the pool."""


class NoEligibleArm(CallerError):
    """The constraints of a request left no arm to answer it.

    Attributes:
        excluded: arm name -> the reason it was left out.
    """

    status: ClassVar[int] = 422

    def __init__(self, message: str, *, excluded: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.excluded = dict(excluded or {})


class BudgetExhausted(CallerError):
    """A budget with a hard stop is spent.

    Attributes:
        budget: its name.
        resets_at: Unix time at which it starts anew; None if it never does.
    """

    status: ClassVar[int] = 429

    def __init__(self, message: str, *, budget: str = "", resets_at: float | None = None) -> None:
        super().__init__(message)
        self.budget = budget
        self.resets_at = resets_at


class TooManySignals(CallerError):
    """A source of feedback sends more than it may; nothing of it was taken in."""

    status: ClassVar[int] = 429


class NotAuthorised(CallerError):
    """A key is missing, wrong, or not of the kind that the route needs."""

    status: ClassVar[int] = 401


class ProviderError(ArmwiseError):
    """An upstream model failed to answer."""

    status: ClassVar[int] = 502


class NoAnswer(ProviderError):
    """Every arm that was tried for a request failed, or its stream broke in the middle.

    Attributes:
        status: HTTP status of the last failure.
        decision_id, arm: of the decision.
        gave_up: arm -> why it was given up, in the order they were tried.
        attempts: every upstream call made, as :class:`armwise.contracts.Attempt`.
        retry_after_s: when the last one allows another call, if it says so.
        received: what had come of a stream that broke, as a chat completion.
        detail: what the last model's provider said, without where that is.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        decision_id: str = "",
        arm: str = "",
        gave_up: Mapping[str, str] | None = None,
        attempts: Sequence[Any] = (),
        retry_after_s: float | None = None,
        received: Mapping[str, Any] | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.detail = detail
        self.status = status  # type: ignore[misc]  # the last failure's, not the class's
        self.decision_id = decision_id
        self.arm = arm
        self.gave_up = dict(gave_up or {})
        self.attempts = tuple(attempts)
        self.retry_after_s = retry_after_s
        self.received = received


class StateError(ArmwiseError):
    """Stored state is damaged, locked or incompatible."""


class LogError(StateError):
    """The log cannot be read or written."""


class SnapshotError(StateError):
    """A policy snapshot is damaged, foreign or incompatible."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """One sentence for a name that is not known: what came, the near miss, what is allowed."""
    allowed = sorted(known)
    near = get_close_matches(str(name), allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(repr(item) for item in allowed[:20]) or "none"
    more = f" and {len(allowed) - 20} more" if len(allowed) > 20 else ""
    return f"unknown {kind} {name!r}{hint} (known: {listed}{more})"


def misfit(what: str, given: Mapping[str, Any], error: TypeError, *makers: Callable[..., Any]) -> str:
    """What to say where ``makers`` did not take the keyword arguments ``given``: the unknown name, or what came."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = {
        name
        for maker in makers
        for name, parameter in inspect.signature(maker).parameters.items()
        if parameter.kind in kinds and name not in _SUPPLIED
    }
    for name in given:
        if name not in known:
            return f"{what}: {unknown('parameter', name, known)}"
    came = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return f"{what}: {came} cannot be taken: {error}"


_SUPPLIED = ("self", "cls", "model", "voters", "make_model", "dimension")
"""Arguments of policies and engines that are no settings."""
