"""Boltzmann exploration: the better an arm looks, the likelier it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.contracts import Choice, QualityModel, Slots, Vector
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy, decayed
from armwise.policies.batch import Table, predict_many


class Softmax(ModelPolicy):
    """p(a) in proportion to exp(utility / temperature), the temperature cooling as 1 / sqrt(1 + lessons / horizon).

    It sees predictions, not how sure they are: an arm that looked bad once is revived only by heat. No schedule that
    is monotone in time has a regret bound that is both general and good (Cesa-Bianchi, Gentile, Lugosi & Neu 2017).

    Args:
        temperature: in points of utility, at the start.
        horizon: lessons after which cooling sets in; None keeps the temperature.

    Raises:
        BadInput: on parameters out of range.
    """

    name = "softmax"

    def __init__(self, model: QualityModel, *, temperature: float = 0.1, horizon: float | None = 200.0) -> None:
        super().__init__(model)
        if not temperature > 0 or (horizon is not None and not horizon > 0):
            raise BadInput(f"softmax needs temperature > 0 and horizon > 0, got {temperature} and {horizon}")
        self.temperature = temperature
        self.horizon = horizon

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"temperature": self.temperature, "horizon": self.horizon}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        quality = self.model.predict(vector, slots)
        utility = quality - penalty
        temperature = decayed(self.temperature, self.model.lessons, self.horizon)
        weights = np.exp(np.maximum((utility - utility.max()) / temperature, -700.0))
        weights /= np.add.reduce(weights)
        return Choice(weights, quality)

    def choose_many(self, vectors: Table, slots: Slots, penalties: Table) -> Table | None:
        quality = predict_many(self.model, vectors, slots)
        if quality is None:
            return None
        utility = quality - penalties
        temperature = decayed(self.temperature, self.model.lessons, self.horizon)
        weights: Table = np.exp(np.maximum((utility - utility.max(axis=1, keepdims=True)) / temperature, -700.0))
        weights /= weights.sum(axis=1, keepdims=True)
        return weights
