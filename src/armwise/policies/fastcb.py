"""Inverse-gap weighting by relative gaps: explores little where the best arm is nearly always right."""

import numpy as np

from armwise.contracts import Choice, QualityModel, Slots, Vector
from armwise.policies.inverse_gap import InverseGapWeighting


class FastCB(InverseGapWeighting):
    """FastCB (Foster & Krishnamurthy 2021, algorithm 1): p(a) = L* / (K L* + gamma (L(a) - L*)), the rest to the best.

    L is the predicted loss, 1 - utility. Where the best arm's loss is small so is exploration, and the regret bound
    grows with the best policy's total loss instead of with time. It wants a regression oracle for the log loss, which
    the logistic engine is. gamma = ``gamma`` * (1 + lessons) ** ``exponent``. Losses beyond 1, which penalties make,
    are outside its theory.

    Raises:
        BadInput: on a gamma that is not positive or an exponent outside [0, 1].
    """

    name = "fastcb"

    def __init__(self, model: QualityModel, *, gamma: float = 10.0, exponent: float = 0.5) -> None:
        super().__init__(model, gamma, exponent)

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        quality = self.model.predict(vector, slots)
        utility = quality - penalty
        best = int(utility.argmax())
        gamma = self.rate
        least = max(1.0 - float(utility[best]), 1e-6)
        probabilities = 1.0 / ((utility[best] - utility) * (gamma / least) + len(utility))
        probabilities[best] += 1.0 - np.add.reduce(probabilities)
        return Choice(probabilities, quality)
