"""A judge that is itself watched: has it become more lenient, or stricter?

The judge grades anchors again and again. What is watched is the difference between a grade and those that this judge
used to give that very anchor, so neither the anchors' qualities nor the judge's constant bias add noise. Two things
have to agree before there is an alarm: a Page-Hinkley test (river's; Page 1954), which is quick, and a confidence
interval of the mean since the change that excludes zero, which keeps false alarms rare.

How the judge is to be read follows from a line through its grades of the anchors over their known qualities: what it
adds, and how far it stretches or compresses the scale (shrunk towards not at all, as anchors are few). After an alarm
the anchors are graded anew. Where the grades of all have moved alike, or along a line, the judge is read by the new
line. Where those of some have moved and those of others have not, it has come to like some *kind* of answer; no line
mends that, and it stays out until it grades the anchors as it used to.
"""

from __future__ import annotations

import importlib
import math
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from armwise.errors import BadInput

_SETTLED = 500
"""Differences of zero that the test is shown before the first real one."""
_SUSPECT = 100
"""For how many grades after the test has fired the interval is looked at."""
_AGAIN = 2
"""How many times as often as at first each anchor is graded after an alarm: the shift of each is asked for."""
_UNEVEN = 3.1
"""Deviations beyond which the anchors have not moved alike: one in a thousand of those that have."""
_STRETCH = 0.5
"""Standard deviation of a judge's slope around 1, before anything is seen."""
_LEAST_SLOPE = 0.1


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
    slope: float = 1.0
    """How the judge is to be read: quality = slope * grade + offset, with a standard deviation of ``noise``."""
    offset: float = 0.0
    noise: float = 0.0
    uneven: bool = False
    """Whether the grades of some anchors have moved and those of others have not: the judge is not to train."""


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
        self._rounds = self._needed = self._first = rounds
        self.uneven = False
        """Whether it is suspended since its grades of some anchors have moved and those of others have not."""
        self._before: list[float] = []
        """Mean grades of the anchors before an alarm."""
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
        if min(map(len, self._usual)) < self._needed:
            return None
        return self._learned()

    def _learned(self) -> Finding:
        """The judge's ways are known: how it is to be read, and what to watch for."""
        within = [grade - _mean(grades) for grades in self._usual for grade in grades]
        freedom = max(len(within) - len(self._usual), 1)
        self._deviation = max(math.sqrt(math.fsum(x * x for x in within) / freedom), 0.02)
        finding = self._reading()
        self.uneven = bool(self._before) and self._is_uneven()
        if self.uneven:
            self._usual = [[] for _ in self._usual]
            return replace(finding, uneven=True)
        self._before, self._rounds = [], len(self._usual[0])
        self.phase = Phase.WATCHING
        self._recent.clear()
        self._detector, self._suspect = self._new_detector(), 0
        return finding

    def _reading(self) -> Finding:
        """The line through grades over known qualities: least squares, its slope shrunk towards 1."""
        pairs = [(known, grade) for known, grades in zip(self._known, self._usual, strict=True) for grade in grades]
        count, center = len(pairs), _mean([known for known, _ in pairs])
        bias = _mean([grade - known for known, grade in pairs])
        level = center + bias
        squares = math.fsum((known - center) ** 2 for known, _ in pairs)
        product = math.fsum((known - center) * (grade - level) for known, grade in pairs)
        shrink = (self._deviation / _STRETCH) ** 2
        line = max((product + shrink) / (squares + shrink), _LEAST_SLOPE)
        left = math.fsum((grade - level - line * (known - center)) ** 2 for known, grade in pairs)
        spread = math.sqrt(left / max(count - 2, 1))
        reach = 2.0 * spread / math.sqrt(count)
        return Finding(
            alarm=False,
            shift=bias,
            low=bias - reach,
            high=bias + reach,
            slope=1.0 / line,
            offset=center - level / line,
            noise=spread / line,
        )

    def _is_uneven(self) -> bool:
        """Whether what is left of the anchors' shifts beside a line in the old grades is more than noise explains."""
        moved = [_mean(grades) - before for grades, before in zip(self._usual, self._before, strict=True)]
        center, shift = _mean(self._before), _mean(moved)
        squares = math.fsum((before - center) ** 2 for before in self._before)
        product = math.fsum((before - center) * (one - shift) for before, one in zip(self._before, moved, strict=True))
        line = product / squares if squares > 0.0 else 0.0
        left = math.fsum(
            (one - shift - line * (before - center)) ** 2 for before, one in zip(self._before, moved, strict=True)
        )
        freedom = max(len(moved) - 2, 1)
        noise = self._deviation**2 * (1.0 / self._rounds + 1.0 / self._needed)
        mean, variance = 1.0 - 2.0 / (9.0 * freedom), 2.0 / (9.0 * freedom)  # of a cube root: Wilson & Hilferty 1931
        return math.cbrt(left / noise / freedom) > mean + _UNEVEN * math.sqrt(variance)

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
        self._before = [_mean(grades) for grades in self._usual]
        self._needed = _AGAIN * self._first
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
