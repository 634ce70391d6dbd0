"""The best predicted utility, with a floor of exploration."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.contracts import Choice, QualityModel, Slots, Vector
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy, decayed
from armwise.policies.batch import Table, predict_many


class EpsilonGreedy(ModelPolicy):
    """With probability epsilon any eligible arm, else the best predicted one.

    epsilon decays as 1 / sqrt(1 + lessons / horizon).

    Args:
        epsilon: share of exploration at the start; 0 is plain greedy.
        horizon: lessons after which decay sets in; None keeps epsilon constant.

    Raises:
        BadInput: on parameters out of range.
    """

    name = "epsilon"

    def __init__(self, model: QualityModel, *, epsilon: float = 0.1, horizon: float | None = 200.0) -> None:
        super().__init__(model)
        if not 0 <= epsilon <= 1 or (horizon is not None and horizon <= 0):
            raise BadInput(f"epsilon must be in [0, 1] and horizon positive, got {epsilon} and {horizon}")
        self.epsilon = epsilon
        self.horizon = horizon

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"epsilon": self.epsilon, "horizon": self.horizon}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        quality = self.model.predict(vector, slots)
        epsilon = decayed(self.epsilon, self.model.lessons, self.horizon)
        probabilities = np.full(len(slots), epsilon / len(slots))
        probabilities[(quality - penalty).argmax()] += 1.0 - epsilon
        return Choice(probabilities, quality)

    def choose_many(self, vectors: Table, slots: Slots, penalties: Table) -> Table | None:
        quality = predict_many(self.model, vectors, slots)
        if quality is None:
            return None
        epsilon = decayed(self.epsilon, self.model.lessons, self.horizon)
        probabilities = np.full(penalties.shape, epsilon / len(slots))
        probabilities[np.arange(len(vectors)), (quality - penalties).argmax(axis=1)] += 1.0 - epsilon
        return probabilities
