"""Inverse-gap weighting around a regression oracle."""

import numpy as np

from armwise.contracts import Choice, QualityModel, Slots, Vector
from armwise.policies.batch import Table, predict_many
from armwise.policies.inverse_gap import InverseGapWeighting


class SquareCB(InverseGapWeighting):
    """SquareCB (Foster & Rakhlin 2020, algorithm 1): p(a) = 1 / (K + gamma (u* - u(a))), the rest to the best arm.

    gamma = ``gamma`` * (1 + lessons) ** ``exponent``: the theory wants an exponent of 1/2 and a scale that depends on
    the oracle's regret; its guarantee is for utilities within [0, 1] and a well-specified model. Probabilities are
    exact and cost one regression each.

    Raises:
        BadInput: on a gamma that is not positive or an exponent outside [0, 1].
    """

    name = "squarecb"

    def __init__(self, model: QualityModel, *, gamma: float = 20.0, exponent: float = 0.5) -> None:
        super().__init__(model, gamma, exponent)

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        quality = self.model.predict(vector, slots)
        utility: list[float] = (quality - penalty).tolist()  # plain floats: faster than numpy below some thirty arms
        best, arms = max(utility), len(utility)
        gamma = self.rate
        probabilities = [1.0 / (arms + gamma * (best - other)) for other in utility]
        probabilities[utility.index(best)] += 1.0 - sum(probabilities)
        return Choice(np.array(probabilities), quality)

    def choose_many(self, vectors: Table, slots: Slots, penalties: Table) -> Table | None:
        quality = predict_many(self.model, vectors, slots)
        if quality is None:
            return None
        utility = quality - penalties
        gamma = self.rate
        probabilities: Table = 1.0 / (len(slots) + gamma * (utility.max(axis=1, keepdims=True) - utility))
        probabilities[np.arange(len(vectors)), utility.argmax(axis=1)] += 1.0 - probabilities.sum(axis=1)
        return probabilities
