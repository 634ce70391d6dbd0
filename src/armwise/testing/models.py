"""Simulated models: how well, how fast, how dearly and how unreliably each one answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, fields, replace
from typing import Any

from armwise.contracts import Model
from armwise.errors import BadInput, unknown
from armwise.testing.tasks import KINDS

FAULTS: tuple[str, ...] = (
    "server_error",
    "rate_limit",
    "stall",
    "reset",
    "cut",
    "garbage",
    "wrong_usage",
    "missing_usage",
    "refusal",
    "empty",
    "odd_chunks",
    "bad_request",
    "error_in_stream",
)
"""What can go wrong with one call:

- ``server_error``: HTTP ``server_status``;  ``rate_limit``: HTTP 429 with Retry-After;  ``bad_request``: HTTP 400
- ``stall``: silence for ``stall_s``, in a stream after the first piece;  ``reset``: a connection reset, unanswered
- ``cut``: the connection ends in the middle of the body;  ``garbage``: a body that is not JSON
- ``wrong_usage``: usage a thousand times too high;  ``missing_usage``: none at all
- ``refusal``: a well-formed refusal;  ``empty``: a well-formed answer with no text
- ``odd_chunks``: correct bytes, cut at odd places, with comments and blank events between
- ``error_in_stream``: HTTP 200, then an error object (a plain ``server_error`` where nothing is streamed)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failures:
    """Rate of each of :data:`FAULTS`, in [0, 1], at most 1 together: at most one of them strikes a call."""

    server_error: float = 0.0
    rate_limit: float = 0.0
    stall: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    garbage: float = 0.0
    wrong_usage: float = 0.0
    missing_usage: float = 0.0
    refusal: float = 0.0
    empty: float = 0.0
    odd_chunks: float = 0.0
    bad_request: float = 0.0
    error_in_stream: float = 0.0
    retry_after_s: float = 1.0
    stall_s: float = 30.0
    server_status: int = 500

    def __post_init__(self) -> None:
        for name in (*FAULTS, "retry_after_s", "stall_s"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise BadInput(f"Failures.{name} must be finite and at least 0, got {value!r}")
        if sum(self.rates.values()) > 1 + 1e-9:
            raise BadInput(f"the rates of Failures must add up to at most 1, got {sum(self.rates.values()):g}")

    @property
    def rates(self) -> dict[str, float]:
        """Fault -> rate."""
        return {name: getattr(self, name) for name in FAULTS}

    @classmethod
    def every(cls, rate: float, **kwargs: Any) -> Failures:
        """All kinds of fault, equally often, at ``rate`` together."""
        rates: dict[str, Any] = {name: rate / len(FAULTS) for name in FAULTS}
        return cls(**rates, **kwargs)

    def struck(self, u: float) -> str | None:
        """The fault for a uniform draw ``u`` from [0, 1), or None."""
        for name, rate in self.rates.items():
            if u < rate:
                return name
            u -= rate
        return None


def check_fault(name: str) -> None:
    """Raise BadInput unless ``name`` is one of :data:`FAULTS` or ``ok``."""
    if name != "ok" and name not in FAULTS:
        raise BadInput(unknown("fault", name, (*FAULTS, "ok")))


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """One model of the simulator.

    A task of difficulty d is answered right with probability 1 / (1 + exp(-8 (skill - d))), and by luck where guessing
    can succeed. Time to the first token is lognormal about ``latency_ms``; each token then takes ``ms_per_token``.
    """

    name: str
    _: KW_ONLY
    skill: float | Mapping[str, float] = 0.7
    """One number, or one per kind of task (and ``judging``) with a ``default`` for the rest. Mostly in [0, 1]; 3 is
    always right."""
    input_usd_per_mtok: float = 0.1
    output_usd_per_mtok: float = 0.4
    latency_ms: float = 5.0
    latency_sigma: float = 0.3
    ms_per_token: float = 0.0
    verbosity: float = 1.0
    """How much it talks before it answers; 1 is about thirty tokens, 0 is the bare answer."""
    context_window: int = 128_000
    calibration: float = 0.8
    """How much its log-probabilities know of its being right: 1 everything, 0 nothing."""
    caching: bool = False
    """Whether it reports the earlier turns of a conversation it answered itself as cached input."""
    failures: Failures = field(default_factory=Failures)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise BadInput(f"SimulatedModel.name must be a non-empty string, got {self.name!r}")
        if isinstance(self.skill, Mapping):
            for kind in self.skill:
                if kind not in KINDS and kind not in ("default", "judging"):
                    raise BadInput(unknown("kind of task", kind, (*KINDS, "default", "judging")))

    def skill_at(self, kind: str) -> float:
        """Skill for one kind of task."""
        if isinstance(self.skill, Mapping):
            return float(self.skill.get(kind, self.skill.get("default", 0.5)))
        return float(self.skill)

    def chance_of(self, kind: str, difficulty: float) -> float:
        """Probability of a right answer: the true quality, against which a router can be measured."""
        known = 1.0 / (1.0 + math.exp(-8.0 * (self.skill_at(kind) - difficulty)))
        luck = KINDS[kind].chance
        return luck + (1.0 - luck) * known

    def model(self, base_url: str, **changes: Any) -> Model:
        """The record by which a router reaches this model at a simulator."""
        record = Model(
            self.name,
            input_usd_per_mtok=self.input_usd_per_mtok,
            output_usd_per_mtok=self.output_usd_per_mtok,
            context_window=self.context_window,
            latency_ms=self.latency_ms,
            modalities=frozenset({"text", "image"}),
            base_url=base_url,
        )
        return replace(record, **changes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SimulatedModel:
        known = {item.name for item in fields(cls)}
        values: dict[str, Any] = {name: value for name, value in data.items() if name in known}
        return cls(**values | {"failures": Failures(**data.get("failures", {}))})


DEFAULT_MODELS: tuple[SimulatedModel, ...] = (
    SimulatedModel("sim-small", skill=0.35, input_usd_per_mtok=0.1, output_usd_per_mtok=0.4, latency_ms=8),
    SimulatedModel(
        "sim-medium",
        skill={"default": 0.6, "code": 0.9, "arithmetic": 0.85, "facts": 0.3},
        input_usd_per_mtok=0.6,
        output_usd_per_mtok=2.4,
        latency_ms=14,
    ),
    SimulatedModel(
        "sim-large", skill=0.95, input_usd_per_mtok=3.0, output_usd_per_mtok=15.0, latency_ms=30, verbosity=1.5
    ),
)
"""A small pool with a price ladder and a specialist in the middle of it."""
