"""Quality by the nearest of past requests, in bounded memory."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from armwise.arrays import grown
from armwise.contracts import Arm, Experience, Knowledge, Posterior, Slots, State, Vector
from armwise.errors import BadInput, SnapshotError
from armwise.predictors.means import MeanModel


class NeighbourModel:
    """mean = (sum over the n lessons of the arm among the ``neighbours`` nearest + shrinkage * the arm's mean)
    / (n + shrinkage).

    The last ``memory`` lessons are kept, the oldest making room for the newest; each arm's mean is over all of its
    lessons. Distance is Euclidean, so the scale of the features decides what is near. The deviation is that of a
    quality in [0, 1] with n + shrinkage lessons, 0.5 / sqrt(n + shrinkage): an arm that was not tried on requests like
    this one is unsure. A correction changes the lesson if it is still kept, and always the arm's mean.

    Raises:
        BadInput: on parameters out of range.
    """

    knowledge: ClassVar[Knowledge] = Knowledge.POSTERIOR

    def __init__(
        self,
        dimension: int,
        *,
        neighbours: int = 200,
        memory: int = 2_000,
        shrinkage: float = 5.0,
        prior_quality: float = 0.88,
    ) -> None:
        for name, count in (("neighbours", neighbours), ("memory", memory)):
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1_000_000:
                raise BadInput(f"{name} must be a whole number from 1 to 1,000,000, got {count!r}")
        if not shrinkage > 0:
            raise BadInput(f"shrinkage must be positive, got {shrinkage}")
        self.dimension = dimension
        self.neighbours = neighbours
        self.memory = memory
        self.shrinkage = shrinkage
        self._means = MeanModel(dimension, prior_quality=prior_quality)
        self._vectors = np.zeros((0, dimension))
        self._norms = np.zeros(0)
        self._slots = np.zeros(0, dtype=np.intp)
        self._qualities = np.zeros(0)
        self._weights = np.zeros(0)
        self._kept = 0
        self._written = 0

    @property
    def spec(self) -> Mapping[str, Any]:
        return {
            "engine": type(self).__name__,
            "dimension": self.dimension,
            "neighbours": self.neighbours,
            "memory": self.memory,
            "shrinkage": self.shrinkage,
            "prior_quality": self._means.prior_quality,
        }

    @property
    def lessons(self) -> int:
        return self._means.lessons

    def add_arm(self, arm: Arm) -> int:
        return self._means.add_arm(arm)

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        return self._near(vector, slots)[0]

    def posterior(self, vector: Vector, slots: Slots) -> Posterior:
        mean, count = self._near(vector, slots)
        return Posterior(mean, 0.5 / np.sqrt(count + self.shrinkage), False)

    def _near(self, vector: Vector, slots: Slots) -> tuple[Vector, Vector]:
        """Mean quality, and how much was seen near the context; shape (arms,) each."""
        prior = self._means.predict(vector, slots)
        if not self._kept:
            return prior, np.zeros(len(slots))
        distance = self._norms[: self._kept] - self._vectors[: self._kept] @ (2.0 * vector)
        if self._kept > self.neighbours:
            near = np.argpartition(distance, self.neighbours)[: self.neighbours]
        else:
            near = np.arange(self._kept)
        arms = int(slots.max()) + 1 if len(slots) else 0
        arms = max(arms, int(self._slots[near].max()) + 1)
        weights = self._weights[near]
        count: Vector = np.bincount(self._slots[near], weights, minlength=arms)[slots].astype(np.float64)
        total = np.bincount(self._slots[near], weights * self._qualities[near], minlength=arms)[slots]
        mean: Vector = (total + self.shrinkage * prior) / (count + self.shrinkage)
        return mean, count

    def learn(self, experience: Experience) -> None:
        if experience.replaces is not None:
            self._correct(experience)
            return
        place = self._written % self.memory
        self._written += 1
        self._means.learn(experience)
        if place >= len(self._norms):
            room = min(self.memory, max(64, 2 * place))
            self._vectors, self._norms, self._slots, self._qualities, self._weights = (
                grown(a, room) for a in (self._vectors, self._norms, self._slots, self._qualities, self._weights)
            )
        self._vectors[place] = experience.vector
        self._norms[place] = experience.vector @ experience.vector
        self._slots[place] = experience.slot
        self._qualities[place] = experience.quality
        self._weights[place] = experience.weight
        self._kept = max(self._kept, place + 1)

    def _correct(self, experience: Experience) -> None:
        self._means.learn(experience)
        kept = slice(self._kept)
        same = (self._slots[kept] == experience.slot) & (self._qualities[kept] == experience.replaces)
        for place in np.flatnonzero(same):
            if np.array_equal(self._vectors[place], experience.vector):
                self._qualities[place], self._weights[place] = experience.quality, experience.weight
                return

    def state(self) -> State:
        names = ("vectors", "norms", "slots", "qualities", "weights")
        kept = {name: getattr(self, f"_{name}")[: self._kept].copy() for name in names}
        return {**kept, "written": self._written, "means": self._means.state()}

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if its dimension is another.
        """
        vectors = state["vectors"]
        if vectors.shape[1] != self.dimension:
            raise SnapshotError(f"snapshot has {vectors.shape[1]} features per arm, this model has {self.dimension}")
        self._vectors, self._norms = vectors.copy(), state["norms"].copy()
        self._slots, self._qualities = state["slots"].astype(np.intp), state["qualities"].copy()
        self._weights = state["weights"].copy()
        self._kept, self._written = len(self._norms), int(state["written"])
        self._means.restore(state["means"])
