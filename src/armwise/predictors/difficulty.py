"""How difficult a request is: the chance that an average arm fails at it."""

from __future__ import annotations

import numpy as np

from armwise.arrays import grown, subtract_outer
from armwise.contracts import State, Vector
from armwise.errors import BadInput


class DifficultyModel:
    """difficulty(x) = 1 - quality of an average arm, in [0, 1]: ridge regression, learned from every judged decision.

    What an arm usually loses is taken off first, so that a request is not thought hard because a weak arm answered it.
    Recursive least squares; each arm's usual loss is a running mean. Dimension 0 of a vector is its intercept.

    Args:
        dimension: length of the context vectors.
        precision: ridge on the slopes.
        patience: how many lessons the prior loss of an arm, 0.3, is worth.
    """

    def __init__(self, dimension: int, *, precision: float = 4.0, patience: float = 4.0) -> None:
        if precision <= 0 or patience <= 0:
            raise BadInput(f"precision and patience must be over 0, got {precision} and {patience}")
        self.patience = patience
        self._weights = np.zeros(dimension)
        self._covariance = np.eye(dimension) / precision
        self._lost = np.zeros(0)
        self._lessons = np.zeros(0)

    def predict(self, vector: Vector) -> float:
        """Chance that an average arm fails."""
        return min(max(self._usual() + float(self._weights @ vector), 0.0), 1.0)

    def learn(self, vector: Vector, slot: int, quality: float) -> None:
        """Take in how an arm did. Corrections are not to be learned again."""
        if slot >= len(self._lost):
            self._lost, self._lessons = grown(self._lost, slot + 1), grown(self._lessons, slot + 1)
        usual = (0.3 * self.patience + self._lost[slot]) / (self.patience + self._lessons[slot])
        gain = self._covariance @ vector
        left = 1.0 + float(vector @ gain)
        subtract_outer(self._covariance, gain, 1.0 / left)
        self._weights += gain * ((1.0 - quality - usual - float(self._weights @ vector)) / left)
        self._lost[slot] += 1.0 - quality
        self._lessons[slot] += 1.0

    def _usual(self) -> float:
        """The mean loss over the arms, each counted once."""
        tried = self._lessons > 0
        if not tried.any():
            return 0.3
        prior = 0.3 * self.patience
        return float(np.mean((prior + self._lost[tried]) / (self.patience + self._lessons[tried])))

    def state(self) -> State:
        names = ("weights", "covariance", "lost", "lessons")
        return {name: getattr(self, f"_{name}").copy() for name in names}

    def restore(self, state: State) -> None:
        for name, value in state.items():
            setattr(self, f"_{name}", value.copy())
