"""The kinds of signal, and what each says about quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from armwise.contracts import RETRACTION, Signal
from armwise.errors import BadInput, unknown

QUALITY_VARIANCE = 0.2
"""Variance of quality from answer to answer: what the noise of a report is held against (0.21 for 70% right)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalKind:
    """What one kind of signal says about quality.

    A value between 0 and 1 is read on the line from ``at_zero`` to ``at_one``. Where one end is None that half of the
    values says nothing: a valid format is no sign of a good answer, an invalid one is a sign of a bad one.

    Raises:
        BadInput: on numbers out of range, or two ends that say nothing.
    """

    at_zero: float | None = None
    at_one: float | None = None
    reliability: float = 1.0
    """Share of what its reports differ by that is quality and not error, as in the theory of tests: above 0, and 1
    where a report is taken at its word. It is also the weight of a lesson that rests on one such report alone."""
    weight: float = 1.0
    """Multiplies what it counts beside other reports; 0 leaves it out."""
    question: str = ""
    """What it answers, by default its own name. Of one source's answers to one question the latest holds."""

    def __post_init__(self) -> None:
        ends = [end for end in (self.at_zero, self.at_one) if end is not None]
        if not ends or not all(0.0 <= end <= 1.0 for end in ends):
            raise BadInput(
                f"a kind of signal needs at_zero or at_one, qualities within 0 and 1; got {self.at_zero}, {self.at_one}"
            )
        if not 0.0 < self.reliability <= 1.0:
            raise BadInput(f"reliability must be above 0 and at most 1, got {self.reliability!r}")
        if not 0.0 <= self.weight < float("inf"):
            raise BadInput(f"weight must be finite and at least 0, got {self.weight!r}")

    @property
    def variance(self) -> float:
        """Variance of the error of one report."""
        return QUALITY_VARIANCE * (1.0 - self.reliability) / self.reliability

    def quality(self, value: float) -> float | None:
        """The quality that a value speaks for, or None where it says nothing."""
        if self.at_zero is None:
            return self.at_one if value >= 0.5 else None
        if self.at_one is None:
            return self.at_zero if value < 0.5 else None
        return self.at_zero + (self.at_one - self.at_zero) * value


def _always(quality: float, reliability: float, question: str = "") -> SignalKind:
    return SignalKind(at_zero=quality, at_one=quality, reliability=reliability, question=question)


KINDS: Mapping[str, SignalKind] = {
    "quality": SignalKind(at_zero=0.0, at_one=1.0),
    "task_success": SignalKind(at_zero=0.0, at_one=1.0, reliability=0.9),
    "judge_score": SignalKind(at_zero=0.0, at_one=1.0, reliability=0.6),
    "rating": SignalKind(at_zero=0.0, at_one=1.0, reliability=0.4),
    "thumbs_up": _always(1.0, 0.35, "thumbs"),
    "thumbs_down": _always(0.0, 0.35, "thumbs"),
    "copy": _always(0.9, 0.15),
    "edit_distance": SignalKind(at_zero=1.0, at_one=0.0, reliability=0.3),
    "regenerate": _always(0.2, 0.25),
    "abandon": _always(0.3, 0.15),
    "correction": _always(0.2, 0.3),
    "tool_valid": SignalKind(at_zero=0.0, reliability=0.8),
    "format_valid": SignalKind(at_zero=0.0, reliability=0.8),
    "refusal": SignalKind(at_one=0.1, reliability=0.7),
    "error": SignalKind(at_one=0.0, reliability=0.95),
}
"""What each kind says unless the configuration says otherwise."""

MEASURES: Mapping[str, tuple[float, float]] = {
    "cost_usd": (0.0, float("inf")),
    "latency_ms": (0.0, float("inf")),
    "output_tokens": (0.0, float("inf")),
    "judge_cost_usd": (0.0, float("inf")),
    "unavailable": (0.0, 1.0),
}
"""Measured kinds -> lowest and highest value allowed. They say nothing of quality: the trade prices them, and what is
``unavailable`` (no connection, no time, no capacity) is left to circuit breakers."""

NOT_OF_USERS = frozenset({"quality", "judge_score", "error"})
"""Kinds that speak of quality and come from elsewhere than the users."""


@dataclass(frozen=True, kw_only=True)
class RewardRules:
    """How signals become a reward. The log keeps them beside the signals, so that SQL goes by the same rules.

    Raises:
        BadInput: if a kind takes the name of a measure, or the window is not positive.
    """

    kinds: Mapping[str, SignalKind] = field(default_factory=lambda: KINDS)
    final_after_s: float = 7 * 86_400.0
    """A reward is final so long after its decision. Later signals are kept, and learned as corrections."""
    max_client_share: float = 0.1
    """The share of the lessons that one client (a source ``user:NAME``) may make up, where there are many."""
    scale_spread: float = 0.5
    """How far sources are expected to stretch or compress the scale: the standard deviation of the logarithm.
    At 0 every source is taken to use the scale as it is."""
    client_signals_per_minute: float | None = 600.0
    """How many signals one client may send a minute; more are refused. ``None`` is no limit."""

    def __post_init__(self) -> None:
        taken = sorted({*MEASURES, RETRACTION} & set(self.kinds))
        if taken:
            raise BadInput(f"{', '.join(map(repr, taken))} is a measure and cannot speak of quality")
        if not 0.0 < self.max_client_share <= 1.0:
            raise BadInput(f"max_client_share must be above 0 and at most 1, got {self.max_client_share!r}")
        if not 0.0 <= self.scale_spread < float("inf"):
            raise BadInput(f"scale_spread must be finite and at least 0, got {self.scale_spread!r}")
        if self.client_signals_per_minute is not None and not self.client_signals_per_minute > 0:
            raise BadInput(f"client_signals_per_minute must be positive, got {self.client_signals_per_minute!r}")
        if not self.final_after_s > 0:
            raise BadInput(f"final_after_s must be a positive number of seconds, got {self.final_after_s!r}")

    def question(self, kind: str) -> str:
        """What a kind answers."""
        return self.kinds[kind].question or kind

    def is_client(self, source: str) -> bool:
        """Whether a source is one client of many, whose influence is limited: ``user:NAME``, but not ``judge:NAME``."""
        return ":" in source and not source.startswith("judge:")

    def is_final(self, decided_at: float, now: float) -> bool:
        """Whether the reward of a decision is final."""
        return now >= decided_at + self.final_after_s

    def value_of(self, kind: str, value: float | None) -> float:
        """The value of a signal that may have come without one.

        What happens or does not (a thumb, a copy) needs no value; a grade that was left out is not the best one.

        Raises:
            BadInput: if the kind is known and needs a value.
        """
        if value is not None:
            return value
        known = self.kinds.get(kind)
        if kind in MEASURES or (known is not None and known.at_zero != known.at_one):
            raise BadInput(f"value is missing: a signal of kind {kind!r} needs a number")
        return 1.0

    def check(self, signal: Signal) -> None:
        """Refuse a signal of unknown kind or with a value out of range.

        Raises:
            BadInput: saying what came and what is allowed.
        """
        kind = signal.kind
        if kind in MEASURES:
            low, high = MEASURES[kind]
        elif kind in self.kinds or kind == RETRACTION:
            low, high = 0.0, 1.0
        else:
            raise BadInput(unknown("signal kind", kind, [*MEASURES, *self.kinds, RETRACTION]))
        if not low <= signal.value <= high:
            allowed = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
            raise BadInput(f"{kind} must be {allowed}, got {signal.value!r}")


RULES = RewardRules()
"""The rules where nothing else is said."""
