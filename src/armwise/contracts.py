"""The records and protocols that every floor speaks in.

Records are frozen, keyword-only (bar a leading name) and checked at birth, so that what passes a border is known to be
well-formed. Units are in the names. Nothing here does I/O, reads a clock or draws a random number.

The life of a request::

    Request --Encoder--> Context --Decider--> Decision --...--> Signal, Signal, ... --resolve--> Outcome
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from armwise.errors import BadInput

Vector: TypeAlias = NDArray[np.float64]
"""One-dimensional float64 array."""

Slots: TypeAlias = NDArray[np.intp]
"""Positions of arms in the arrays of a policy; an arm keeps its slot for life."""

State: TypeAlias = dict[str, Any]
"""What a learner remembers: a tree of dicts and lists whose leaves are JSON scalars or numpy arrays. Never pickled."""


_LARGEST = sys.float_info.max


def _check_number(owner: str, name: str, value: float | None, low: float = 0.0, high: float = math.inf) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise BadInput(f"{owner}.{name} must be a number, got {type(value).__name__} {value!r}")
    size = abs(value) if isinstance(value, int) else abs(float(value))
    if not size <= _LARGEST or not low <= value <= high:
        if high < math.inf:
            allowed = f" and between {low:g} and {high:g}"
        else:
            allowed = f" and at least {low:g}" if low > -math.inf else ""
        raise BadInput(f"{owner}.{name} must be finite{allowed}, got {value!r:.80}")


def _check_name(owner: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{owner}.name must be a non-empty string, got {value!r}")


# ---------------------------------------------------------------------------------------------- what there is to choose


@dataclass(frozen=True, slots=True)
class Model:
    """One upstream model: its price, its limits, and where it may be used.

    Prices are list prices in USD per million tokens; where they are ``None`` the router looks the name up in the price
    list of ``genai-prices`` and refuses a model that it cannot price.

    Raises:
        BadInput: on an empty name, or a number that is negative or not finite.
    """

    name: str
    _: KW_ONLY
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    context_window: int | None = None
    """Tokens of input and output together; ``None`` means no limit is known."""
    max_output_tokens: int | None = None
    modalities: frozenset[str] = frozenset({"text"})
    tools: bool = True
    residency: str | None = None
    """Region where the model runs. Requests that restrict residency never reach a model that does not say."""
    clearance: str = "public"
    """Highest sensitivity that may be sent to it, a level of :data:`SENSITIVITIES`."""
    latency_ms: float | None = None
    """Expected latency before anything is measured."""
    family: str | None = None
    quality_prior: float | None = None
    """Expected mean quality before anything is measured, in [0, 1]."""
    profile: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Benchmark -> published score in [0, 1]. Models of like profiles share what is learned of them."""
    provider: str = "openai"
    """Wire format: ``openai``, ``anthropic`` or ``gemini``."""
    upstream: str | None = None
    """The provider's own name of the model; ``name`` where ``None``."""
    base_url: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable that holds the key. The key itself is never part of a record."""

    def __post_init__(self) -> None:
        _check_name("Model", self.name)
        owner = f"Model({self.name!r})"
        for name in ("input_usd_per_mtok", "output_usd_per_mtok", "context_window", "max_output_tokens", "latency_ms"):
            _check_number(owner, name, getattr(self, name))
        _check_number(owner, "quality_prior", self.quality_prior, 0.0, 1.0)
        profile: object = self.profile
        if not isinstance(profile, Mapping):
            raise BadInput(
                f"{owner}.profile must map benchmarks to scores, got {type(profile).__name__} {profile!r:.80}"
            )
        for benchmark, score in self.profile.items():
            _check_name(f"{owner}.profile", benchmark)
            _check_number(owner, f"profile[{benchmark!r}]", score, 0.0, 1.0)
        object.__setattr__(self, "profile", dict(self.profile))
        modalities: object = self.modalities
        if isinstance(modalities, str):
            raise BadInput(f"{owner}.modalities must be a collection of names, got the string {modalities!r}")
        object.__setattr__(self, "modalities", frozenset(self.modalities))
        check_sensitivity(f"{owner}.clearance", self.clearance)


SENSITIVITIES: tuple[str, ...] = ("public", "internal", "confidential", "restricted")
"""Levels of sensitivity, lowest first. A model is eligible if its clearance is at least the request's sensitivity."""


