"""From signals to one outcome."""

from __future__ import annotations

from typing import Any

import pytest

from armwise.contracts import Outcome, Signal
from armwise.errors import BadInput
from armwise.rewards import QUALITY_OF, check_signal, resolve


def signals(*pairs: tuple[str, float]) -> list[Signal]:
    return [Signal(decision_id="d", kind=kind, value=value, event_id=str(i)) for i, (kind, value) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {}),
        ([("quality", 0.7)], {"quality": 0.7}),
        ([("quality", 0.7), ("quality", 0.2)], {"quality": 0.2}),
        ([("quality", 0.7), ("thumbs_down", 1.0)], {"quality": 0.7}),
        ([("thumbs_down", 1.0), ("quality", 0.7)], {"quality": 0.7}),
        ([("thumbs_up", 1.0)], {"quality": 1.0}),
        ([("thumbs_up", 1.0), ("regenerate", 1.0)], {"quality": 0.6}),
        ([("rating", 0.25)], {"quality": 0.25}),
        ([("task_success", 0.0), ("copy", 1.0)], {"quality": 0.45}),
        ([("cost_usd", 1e-3), ("cost_usd", 2e-3)], {"cost_usd": 2e-3}),
        ([("latency_ms", 10.0), ("output_tokens", 5.0)], {"latency_ms": 10.0, "output_tokens": 5.0}),
        ([("error", 1.0)], {"error": True, "quality": 0.0}),
        ([("error", 1.0), ("thumbs_up", 1.0)], {"error": True, "quality": 1.0}),
        ([("error", 1.0), ("error", 0.0)], {"error": False}),
        ([("cost_usd", 0.0)], {"cost_usd": 0.0}),
    ],
)
def test_the_declared_rule(given: list[tuple[str, float]], expected: dict[str, Any]) -> None:
    outcome = resolve(signals(*given))
    assert outcome == Outcome(**{**expected, "quality": expected.get("quality")})


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
        check_signal(signals((kind, value))[0])


@pytest.mark.parametrize("kind", QUALITY_OF)
def test_every_user_signal_gives_a_quality(kind: str) -> None:
    signal = signals((kind, 0.5))[0]
    check_signal(signal)
    quality = resolve([signal]).quality
    assert quality is not None
    assert 0.0 <= quality <= 1.0
