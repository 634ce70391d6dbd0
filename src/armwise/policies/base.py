"""What the policies share: the policy that stands on a quality model, and the one helper that draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from armwise.arrays import sigmoid, uniform
from armwise.contracts import Arm, Choice, Experience, Knowledge, Posterior, QualityModel, Slots, State, Vector
from armwise.errors import BadInput


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

    name: ClassVar[str] = "model"
    needs: ClassVar[Knowledge] = Knowledge.MEAN
    """What its engine has to be able to tell."""
    engine: ClassVar[str] = "logistic"
    """The engine it stands on where none is named."""

    def __init__(self, model: QualityModel) -> None:
        self.model = model

    @classmethod
    def build(cls, make_model: Callable[[], QualityModel], **parameters: Any) -> ModelPolicy:
        """The policy over as many new models as it needs: one, unless a subclass says otherwise."""
        return cls(make_model(), **parameters)

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
        """Take in one lesson.

        Raises:
            BadInput: if its quality is not a number in [0, 1]; nothing is learned.
        """
        if not 0.0 <= experience.quality <= 1.0:
            raise BadInput(f"the quality of a lesson must be in [0, 1], got {experience.quality!r}")
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


def best_of(value: Vector, floor: float = 0.0) -> Vector:
    """Probabilities of a rule that takes the highest ``value``, ties alike, but leaves ``floor`` to all arms alike."""
    best: Vector = (value == value.max()).astype(np.float64)
    best *= (1.0 - floor) / best.sum()
    best += floor / len(best)
    return best


def check_share(owner: str, name: str, value: float) -> float:
    """A share of the traffic.

    Raises:
        BadInput: if it is not a number in [0, 1].
    """
    if not 0.0 <= value <= 1.0:
        raise BadInput(f"{owner} needs {name} in [0, 1], got {value!r}")
    return value


def decayed(share: float, lessons: int, horizon: float | None) -> float:
    """``share`` / sqrt(1 + lessons / horizon); with no horizon it stays."""
    return share if horizon is None else share / math.sqrt(1.0 + lessons / horizon)


def expected_quality(belief: Posterior) -> Vector:
    """The quality at a belief's mean, in [0, 1]; shape (arms,)."""
    return sigmoid(belief.mean) if belief.logit else np.minimum(np.maximum(belief.mean, 0.0), 1.0)