def check_sensitivity(owner: str, value: object) -> None:
    """Raise BadInput unless ``value`` is a level of :data:`SENSITIVITIES`."""
    if value not in SENSITIVITIES:
        raise BadInput(f"{owner} must be one of {', '.join(SENSITIVITIES)}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer: a model, or a plan over several (a cascade, an ensemble).

    An arm is eligible only where every model it may call is, so a plan can never leave the action set.
    """

    name: str
    _: KW_ONLY
    models: tuple[Model, ...]
    plan: str = "single"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name("Arm", self.name)
        object.__setattr__(self, "models", tuple(self.models))
        if not self.models or not all(isinstance(model, Model) for model in self.models):
            raise BadInput(f"Arm({self.name!r}).models must be at least one Model, got {self.models!r:.80}")

    @classmethod
    def of(cls, model: Model) -> Arm:
        """The plain arm: call this model once."""
        return cls(model.name, models=(model,))


def arm_as_dict(arm: Arm) -> dict[str, Any]:
    """An arm as plain JSON, for logs and snapshots."""
    record = asdict(arm)
    for model in record["models"]:
        model["modalities"] = sorted(model["modalities"])
    return {**record, "models": list(record["models"]), "options": dict(arm.options)}


def arm_from_dict(record: Mapping[str, Any]) -> Arm:
    """What :func:`arm_as_dict` wrote; keys that a newer version added are an error.

    Raises:
        BadInput: if the record is not an arm's.
    """
    try:
        models = tuple(Model(**{**model, "modalities": frozenset(model["modalities"])}) for model in record["models"])
        return Arm(record["name"], models=models, plan=record["plan"], options=record["options"])
    except (KeyError, TypeError) as error:
        raise BadInput(f"not the record of an arm: {error}") from error


# ---------------------------------------------------------------------------------------------- what is asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the application asks, and what it requires of the answer.

    Messages are OpenAI chat messages. ``vector`` skips the encoder: a ready context of finite float64 values whose
    length is the router's. ``features`` are the caller's own, numeric or categorical. The trade of one request
    (``cost_weight``, ``latency_weight``) overrides the router's objective, and nothing is relearned for it;
    ``max_cost_usd`` and ``max_latency_ms`` are hard limits on the *predicted* cost and latency.

    Raises:
        BadInput: on values of the wrong type or range.
    """

    messages: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    response_format: Mapping[str, Any] | None = None
    max_output_tokens: int | None = None
    task: str | None = None
    features: Mapping[str, float | str | bool] = field(default_factory=dict)
    vector: Vector | None = None
    input_tokens: int | None = None
    tenant: str | None = None
    session: str | None = None
    cost_weight: float | None = None
    latency_weight: float | None = None
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    residency: frozenset[str] | None = None
    """Regions that the request may be sent to; ``None`` is anywhere."""
    sensitivity: str = "public"
    screened: bool = False
    """Whether ``sensitivity`` is settled: a router that searches requests for personal data leaves this one alone."""
    modalities: frozenset[str] = frozenset({"text"})
    """Modalities needed beyond what the messages show."""
    arms: frozenset[str] | None = None
    """Arms the caller allows; ``None`` is all of them."""
    narrowed_by: tuple[str, ...] = ()
    """The rules and routes that took part in ``arms``, for the reasons given."""
    route: str | None = None
    """The model asked for: a route (``armwise/code``), or the name of an arm; ``None`` is ``armwise/auto``."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("messages", "tools"):
            value = getattr(self, name)
            if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
                raise BadInput(f"Request.{name} must be a list of objects, got {type(value).__name__}")
            for i, item in enumerate(value):
                if not isinstance(item, Mapping):
                    raise BadInput(f"Request.{name}[{i}] must be an object, got {type(item).__name__} {item!r:.80}")
        for name in (
            "max_output_tokens",
            "input_tokens",
            "cost_weight",
            "latency_weight",
            "max_cost_usd",
            "max_latency_ms",
        ):
            if getattr(self, name) is not None:
                _check_number("Request", name, getattr(self, name))
        check_sensitivity("Request.sensitivity", self.sensitivity)
        for name in ("residency", "arms", "modalities"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise BadInput(f"Request.{name} must be a collection of names, got the string {value!r}")
            if value is not None and not isinstance(value, frozenset):
                object.__setattr__(self, name, frozenset(value))
        if self.features:
            for key, feature in self.features.items():
                if not isinstance(feature, (str, bool)):
                    _check_number("Request", f"features[{key!r}]", feature, -math.inf)

    @classmethod
    def from_text(cls, text: str, **kwargs: Any) -> Request:
        """A request of one user message.

        Raises:
            BadInput: if ``text`` is not a string.
        """
        if not isinstance(text, str):
            raise BadInput(f"Request.from_text needs a string, got {type(text).__name__}")
        return cls(messages=({"role": "user", "content": text},), **kwargs)


class Context(NamedTuple):
    """The features of a request: what an encoder makes of it, and all that a policy sees.

    ``vector`` has shape (dimension,), finite, and is exactly representable in float32, so that the log can keep it
    in half the space and still replay it bit for bit.
    """

    vector: Vector
    task: str
    input_tokens: int
    tools: bool = False
    modalities: frozenset[str] = frozenset({"text"})


# ---------------------------------------------------------------------------------------------- what was chosen


class Predictions(NamedTuple):
    """Per arm of the action set, in its order: shape (arms,) each."""

    quality: Vector
    cost_usd: Vector
    latency_ms: Vector


class Trade(NamedTuple):
    """The exchange rates in force: utility = quality - cost_weight * cost / ref - latency_weight * latency / ref."""

    cost_weight: float = 0.0
    latency_weight: float = 0.0
    cost_ref_usd: float = 1e-3
    latency_ref_ms: float = 1e3


class Choice(NamedTuple):
    """What a policy answers: the probability of each arm of the action set, and the quality it predicted.

    ``method`` says how the probabilities were had: ``exact``, ``quadrature:N`` or ``draws:N``. In each case they are
    the very probabilities that the arm is then drawn from.
    """

    probabilities: Vector
    quality: Vector
    method: str = "exact"


class Beside(NamedTuple):
    """The candidate policy that stands beside the serving one while it is being rolled out."""

    version: str
    share: float
    """Of the draw that it has; 0 where it only watches."""
    probability_of: Vector
    """What it would have drawn from, in the order of the action set; shape (arms,)."""


class Decision(NamedTuple):
    """One routing choice, with all that is needed to replay it bit for bit and to learn from it.

    ``arms`` is the action set; ``probability_of``, ``predictions`` follow its order. ``seed`` is the 64-bit seed of
    this decision's own random draw. Where ``method`` is ``session`` nothing was drawn: see :mod:`armwise.sessions`.
    """

    id: str
    at: float
    """Unix time, seconds."""
    arm: str
    propensity: float
    arms: tuple[str, ...]
    probability_of: Vector
    excluded: Mapping[str, str]
    """Arm -> the constraint that excluded it."""
    predictions: Predictions
    trade: Trade
    context: Context
    method: str
    seed: int
    policy_version: str
    feature_version: str
    tenant: str | None = None
    session: str | None = None
    head: str | None = None
    """Where the arm is that of a session: the decision that drew it, to which the quality is credited."""
    switched: str | None = None
    """Why the session left its former arm, where it did."""
    beside: Beside | None = None
    """The candidate that is being tried; ``probability_of`` is the mixture that the arm was drawn from."""

    @property
    def probabilities(self) -> dict[str, float]:
        """Arm -> the probability with which it would have been drawn; sums to one over the action set."""
        return dict(zip(self.arms, self.probability_of.tolist(), strict=True))

    @property
    def utilities(self) -> dict[str, float]:
        """Arm -> predicted utility under the trade in force."""
        return dict(zip(self.arms, utility(self.predictions, self.trade).tolist(), strict=True))

    def explain(self) -> str:
        """The decision in words: one line per arm, best predicted utility first, then what was excluded and why."""
        rows = zip(
            self.arms, self.probability_of, *self.predictions, utility(self.predictions, self.trade), strict=True
        )
        width = max(map(len, (*self.arms, *self.excluded, "arm")))
        lines = [
            f"{self.arm} was drawn with probability {self.propensity:.4g} ({self.method})",
            f"  {'arm':<{width}}  {'prob.':>7}  {'quality':>7}  {'cost USD':>10}  {'latency ms':>10}  {'utility':>8}",
        ]
        for arm, p, q, c, ms, u in sorted(rows, key=lambda row: -row[-1]):
            mark = "*" if arm == self.arm else " "
            lines.append(f"{mark} {arm:<{width}}  {p:7.4f}  {q:7.3f}  {c:10.3g}  {ms:10.0f}  {u:8.3f}")
        lines += [f"  {arm:<{width}}  excluded: {reason}" for arm, reason in self.excluded.items()]
        if self.head is not None:
            lines.append(f"  the session keeps the arm that decision {self.head} drew")
        if self.switched is not None:
            lines.append(f"  the session left its former arm: {self.switched}")
        if self.beside is not None:
            own = float(self.beside.probability_of[self.arms.index(self.arm)])
            lines.append(
                f"  candidate {self.beside.version} has {self.beside.share:.4g} of the draw, and would have drawn "
                f"{self.arm} with probability {own:.4g}"
            )
        trade = self.trade
        lines.append(
            f"  task {self.context.task}, {self.context.input_tokens} input tokens, "
            f"cost weight {trade.cost_weight:.4g} per {trade.cost_ref_usd:.3g} USD, "
            f"latency weight {trade.latency_weight:.4g} per {trade.latency_ref_ms:.0f} ms, "
            f"policy {self.policy_version}, features {self.feature_version}"
        )
        return "\n".join(lines)


def utility(predictions: Predictions, trade: Trade) -> Vector:
    """Quality minus the penalties of cost and latency; shape (arms,)."""
    return predictions.quality - penalty(predictions.cost_usd, predictions.latency_ms, trade)


def penalty(cost_usd: Vector, latency_ms: Vector, trade: Trade) -> Vector:
    """What cost and latency take off the quality; shape (arms,)."""
    value = cost_usd * (trade.cost_weight / trade.cost_ref_usd)
    if trade.latency_weight:
        value = value + latency_ms * (trade.latency_weight / trade.latency_ref_ms)
    return value


# ---------------------------------------------------------------------------------------------- what came back


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
        _check_number("Signal", "value", self.value, -math.inf)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolChange:
    """An arm that joined or left the pool. Part of the log, so that a replay sees the pool that the service saw."""

    action: Literal["add", "remove"]
    arm: Arm
    at: float = 0.0


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
        _check_number("JudgeDraw", "probability", self.probability, 0.0, 1.0)


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
        _check_name("SourceChange", self.source)
        for name, low in (("offset", -math.inf), ("slope", -math.inf), ("noise", 0.0), ("weight", 0.0)):
            _check_number("SourceChange", name, getattr(self, name), low)


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
        _check_number("Budget", "usd", self.usd)
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
        _check_name("RolloutChange", self.version)
        _check_number("RolloutChange", "share", self.share, 0.0, 1.0)
        _check_number("RolloutChange", "tolerance", self.tolerance, 0.0, 1.0)
        _check_number("RolloutChange", "level", self.level, 0.5, 1.0)
        fits = {"canary": 0.0 < self.share < 1.0, "apprentice": self.share < 1.0}.get(self.stage, self.share == 0.0)
        if not fits:
            raise BadInput(f"a share of {self.share:g} does not go with the stage {self.stage!r}")
        if (self.stage == "apprentice") != bool(self.rule):
            raise BadInput("RolloutChange.rule names the arms that an apprentice imitates, and only those")
        object.__setattr__(self, "rule", dict(self.rule))


Event: TypeAlias = Decision | Signal | Attempt | PoolChange | JudgeDraw | SourceChange | BudgetChange | RolloutChange
"""All that may change what is learned. The learner's state is the fold of these, in the order of the log."""


# ---------------------------------------------------------------------------------------------- protocols


@runtime_checkable
class Encoder(Protocol):
    """Request -> Context. Pure: the same request always gives the same vector."""

    @property
    def version(self) -> str:
        """Names everything that decides what the numbers mean; a changed encoder has another version."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """One name per dimension."""
        ...

    def encode(self, request: Request) -> Context: ...


class Experience(NamedTuple):
    """A policy's lesson: the context it saw, the arm that was drawn and how, and the quality that came back."""

    vector: Vector
    slot: int
    quality: float
    propensity: float = 1.0
    penalty: float = 0.0
    """What the arm's predicted cost and latency took off its quality at the time; utility = quality - penalty."""
    weight: float = 1.0
    """What the lesson counts, from 0 to 1; 0 takes the one it replaces back and puts nothing in its place."""
    replaces: float | None = None
    """The quality learned earlier for the same decision, where this lesson is its correction."""
    replaced_weight: float = 1.0
    """The weight that ``replaces`` was learned with."""
    actions: tuple[int, ...] | None = None
    """Slots of the action set that the arm was drawn from, where known; else it was drawn from all arms."""


class Knowledge(IntEnum):
    """What a quality engine can tell of every arm, and what a policy needs to be told. Each includes those before."""

    MEAN = 1
    POSTERIOR = 2


class Policy(Protocol):
    """Context and action set -> probabilities; learns quality from experience. Deterministic given its inputs."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """Name and parameters: enough to build it anew."""
        ...

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        """Probabilities over ``slots`` (shape (arms,)), given what each arm's cost and latency take off its utility.

        Changes nothing. ``slots`` is never empty: a request that no arm may answer is refused before. ``seed`` feeds
        those policies that estimate their probabilities by drawing.
        """
        ...

    def learn(self, experience: Experience) -> None:
        """Take in one lesson."""
        ...

    def add_arm(self, arm: Arm) -> int:
        """Make room for an arm; returns its slot, the next whole number from 0."""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class QualityModel(Protocol):
    """A regression engine: predicts the quality of every arm and learns online from single lessons."""

    @property
    def knowledge(self) -> Knowledge:
        """What it can tell."""
        ...

    @property
    def dimension(self) -> int:
        """Length of the context vectors."""
        ...

    @property
    def spec(self) -> Mapping[str, Any]:
        """Engine and parameters: two models of one spec that learned the same lessons are in the same state."""
        ...

    @property
    def lessons(self) -> int:
        """How many lessons it has taken in."""
        ...

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        """Mean quality of the arms, in [0, 1]; shape (arms,)."""
        ...

    def learn(self, experience: Experience) -> None: ...

    def add_arm(self, arm: Arm) -> int: ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Posterior(NamedTuple):
    """A normal belief about the score of each arm; quality = sigmoid(score) for a logit link, else the score itself."""

    mean: Vector
    deviation: Vector
    logit: bool


class BayesianModel(QualityModel, Protocol):
    """A regression engine that knows how sure it is."""

    def posterior(self, vector: Vector, slots: Slots) -> Posterior: ...


class Log(Protocol):
    """The source of truth: an append-only sequence of events. Positions start at 1 and never repeat."""

    @property
    def position(self) -> int:
        """Position of the last event appended, durable or not; 0 for an empty log."""
        ...

    def append(self, event: Event) -> int:
        """Queue an event and return its position. Does no I/O; never blocks on the disk."""
        ...

    def flush(self, timeout: float | None = None) -> None:
        """Return when every event appended so far is durable.

        Raises:
            LogError: if it cannot be made so; the events stay queued.
        """
        ...

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Events with their positions, in order, from the first behind ``after``. Flushes first."""
        ...

    def decision(self, decision_id: str) -> Decision | None: ...

    def signals(self, decision_id: str, *, before: int | None = None) -> list[Signal]:
        """Signals of one decision in the order of the log, duplicates left out; ``before`` that position, if given."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Prunable(Protocol):
    """A log that can drop its oldest decisions."""

    def boundary(self, before: float) -> int:
        """Position up to which every decision is older than ``before`` (Unix time, seconds)."""
        ...

    def hide(self, until: int) -> None:
        """Answer no more look-ups of decisions up to a position."""
        ...

    def prune(self, until: int) -> int:
        """Delete decisions up to a position, and what belongs to them; returns how many decisions went."""
        ...


def record_fields(kind: type) -> tuple[str, ...]:
    """Field names of a dataclass record, in order."""
    return tuple(item.name for item in fields(kind))
