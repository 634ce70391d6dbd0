"""What came back, and whatever else may change what is learned: the events of the log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from armwise.contracts.arms import Arm
from armwise.contracts.decisions import Decision
from armwise.contracts.values import check_name, check_number
from armwise.errors import BadInput

RETRACTION = "retraction"
"""The kind of a signal that takes another one back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """One piece of evidence about how a decision went.

    ``value`` is a finite number whose unit follows from ``kind`` (``quality`` in [0, 1], ``cost_usd``, ``latency_ms``,
    ``output_tokens``, ...; see :mod:`armwise.rewards`). Idempotent by (decision_id, source, event_id).

    Raises:
        BadInput: on an empty identifier or a value that is not a finite number.
    """

    decision_id: str
    kind: str
    value: float = 1.0
    source: str = "app"
    event_id: str
    at: float = 0.0
    """Unix time, seconds, when the signal was received."""
    retracts: str | None = None
    """Of a ``retraction``: the event id, of the same decision and source, that is taken back."""

    def __post_init__(self) -> None:
        for name in ("decision_id", "kind", "source", "event_id"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise BadInput(f"Signal.{name} must be a non-empty string, got {value!r}")
        check_number("Signal", "value", self.value, -math.inf)
        if (self.kind == RETRACTION) != bool(self.retracts):
            raise BadInput(
                f"Signal.retracts names the event that a {RETRACTION!r} takes back, and only that; "
                f"got {self.retracts!r} with kind {self.kind!r}"
            )

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes a signal the same signal."""
        return (self.decision_id, self.source, self.event_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is known by now of how a decision went; ``None`` is not known, which is never the same as zero."""

    quality: float | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    output_tokens: float | None = None
    error: bool = False
    """Whether the arm failed, in what it said or by giving no answer at all."""
    deviation: float = 0.0
    """Standard deviation of the error of ``quality``; 0 where it is taken at its word."""
    judging_usd: float = 0.0
    """What judging it has cost so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One upstream call made for a decision. Append-only."""

    decision_id: str
    attempt: int
    model: str
    at: float
    status: str
    """``ok``, or what failed: ``timeout``, ``rate_limited``, ``http_500``, ..."""
    latency_ms: float
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


POOL_ACTIONS: tuple[str, ...] = ("add", "remove", "disable", "enable")


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolChange:
    """An arm that joined or left the pool, was disabled or enabled. Part of the log, so that a replay sees the pool
    that the service saw.

    Raises:
        BadInput: on an unknown action.
    """

    action: Literal["add", "remove", "disable", "enable"]
    """``disable`` leaves the arm, and plans that call its model, out of decisions until ``enable`` or ``remove``."""
    arm: Arm
    at: float = 0.0
    by: str = ""
    """Who asked for it; "" for the program itself."""

    def __post_init__(self) -> None:
        if self.action not in POOL_ACTIONS:
            raise BadInput(f"PoolChange.action must be one of {', '.join(POOL_ACTIONS)}, got {self.action!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeDraw:
    """Whether a judge was to look at a decision, and the exact probability with which it was drawn.

    Logged for the decisions that were passed over too, so that what judges never saw is censored by a known mechanism.
    """

    decision_id: str
    judge: str
    probability: float
    drawn: bool
    at: float = 0.0

    def __post_init__(self) -> None:
        check_number("JudgeDraw", "probability", self.probability, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceChange:
    """What the word of a source of signals is worth from ``at`` on, until its next change.

    A quality that it reports is read as ``slope * quality + offset`` with a standard deviation of ``noise`` (``None``:
    as its kind declares). Where ``training`` is False its signals are kept, but say nothing. Part of the log, so that
    replay and SQL see what the service saw.
    """

    source: str
    offset: float = 0.0
    slope: float = 1.0
    noise: float | None = None
    weight: float = 1.0
    training: bool = True
    reason: str = ""
    at: float = 0.0

    def __post_init__(self) -> None:
        check_name("SourceChange", self.source)
        for name, low in (("offset", -math.inf), ("slope", -math.inf), ("noise", 0.0), ("weight", 0.0)):
            check_number("SourceChange", name, getattr(self, name), low)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much may be spent, on whose requests and on which.

    A budget per request is a mean: what one request saves, another may spend. A budget per day is for one UTC day.

    Raises:
        BadInput: on an amount that is not a number, is negative, or is zero per request; a hard stop without a day.
    """

    usd: float
    per: Literal["request", "day"] = "day"
    tenant: str | None = None
    """Whose requests; ``None``: everybody's together; ``"*"``: each tenant's has a budget of this size of its own."""
    task: str | None = None
    """Which task type; ``None``: all together."""
    hard_stop: bool = False
    """Per day only: refuse what no arm can answer within what is left, instead of serving it by the cheapest arm."""
    name: str = ""
    """How it is called in reports and errors; by default what it is: ``day``, ``day, tenant acme``, ..."""

    def __post_init__(self) -> None:
        kind: object = self.per
        if kind not in ("request", "day"):
            raise BadInput(f"Budget.per must be 'request' or 'day', got {kind!r}")
        for name in ("tenant", "task"):
            scope: object = getattr(self, name)
            if scope is not None and (not isinstance(scope, str) or not scope):
                raise BadInput(f"Budget.{name} must be a non-empty string or None, got {scope!r}")
        if self.usd is None:
            raise BadInput("Budget.usd must be a number, got None")
        check_number("Budget", "usd", self.usd)
        if self.per == "request" and not self.usd > 0:
            raise BadInput(
                f"Budget.usd must be above 0 per request, got {self.usd!r}: no arm is free; to stop spending, "
                "give a budget of 0 per day with hard_stop"
            )
        if self.hard_stop and self.per != "day":
            raise BadInput("Budget.hard_stop needs a budget per day: a mean per request is never used up")
        label: object = self.name
        if not isinstance(label, str):
            raise BadInput(f"Budget.name must be a string, got {label!r}")
        if not label:
            parts: list[str] = [self.per]
            parts += ["each tenant" if self.tenant == "*" else f"tenant {self.tenant}"] if self.tenant else []
            parts += [f"task {self.task}"] if self.task else []
            object.__setattr__(self, "name", ", ".join(parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetChange:
    """A budget that was set (a new one, or a new amount for a known name) or removed. Part of the log, for replays."""

    action: Literal["set", "remove"]
    budget: Budget
    at: float = 0.0
    declared: bool = False
    """Whether it comes with the objective, so that it goes with it at a later start, or was asked for by a call."""


STAGES: tuple[str, ...] = ("apprentice", "shadow", "canary", "full", "stop")
"""Of a rollout; see :mod:`armwise.rollout`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutChange:
    """What part of the traffic a candidate policy has from now on. Part of the log, so that a replay swaps as it did.

    Raises:
        BadInput: on an unknown stage, or a share that does not go with it.
    """

    stage: str
    version: str
    """Of the candidate, in the registry; ``initial`` is the policy of the configuration."""
    share: float = 0.0
    """Of each draw; over 0 and below 1 for a canary, less than 1 for an apprentice, else 0."""
    tolerance: float = 0.0
    """Utility by which the candidate may be worse before it is taken off."""
    level: float = 0.95
    """Confidence of the sequential test that takes it off."""
    rule: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Of an apprentice: task -> arm of the present rule; ``""`` is for every other task."""
    sequence: int = 0
    """Number in the registry's history; 0 for none."""
    by: str = ""
    reason: str = ""
    at: float = 0.0

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise BadInput(f"RolloutChange.stage must be one of {', '.join(STAGES)}, got {self.stage!r}")
        check_name("RolloutChange", self.version)
        check_number("RolloutChange", "share", self.share, 0.0, 1.0)
        check_number("RolloutChange", "tolerance", self.tolerance, 0.0, 1.0)
        check_number("RolloutChange", "level", self.level, 0.5, 1.0)
        fits = {"canary": 0.0 < self.share < 1.0, "apprentice": self.share < 1.0}.get(self.stage, self.share == 0.0)
        if not fits:
            raise BadInput(f"a share of {self.share:g} does not go with the stage {self.stage!r}")
        if (self.stage == "apprentice") != bool(self.rule):
            raise BadInput("RolloutChange.rule names the arms that an apprentice imitates, and only those")
        object.__setattr__(self, "rule", dict(self.rule))


Event: TypeAlias = Decision | Signal | Attempt | PoolChange | JudgeDraw | SourceChange | BudgetChange | RolloutChange
"""All that may change what is learned. The learner's state is the fold of these, in the order of the log."""
