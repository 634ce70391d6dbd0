"""What the policies share: the policy that stands on a quality model, and the one helper that draws."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.arrays import uniform
from armwise.contracts import Arm, Choice, Experience, QualityModel, Slots, State, Vector


def draw(probabilities: Vector, seed: int) -> tuple[int, float]:
    """Draw a position from ``probabilities`` (shape (arms,), sum 1) and return it with its own probability.

    This is the only place where armwise leaves a choice of arm to chance, so what is logged is what was drawn from.
    """
    chances: list[float] = probabilities.tolist()
    left = uniform(seed)
    last = 0
    for position, chance in enumerate(chances):
        if chance > 0.0:
            last = position
            left -= chance
            if left < 0.0:
                break
    return last, chances[last]


class ModelPolicy:
    """A policy that explores around the predictions of a quality model. Subclasses say how, in ``choose``."""

    name = "model"

    def __init__(self, model: QualityModel) -> None:
        self.model = model

    @property
    def spec(self) -> Mapping[str, Any]:
        return {"name": self.name, **self.parameters, "model": dict(self.model.spec)}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the policy itself was set to, by the names of its keyword arguments."""
        return {}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        raise NotImplementedError

    def learn(self, experience: Experience) -> None:
        self.model.learn(experience)

    def add_arm(self, arm: Arm) -> int:
        return self.model.add_arm(arm)

    def state(self) -> State:
        return {"model": self.model.state()}

    def restore(self, state: State) -> None:
        self.model.restore(state["model"])


def one_hot(position: int, count: int) -> Vector:
    """All probability on one position."""
    out = np.zeros(count)
    out[position] = 1.0
    return out
