"""From signals to one outcome."""

from __future__ import annotations

import math
from typing import Any

import pytest

from armwise.contracts import Outcome, Signal, SourceChange
from armwise.errors import BadInput
from armwise.rewards import KINDS, QUALITY_VARIANCE, RULES, RewardRules, SignalKind, Standing, lesson_weight, resolve


def signals(*told: tuple[Any, ...]) -> list[Signal]:
    """(kind, value[, source]) one after the other."""
    return [
        Signal(decision_id="d", kind=kind, value=value, source=source[0] if source else "app", event_id=str(i), at=i)
        for i, (kind, value, *source) in enumerate(told)
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {}),
        ([("quality", 0.7)], {"quality": 0.7}),
        ([("quality", 0.7), ("quality", 0.2)], {"quality": 0.2}),
        ([("quality", 0.7, "a"), ("quality", 0.2, "b")], {"quality": 0.45}),
        ([("quality", 0.7), ("thumbs_down", 1.0)], {"quality": 0.7}),
        ([("thumbs_down", 1.0), ("quality", 0.7)], {"quality": 0.7}),
        ([("thumbs_up", 1.0)], {"quality": 1.0}),
        ([("thumbs_up", 1.0), ("thumbs_down", 1.0)], {"quality": 0.0}),
        ([("thumbs_up", 1.0, "a"), ("thumbs_down", 1.0, "b")], {"quality": 0.5}),
        ([("rating", 0.25)], {"quality": 0.25}),
        ([("edit_distance", 0.25)], {"quality": 0.75}),
        ([("format_valid", 1.0)], {}),
        ([("format_valid", 0.0)], {"quality": 0.0}),
        ([("refusal", 0.0)], {}),
        ([("refusal", 1.0)], {"quality": 0.1}),
        ([("cost_usd", 1e-3), ("cost_usd", 2e-3)], {"cost_usd": 2e-3}),
        ([("judge_cost_usd", 1e-3, "a"), ("judge_cost_usd", 2e-3, "b")], {"judging_usd": 3e-3}),
        ([("latency_ms", 10.0), ("output_tokens", 5.0)], {"latency_ms": 10.0, "output_tokens": 5.0}),
        ([("error", 1.0)], {"error": True, "quality": 0.0}),
        ([("error", 1.0), ("quality", 0.6)], {"error": True, "quality": 0.6}),
        ([("error", 1.0), ("error", 0.0)], {"error": False}),
        ([("unavailable", 1.0)], {"error": True, "quality": None}),
        ([("unavailable", 1.0), ("quality", 0.6)], {"error": True, "quality": 0.6}),
        ([("cost_usd", 0.0)], {"cost_usd": 0.0}),
    ],
)
def test_the_declared_rule(given: list[tuple[Any, ...]], expected: dict[str, Any]) -> None:
    outcome = resolve(signals(*given))
    for name in Outcome.__dataclass_fields__:
        if name != "deviation":
            assert getattr(outcome, name) == pytest.approx(expected.get(name, getattr(Outcome(), name))), name


