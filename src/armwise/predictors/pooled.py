"""A positive quantity per request and arm (output tokens, milliseconds): pooled log-ridge times a ratio per arm."""

import math

import numpy as np
from numpy.typing import NDArray

from armwise.arrays import grown, subtract_outer
from armwise.contracts import Slots, State, Vector
from armwise.errors import BadInput


class PooledLogModel:
    """value(x, arm) = exp(w . x) * ratio[arm].

    How a request's length of answer depends on its features is nearly the same for all models, so w is shared (ridge on
    the logarithm, recursive least squares); what differs is each arm's ratio of totals, which also makes the mean
    right where the mean of logarithms is not. The ratios forget at ``forgetting`` per lesson, so that a model that
    becomes more talkative, or slower, is followed. Dimension 0 of a vector is its intercept.

    Args:
        dimension: length of the context vectors.
        typical: the value expected before anything is seen.
        precision: ridge on the slopes.
        patience: how many lessons the prior ratio of a new arm is worth.
    """

    def __init__(
        self,
        dimension: int,
        *,
        typical: float,
        precision: float = 4.0,
        patience: float = 2.0,
        forgetting: float = 0.998,
    ) -> None:
        if typical <= 0:
            raise BadInput(f"typical must be positive, got {typical}")
        self.typical = typical
        self.patience = patience
        self.forgetting = forgetting
        self._weights = np.zeros(dimension)
        self._covariance = np.diag(np.concatenate(([1.0], np.full(dimension - 1, 1.0 / precision))))
        self._observed = np.zeros(0)
        self._expected = np.zeros(0)
        self._ratio = np.zeros(0)

    def add_arm(self, typical: float | None = None) -> None:
        """Make room for an arm that is expected to show ``typical`` where the others show the model's."""
        slot = len(self._ratio)
        self._observed, self._expected, self._ratio = (
            grown(array, slot + 1) for array in (self._observed, self._expected, self._ratio)
        )
        ratio = 1.0 if typical is None else typical / self.typical
        self._expected[slot] = self.patience * self.typical
        self._observed[slot] = self._expected[slot] * ratio
        self._ratio[slot] = ratio

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        """Expected value per arm; shape (arms,)."""
        ratio = self._ratio if slots.size == self._ratio.size else self._ratio[slots]
        return ratio * self._shape(vector)

    def predict_many(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected value of every arm for contexts [n, d]; shape (n, arms)."""
        shape = self.typical * np.exp(np.clip(vectors @ self._weights, -5.0, 5.0))
        values: NDArray[np.float64] = np.multiply.outer(shape, self._ratio)
        return values

    def learn(self, vector: Vector, slot: int, value: float) -> None:
        """Take in one observed value, at least 0."""
        shape = self._shape(vector)
        self._observed[slot] = self._observed[slot] * self.forgetting + value
        self._expected[slot] = self._expected[slot] * self.forgetting + shape
        ratio = self._observed[slot] / self._expected[slot]
        target = math.log((value + 0.5) / (max(ratio, 1e-6) * self.typical + 0.5))
        gain = self._covariance @ vector
        left = 1.0 + float(vector @ gain)
        subtract_outer(self._covariance, gain, 1.0 / left)
        self._weights += gain * ((target - float(self._weights @ vector)) / left)
        self._ratio[slot] = ratio

    def _shape(self, vector: Vector) -> float:
        """What the features say, for an arm of ratio 1; within a factor of e^5 of the typical value."""
        return self.typical * math.exp(min(max(float(self._weights @ vector), -5.0), 5.0))

    def state(self) -> State:
        names = ("weights", "covariance", "observed", "expected", "ratio")
        return {name: getattr(self, f"_{name}").copy() for name in names}

    def restore(self, state: State) -> None:
        for name, value in state.items():
            setattr(self, f"_{name}", value.copy())
