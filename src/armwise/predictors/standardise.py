"""Contexts brought to one scale as they come: what a prior over slopes needs to mean the same on any traffic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import State, Vector
from armwise.errors import BadInput


class Standardiser:
    """Centres every feature but the first (the intercept) and scales it to a deviation of ``spread``, as seen so far.

    A prior of ``patience`` contexts of mean 0 and that very deviation stands at the start, so scales settle within a
    few hundred. A feature that hardly varies grows tenfold at most, and nothing lies beyond three deviations. What was
    learned on an earlier scale is kept as it is: the error is of the first lessons and fades with them.

    Args:
        dimension: length of the contexts.
        spread: deviation that features are brought to; None leaves contexts as they come.

    Raises:
        BadInput: on a spread that is not positive.
    """

    def __init__(self, dimension: int, spread: float | None, *, patience: float = 100.0) -> None:
        if spread is not None and not spread > 0:
            raise BadInput(f"spread must be positive, or None for contexts as they come, got {spread!r}")
        self.spread = spread
        self.patience = patience
        self._seen = 0
        self._mean = np.zeros(dimension)
        self._squares = np.zeros(dimension)
        self._limit = np.full(dimension, 3.0 * (spread or 0.0))
        self._limit[0] = np.inf
        self._floor = -self._limit
        self._settle()

    def __call__(self, contexts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Contexts of shape (..., dimension) on the common scale."""
        if self.spread is None:
            return contexts
        scaled = contexts - self._centre
        scaled *= self._gain
        np.minimum(scaled, self._limit, out=scaled)
        np.maximum(scaled, self._floor, out=scaled)
        return scaled

    def see(self, context: Vector) -> None:
        """Count one more context (Welford's update)."""
        if self.spread is None:
            return
        self._seen += 1
        off = context - self._mean
        self._mean += off / self._seen
        self._squares += off * (context - self._mean)
        self._settle()

    def _settle(self) -> None:
        """The centre and the gain in force."""
        total = self._seen + self.patience
        spread = self.spread or 1.0
        self._centre = self._mean * (self._seen / total)
        deviation = np.sqrt((self._squares + self.patience * spread * spread) / total)
        self._gain = np.minimum(spread / np.maximum(deviation, 1e-9), 10.0)
        self._centre[0], self._gain[0] = 0.0, 1.0

    def state(self) -> State:
        return {"seen": self._seen, "mean": self._mean.copy(), "squares": self._squares.copy()}

    def restore(self, state: State) -> None:
        self._seen = int(state["seen"])
        self._mean, self._squares = state["mean"].copy(), state["squares"].copy()
        self._settle()