def test_noisy_reports_are_weighted_by_what_they_are_worth() -> None:
    outcome = resolve(signals(("task_success", 1.0), ("copy", 1.0), ("regenerate", 1.0)))
    precisions = [1 / KINDS[kind].variance for kind in ("task_success", "copy", "regenerate")]
    mean = sum(p * q for p, q in zip(precisions, (1.0, 0.9, 0.2), strict=True)) / sum(precisions)
    assert outcome.quality == pytest.approx(mean)
    assert outcome.deviation == pytest.approx(sum(precisions) ** -0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lesson_from_one_report_weighs_its_reliability(kind: str) -> None:
    value = 0.0 if KINDS[kind].at_one is None else 1.0
    outcome = resolve(signals((kind, value)))
    assert outcome.quality is not None
    assert lesson_weight(outcome) == pytest.approx(KINDS[kind].reliability)
    assert lesson_weight(resolve([])) == 0.0


def test_exact_reports_weigh_one_exactly() -> None:
    assert lesson_weight(resolve(signals(("quality", 0.3)))) == 1.0
    assert resolve(signals(("quality", 0.3), ("thumbs_up", 1.0))).deviation == 0.0


def retraction(of: str, source: str = "app", event_id: str = "r") -> Signal:
    return Signal(decision_id="d", kind="retraction", source=source, event_id=event_id, retracts=of)


def test_what_is_retracted_was_never_said_whichever_came_first() -> None:
    first, second = signals(("quality", 0.9), ("quality", 0.1))
    assert resolve([first, retraction("0")]) == Outcome()
    assert resolve([retraction("0"), first]) == Outcome()
    assert resolve([first, second, retraction("1")]).quality == 0.9
    assert resolve([first, retraction("0", source="stranger")]).quality == 0.9


def test_a_report_is_read_as_its_source_stood_at_the_time() -> None:
    standing = Standing(
        [
            SourceChange(source="judge", at=5.0, offset=-0.2, noise=0.1),
            SourceChange(source="judge", at=7.0, training=False),
            SourceChange(source="judge", at=9.0, slope=0.5, offset=0.1, weight=2.0),
        ]
    )

    def read(at: float, value: float = 0.8) -> Outcome:
        said = Signal(decision_id="d", kind="judge_score", value=value, source="judge", event_id="e", at=at)
        return resolve([said], RULES, standing)

    assert read(4.9).quality == 0.8
    assert (read(5.0).quality, read(5.0).deviation) == (pytest.approx(0.6), pytest.approx(0.1))
    assert read(6.0, value=0.1).quality == 0.0  # kept within 0 and 1
    assert read(7.5).quality is None
    assert read(9.0).quality == pytest.approx(0.5)
    assert read(9.0).deviation == pytest.approx(math.sqrt(KINDS["judge_score"].variance / 2))
    copied = Standing()
    copied.restore(standing.state())
    assert copied.state() == standing.state()
    assert copied.latest()["judge"].at == 9.0


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("quality", 1.1, r"quality must be between 0 and 1, got 1.1"),
        ("quality", -0.1, r"quality must be between 0 and 1, got -0.1"),
        ("cost_usd", -1e-9, r"cost_usd must be at least 0, got -1e-09"),
        ("latency_ms", -1.0, r"latency_ms must be at least 0"),
        ("error", 2.0, r"error must be between 0 and 1"),
        ("rating", 5.0, r"rating must be between 0 and 1, got 5.0"),
        ("thumb_up", 1.0, r"unknown signal kind 'thumb_up'; did you mean 'thumbs_up'\?"),
    ],
)
def test_a_signal_out_of_range_is_refused(kind: str, value: float, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        RULES.check(signals((kind, value))[0])


def test_a_kind_of_ones_own() -> None:
    rules = RewardRules(kinds={**KINDS, "smile": SignalKind(at_zero=0.2, at_one=0.9, reliability=0.5)})
    [smile] = signals(("smile", 0.5))
    rules.check(smile)
    assert resolve([smile], rules).quality == pytest.approx(0.55)
    assert rules.kinds["smile"].variance == QUALITY_VARIANCE
    with pytest.raises(BadInput, match="unknown signal kind 'smile'"):
        RULES.check(smile)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SignalKind(), "at_zero or at_one"),
        (lambda: SignalKind(at_one=1.5), "within 0 and 1"),
        (lambda: SignalKind(at_one=1.0, reliability=0.0), "reliability must be above 0"),
        (lambda: SignalKind(at_one=1.0, weight=-1.0), "weight must be finite and at least 0"),
        (lambda: RewardRules(kinds={"cost_usd": KINDS["rating"]}), "'cost_usd' is a measure"),
        (lambda: RewardRules(final_after_s=0.0), "final_after_s must be a positive number"),
        (lambda: Signal(decision_id="d", kind="retraction", event_id="e"), "retracts names the event"),
        (lambda: Signal(decision_id="d", kind="rating", event_id="e", retracts="x"), "retracts names the event"),
    ],
)
def test_rules_that_make_no_sense(make: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make()


def test_a_reward_is_final_after_its_window() -> None:
    rules = RewardRules(final_after_s=10.0)
    assert not rules.is_final(100.0, 109.9)
    assert rules.is_final(100.0, 110.0)
