"""A judge that is itself watched: has it become more lenient, or stricter?

The judge grades anchors again and again. What is watched is the difference between a grade and those that this judge
used to give that very anchor, so neither the anchors' qualities nor the judge's constant bias add noise. Two things
have to agree before there is an alarm: a Page-Hinkley test (river's; Page 1954), which is quick, and a confidence
interval of the mean since the change that excludes zero, which keeps false alarms rare.
"""

from __future__ import annotations

import importlib
import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any

from armwise.errors import BadInput

_SETTLED = 500
"""Differences of zero that the test is shown before the first real one."""
_SUSPECT = 100
"""For how many grades after the test has fired the interval is looked at."""


class Phase(Enum):
    """What the guard of a judge is about."""

    LEARNING = "learning"
    """Getting to know how the judge grades the anchors."""
    WATCHING = "watching"
    SUSPENDED = "suspended"
    """There was an alarm: the judge does not train, and its new ways are being measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What the guard found: an alarm, or how the judge is to be read from now on."""

    alarm: bool
    shift: float
    """Alarm: the mean difference from before, with its interval. Else: the mean of grade - known quality."""
    low: float
    high: float
    noise: float = 0.0
    """Standard deviation of grade - known quality around its mean."""


class DriftGuard:
    """Watches one judge through its anchors. Not thread-safe.

    Args:
        anchors: how many there are.
        rounds: how often each is graded before the guard knows the judge's ways.
        tolerance: what the test lets pass; shifts up to this size raise no alarm.
        threshold: of the Page-Hinkley test, in standard deviations of a grade.
        confidence: deviations of the normal law that the interval reaches to either side.

    Raises:
        BadInput: on parameters out of range.
    """

    def __init__(
        self,
        anchors: int,
        *,
        rounds: int = 4,
        tolerance: float = 0.03,
        threshold: float = 20.0,
        confidence: float = 3.5,
    ) -> None:
        if anchors < 2 or rounds < 1 or tolerance < 0 or threshold <= 0 or confidence <= 0:
            raise BadInput(
                "a drift guard needs 2 anchors, 1 round, tolerance >= 0, threshold > 0 and confidence > 0, got "
                f"{anchors}, {rounds}, {tolerance}, {threshold}, {confidence}"
            )
        self.phase = Phase.LEARNING
        self.tolerance, self.threshold, self.confidence = tolerance, threshold, confidence
        self._rounds = rounds
        self._usual: list[list[float]] = [[] for _ in range(anchors)]
        self._known: list[float] = [0.0] * anchors
        self._deviation = 0.0
        self._recent: deque[float] = deque(maxlen=200)
        self._detector: Any = None
        self._suspect = 0
        self._next = 0

    @property
    def next_anchor(self) -> int:
        """The anchor whose turn it is."""
        return self._next

    def graded(self, anchor: int, grade: float, quality: float) -> Finding | None:
        """Take in a grade of an anchor; what follows from it, if anything does."""
        self._next = (anchor + 1) % len(self._usual)
        self._known[anchor] = quality
        if self.phase is Phase.WATCHING:
            return self._watch(grade - _mean(self._usual[anchor]))
        self._usual[anchor].append(grade)
        if min(map(len, self._usual)) < self._rounds:
            return None
        return self._learned()

    def _learned(self) -> Finding:
        """The judge's ways are known: how it is to be read, and what to watch for."""
        within = [grade - _mean(grades) for grades in self._usual for grade in grades]
        freedom = max(len(within) - len(self._usual), 1)
        self._deviation = max(math.sqrt(math.fsum(x * x for x in within) / freedom), 0.02)
        errors = [grade - known for grades, known in zip(self._usual, self._known, strict=True) for grade in grades]
        bias = _mean(errors)
        spread = math.sqrt(math.fsum((error - bias) ** 2 for error in errors) / max(len(errors) - 1, 1))
        reach = 2.0 * spread / math.sqrt(len(errors))
        self.phase = Phase.WATCHING
        self._recent.clear()
        self._detector, self._suspect = self._new_detector(), 0
        return Finding(alarm=False, shift=bias, low=bias - reach, high=bias + reach, noise=spread)

    def _new_detector(self) -> Any:
        drift: Any = importlib.import_module("river.drift")  # slow to import: only where a judge is watched
        scale = self._deviation * math.sqrt(1.0 + 1.0 / self._rounds)  # of a difference from a mean of ``rounds``
        detector = drift.PageHinkley(
            min_instances=10,
            delta=max(self.tolerance, 0.25 * scale),
            threshold=self.threshold * scale,
            alpha=1.0,  # below 1 its sums settle where delta no longer pulls them back, and false alarms follow
        )
        for _ in range(_SETTLED):
            detector.update(0.0)  # the mean before a change is known: what is watched are differences from it
        return detector

    def _watch(self, difference: float) -> Finding | None:
        self._recent.append(difference)
        self._detector.update(difference)
        self._suspect = _SUSPECT if self._detector.drift_detected else self._suspect - 1
        if self._suspect <= 0:
            return None
        shift, low, high = self._interval()
        if low <= 0.0 <= high:
            return None
        self.phase = Phase.SUSPENDED
        self._usual = [[] for _ in self._usual]
        return Finding(alarm=True, shift=shift, low=low, high=high)

    def _interval(self) -> tuple[float, float, float]:
        """The mean since the likeliest moment of a change, and its interval."""
        values = list(self._recent)
        best, start = -1.0, 0
        total = 0.0
        for i in range(len(values) - 1, -1, -1):
            total += values[i]
            count = len(values) - i
            evidence = abs(total) / math.sqrt(count)
            if count >= 10 and evidence > best:
                best, start = evidence, i
        chosen = values[start:]
        mean = _mean(chosen)
        learned_from = self._rounds * len(self._usual)
        reach = (
            self.confidence * self._deviation * math.sqrt((1.0 + 1.0 / self._rounds) / len(chosen) + 1.0 / learned_from)
        )
        return mean, mean - reach, mean + reach


def _mean(values: Any) -> float:
    return math.fsum(values) / max(len(values), 1)
