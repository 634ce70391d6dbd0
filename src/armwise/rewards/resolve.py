"""Many signals, one outcome: the declared rule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from armwise.contracts import RETRACTION, Outcome, Signal
from armwise.rewards.kinds import QUALITY_VARIANCE, RULES, RewardRules
from armwise.rewards.sources import Standing


class Opinion(NamedTuple):
    """What one source says of the quality, as the rules read it."""

    source: str
    quality: float
    variance: float
    weight: float
    reported: float
    """The quality before its source's standing is applied."""
    declared: float
    """The variance that its kind declares."""


class Reading(NamedTuple):
    """A decision's signals as the rules read them."""

    outcome: Outcome
    opinions: list[Opinion]


def resolve(signals: Iterable[Signal], rules: RewardRules = RULES, standing: Standing | None = None) -> Outcome:
    """What a decision's signals, in the order of the log, say of it.

    1. What its source took back is as though it had never been said.
    2. Measures (``cost_usd``, ``latency_ms``, ``output_tokens``, ``unavailable``): the latest holds, for a bill may be
       revised. ``judge_cost_usd`` adds up.
    3. Quality: of one source's answers to one question the latest holds. A report is read as its source's standing at
       the time says (:class:`SourceChange`), and one from a source that may not train says nothing. Where a source's
       weight is below 1, that is the reliability of a report that would else be exact.
    4. Reports without noise are taken at their word: their weighted mean is the quality. Where there are none, the
       mean weighted by weight / variance, whose own variance is one over the sum of these; kept within 0 and 1.
    5. Where nobody says anything, ``None``: no feedback is not zero.

    The view ``outcomes`` of a log is the same rule. Duplicates by (decision, source, event id) are to be left out
    before. Reports of different sources are taken to err independently; where they copy each other, the deviation
    given is too small.
    """
    return read(signals, rules, standing).outcome


def read(signals: Iterable[Signal], rules: RewardRules = RULES, standing: Standing | None = None) -> Reading:
    """As :func:`resolve`, with the opinions that the quality was made of."""
    kept = without_retracted(list(signals))
    latest: dict[str, float] = {}
    judging_usd = 0.0
    for signal in kept:
        if signal.kind == "judge_cost_usd":
            judging_usd += signal.value
        else:
            latest[signal.kind] = signal.value
    said = opinions(kept, rules, standing)
    quality, deviation = fuse(said)
    outcome = Outcome(
        quality=quality,
        cost_usd=latest.get("cost_usd"),
        latency_ms=latest.get("latency_ms"),
        output_tokens=latest.get("output_tokens"),
        error=bool(latest.get("error") or latest.get("unavailable")),
        deviation=deviation,
        judging_usd=judging_usd,
    )
    return Reading(outcome, said)


def without_retracted(signals: Sequence[Signal]) -> Sequence[Signal]:
    """The signals that stand; a retraction may come before what it takes back."""
    if not any(signal.kind == RETRACTION for signal in signals):
        return signals
    gone = {(signal.source, signal.retracts) for signal in signals if signal.kind == RETRACTION}
    return [signal for signal in signals if signal.kind != RETRACTION and (signal.source, signal.event_id) not in gone]


def opinions(signals: Iterable[Signal], rules: RewardRules = RULES, standing: Standing | None = None) -> list[Opinion]:
    """What each source says of the quality; of its answers to one question the latest."""
    said: dict[tuple[str, str], Opinion | None] = {}
    for signal in signals:
        kind = rules.kinds.get(signal.kind)
        if kind is None or kind.weight == 0.0:
            continue
        change = standing.at(signal.source, signal.at) if standing else None
        if change is not None and not change.training:
            continue
        answers = signal.source, kind.question or signal.kind
        quality = kind.quality(signal.value)
        if quality is None:
            said[answers] = None
        elif change is None:
            said[answers] = Opinion(signal.source, quality, kind.variance, kind.weight, quality, kind.variance)
        else:
            variance = kind.variance if change.noise is None else change.noise * change.noise
            if variance == 0.0 and 0.0 < change.weight < 1.0:
                variance = QUALITY_VARIANCE * (1.0 - change.weight) / change.weight
            said[answers] = Opinion(
                signal.source,
                change.slope * quality + change.offset,
                variance,
                kind.weight * change.weight,
                quality,
                kind.variance,
            )
    return [opinion for opinion in said.values() if opinion is not None and opinion.weight > 0.0]


def fuse(opinions: Sequence[Opinion]) -> tuple[float | None, float]:
    """One quality, within 0 and 1, and its standard deviation; None where nobody says anything."""
    if not opinions:
        return None, 0.0
    exact = [opinion for opinion in opinions if opinion.variance == 0.0]
    weights = [opinion.weight / (opinion.variance or 1.0) for opinion in exact or opinions]
    total = math.fsum(weights)
    if len(weights) == 1:
        quality = (exact or opinions)[0].quality
    else:
        quality = math.fsum(w * one.quality for w, one in zip(weights, exact or opinions, strict=True)) / total
    return min(max(quality, 0.0), 1.0), 0.0 if exact else math.sqrt(1.0 / total)


def lesson_weight(outcome: Outcome) -> float:
    """What an outcome counts as a lesson: its reliability, 1 where it is exact and 0 where there is none.

    Quality varies by :data:`QUALITY_VARIANCE` around its prediction however well it is known; noise adds to that, and
    the weight of least squares is the inverse of the sum.
    """
    if outcome.quality is None:
        return 0.0
    return QUALITY_VARIANCE / (QUALITY_VARIANCE + outcome.deviation * outcome.deviation)
