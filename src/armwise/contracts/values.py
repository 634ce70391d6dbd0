"""Plain values that every record is made of, and how they are checked at birth."""

from __future__ import annotations

import math
import sys
from dataclasses import fields
from typing import Any, TypeAlias

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


def check_number(owner: str, name: str, value: float | None, low: float = 0.0, high: float = math.inf) -> None:
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


def check_name(owner: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{owner}.name must be a non-empty string, got {value!r}")


def record_fields(kind: type) -> tuple[str, ...]:
    """Field names of a dataclass record, in order."""
    return tuple(item.name for item in fields(kind))
