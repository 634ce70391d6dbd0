"""What a judge likes besides quality: long answers, and the place where an answer stands."""

from __future__ import annotations

import math
from typing import NamedTuple


class Measured(NamedTuple):
    """An estimate with its standard error; ``cases`` is how many it rests on."""

    value: float
    error: float
    cases: int

    @property
    def plain(self) -> bool:
        """Whether it is surely not zero: more than three standard errors, on at least 100 cases."""
        return self.cases >= 100 and abs(self.value) > 3.0 * self.error


class LengthBias:
    """Slope of a judge's grade in the logarithm of the answer's length, given the quality that was expected.

    Least squares of grade - expected on ln(characters), in running sums (Welford). What it measures is length at equal
    expectation: as far as longer answers *are* better than expected it is no bias, so correct with care.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = [0.0, 0.0]
        self._square = [0.0, 0.0, 0.0]

    def learn(self, characters: int, grade: float, expected: float) -> None:
        """Take in one grade."""
        x, y = math.log(max(characters, 1)), grade - expected
        self._count += 1
        dx, dy = x - self._mean[0], y - self._mean[1]
        self._mean[0] += dx / self._count
        self._mean[1] += dy / self._count
        self._square[0] += dx * (x - self._mean[0])
        self._square[1] += dx * (y - self._mean[1])
        self._square[2] += dy * (y - self._mean[1])

    @property
    def slope(self) -> Measured:
        """Points of grade per e-fold of length."""
        xx, xy, yy = self._square
        if self._count < 3 or xx <= 0.0:
            return Measured(0.0, math.inf, self._count)
        slope = xy / xx
        left = max(yy - slope * xy, 0.0) / (self._count - 2)
        return Measured(slope, math.sqrt(left / xx), self._count)

    def correct(self, characters: int, grade: float) -> float:
        """The grade without what its length brought it, once that is plain; within 0 and 1."""
        slope = self.slope
        if not slope.plain:
            return grade
        return min(max(grade - slope.value * (math.log(max(characters, 1)) - self._mean[0]), 0.0), 1.0)


class PositionBias:
    """How much more often what stands first wins, beyond one half. Swapping the order cancels it in the score."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._square = 0.0

    def learn(self, first_wins: float) -> None:
        """Take in the share of a pair of comparisons in which the first one won."""
        self._count += 1
        off = first_wins - self._mean
        self._mean += off / self._count
        self._square += off * (first_wins - self._mean)

    @property
    def preference(self) -> Measured:
        """Mean share of wins of the first place, less one half."""
        if self._count < 2:
            return Measured(0.0, math.inf, self._count)
        return Measured(self._mean - 0.5, math.sqrt(self._square / (self._count - 1) / self._count), self._count)
