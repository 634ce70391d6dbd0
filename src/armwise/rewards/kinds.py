"""The kinds of signal, and what each says about quality."""

from collections.abc import Mapping

from armwise.contracts import Signal
from armwise.errors import BadInput, unknown

QUALITY_OF: Mapping[str, float | None] = {
    "thumbs_up": 1.0,
    "thumbs_down": 0.0,
    "copy": 0.9,
    "regenerate": 0.2,
    "abandon": 0.3,
    "correction": 0.2,
    "task_success": None,
    "rating": None,
}
"""User signals -> quality in [0, 1]; ``None``: the value itself is the quality, in [0, 1]."""

MEASURES: Mapping[str, tuple[float, float]] = {
    "quality": (0.0, 1.0),
    "cost_usd": (0.0, float("inf")),
    "latency_ms": (0.0, float("inf")),
    "output_tokens": (0.0, float("inf")),
    "error": (0.0, 1.0),
}
"""Measured kinds -> lowest and highest value allowed."""


def check_signal(signal: Signal) -> None:
    """Refuse a signal of unknown kind or with a value out of range.

    Raises:
        BadInput: saying what came and what is allowed.
    """
    kind = signal.kind
    if kind in MEASURES:
        low, high = MEASURES[kind]
    elif kind in QUALITY_OF:
        low, high = 0.0, 1.0
    else:
        raise BadInput(unknown("signal kind", kind, [*MEASURES, *QUALITY_OF]))
    if not low <= signal.value <= high:
        allowed = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
        raise BadInput(f"{kind} must be {allowed}, got {signal.value!r}")


def quality_of(signal: Signal) -> float | None:
    """The quality that one user signal suggests, or None where it says nothing of quality."""
    if signal.kind not in QUALITY_OF:
        return None
    fixed = QUALITY_OF[signal.kind]
    return signal.value if fixed is None else fixed
