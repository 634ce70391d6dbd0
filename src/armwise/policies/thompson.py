"""Thompson sampling with its marginals computed, so that the logged propensity is exact."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.arrays import sigmoid
from armwise.contracts import BayesianModel, Choice, Posterior, Slots, Vector
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy, one_hot


class ThompsonSampling(ModelPolicy):
    """Thompson sampling in score space (Agrawal & Goyal 2013; Chapelle & Li 2011), decaying.

    With disjoint arms, to sample weights is to sample scores z ~ N(m, s^2 v), so the probability that an arm is the
    best is a one-dimensional integral: of its density times the others' distribution functions, over utility. It is
    taken on a grid of ``nodes`` points; the arm is then drawn from the result, which makes the logged propensity exact
    whatever the grid's error. The deviation is scaled by ``scale`` * min(1, sqrt(``horizon`` / lessons)): with many
    arms a constant scale explores too long (the theory's constant is larger still; its regret bound is lost here).

    Raises:
        BadInput: on parameters out of range.
    """

    name = "thompson"
    model: BayesianModel

    def __init__(self, model: BayesianModel, *, scale: float = 0.6, horizon: float = 100.0, nodes: int = 64) -> None:
        super().__init__(model)
        if scale < 0 or horizon <= 0 or nodes < 8:
            raise BadInput(f"thompson needs scale >= 0, horizon > 0, nodes >= 8, got {scale}, {horizon}, {nodes}")
        self.scale = scale
        self.horizon = horizon
        self.nodes = nodes
        self._steps = np.linspace(0.0, 1.0, nodes + 1)
        self._method = f"quadrature:{nodes}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"scale": self.scale, "horizon": self.horizon, "nodes": self.nodes}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        belief = self.model.posterior(vector, slots)
        shrink = self.scale * math.sqrt(min(1.0, self.horizon / (1.0 + self.model.lessons)))
        quality = sigmoid(belief.mean) if belief.logit else belief.mean
        probabilities = best_arm_probabilities(
            Posterior(belief.mean, belief.deviation * shrink, belief.logit), penalty, self._steps
        )
        return Choice(probabilities, quality, self._method)


def best_arm_probabilities(belief: Posterior, penalty: Vector, steps: Vector) -> Vector:
    """Probability that each arm's sampled utility is the highest; shape (arms,), sums to one.

    ``steps`` is the grid, from 0 to 1: it is laid over the utilities at which the best can lie, from the highest of the
    lower ends to the highest of the upper ends. Between two nodes the others' distribution functions are averaged.
    Deviations of zero are allowed; where nothing is left open, the best mean takes all.
    """
    ends = belief.mean + _ENDS * belief.deviation
    if belief.logit:
        ends = 1.0 / (1.0 + np.exp(-ends))
    ends -= penalty
    start, stop = np.maximum.reduce(ends, axis=1).tolist()
    if not stop - start > 1e-12:
        return one_hot(int((ends[0] + ends[1]).argmax()), len(penalty))
    level = (steps * (stop - start) + start) + penalty[:, None]  # (arms, nodes): the quality that gives a utility
    if belief.logit:
        np.maximum(level, 1e-9, out=level)
        np.minimum(level, 1.0 - 1e-9, out=level)
        level /= 1.0 - level
        np.log(level, out=level)
    level -= belief.mean[:, None]
    level /= np.maximum(belief.deviation, 1e-9)[:, None]
    below = normal_cdf(level)
    below[:, -1] = 1.0
    others = np.multiply.reduce(below, axis=0) / below
    others[:, 1:] += others[:, :-1]
    below[:, 1:] -= below[:, :-1].copy()
    probabilities: Vector = np.einsum("ij,ij->i", below[:, 1:], others[:, 1:])
    probabilities /= np.add.reduce(probabilities)
    return probabilities


_ENDS = np.array([[-4.0], [4.0]])
"""Deviations beyond which a normal belief is taken to be nothing."""

_TABLE_REACH, _TABLE_STEP = 8, 1024
_TABLE = np.array(
    [
        max(0.5 * math.erfc(-i / _TABLE_STEP / math.sqrt(2.0)), 1e-12)
        for i in range(-_TABLE_REACH * _TABLE_STEP, _TABLE_REACH * _TABLE_STEP + 1)
    ]
)


def normal_cdf(z: Vector) -> Vector:
    """Standard normal distribution function from a table: within 2e-4, never below 1e-12, a tenth of erf's price."""
    position = z * _TABLE_STEP
    position += _TABLE_REACH * _TABLE_STEP + 0.5
    np.maximum(position, 0.0, out=position)
    np.minimum(position, 2.0 * _TABLE_REACH * _TABLE_STEP, out=position)  # what no integer holds would wrap
    below: Vector = np.take(_TABLE, position.astype(np.intp), mode="clip")
    return below
