"""Each arm's mean quality, whatever the request: what there is to know without a context."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from armwise.arrays import grown
from armwise.contracts import Arm, Experience, Knowledge, Posterior, Slots, State, Vector
from armwise.errors import BadInput


class MeanModel:
    """mean = (sum of qualities + patience * prior) / (lessons + patience) per arm; blind to the context.

    The deviation is that of a Beta belief with these counts, sqrt(m (1 - m) / (n + 1)). ``forgetting`` below 1
    multiplies an arm's counts at each of its own lessons, so that its latest 1 / (1 - forgetting) lessons count.

    Args:
        prior_quality: of an arm that comes with none of its own.
        patience: how many lessons the prior is worth.
        forgetting: per lesson of the arm.

    Raises:
        BadInput: on parameters out of range.
    """

    knowledge: ClassVar[Knowledge] = Knowledge.POSTERIOR

    def __init__(
        self, dimension: int, *, prior_quality: float = 0.88, patience: float = 2.0, forgetting: float = 1.0
    ) -> None:
        if not 0 < prior_quality < 1 or not patience > 0 or not 0 < forgetting <= 1:
            raise BadInput(
                "means needs prior_quality between 0 and 1, patience > 0 and forgetting in (0, 1], "
                f"got {prior_quality}, {patience} and {forgetting}"
            )
        self.dimension = dimension
        self.prior_quality = prior_quality
        self.patience = patience
        self.forgetting = forgetting
        self._prior = np.zeros(0)
        self._total = np.zeros(0)
        self._count = np.zeros(0)
        self._lessons = 0

    @property
    def spec(self) -> Mapping[str, Any]:
        return {
            "engine": type(self).__name__,
            "prior_quality": self.prior_quality,
            "patience": self.patience,
            "forgetting": self.forgetting,
        }

    @property
    def lessons(self) -> int:
        return self._lessons

    def add_arm(self, arm: Arm) -> int:
        slot = len(self._prior)
        self._prior, self._total, self._count = (grown(a, slot + 1) for a in (self._prior, self._total, self._count))
        priors = [model.quality_prior for model in arm.models if model.quality_prior is not None]
        self._prior[slot] = max(priors, default=self.prior_quality)
        return slot

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        quality: Vector = (self._total[slots] + self.patience * self._prior[slots]) / (
            self._count[slots] + self.patience
        )
        return quality

    def posterior(self, vector: Vector, slots: Slots) -> Posterior:
        mean = self.predict(vector, slots)
        variance = mean * (1.0 - mean) / (self._count[slots] + self.patience + 1.0)
        return Posterior(mean, np.sqrt(np.maximum(variance, 0.0)), False)

    def learn(self, experience: Experience) -> None:
        slot, weight = experience.slot, experience.weight
        taken_back = 0.0
        if experience.replaces is not None:
            taken_back = experience.replaced_weight
            self._total[slot] -= taken_back * experience.replaces
        else:
            self._total[slot] *= self.forgetting
            self._count[slot] *= self.forgetting
        self._total[slot] += weight * experience.quality
        self._count[slot] += weight - taken_back
        self._lessons += (weight > 0.0) - (taken_back > 0.0)

    def state(self) -> State:
        kept = {name: getattr(self, f"_{name}").copy() for name in ("prior", "total", "count")}
        return {**kept, "lessons": self._lessons}

    def restore(self, state: State) -> None:
        self._prior, self._total, self._count = (state[name].copy() for name in ("prior", "total", "count"))
        self._lessons = int(state["lessons"])
