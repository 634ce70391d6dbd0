"""First find out, then use it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.contracts import Arm, Choice, QualityModel, Slots, State, Vector
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy, best_of, check_share


class ExploreThenCommit(ModelPolicy):
    """All arms alike until there are ``lessons_per_arm`` lessons for each, then the best predicted utility.

    Exploration takes no notice of cost. The model goes on learning after the commitment, from the arms that it then
    chooses. An arm that joins later reopens exploration for its own share of lessons. Regret grows as the 2/3 power of
    time at best, and only if the horizon is known when the number is set (Langford & Zhang 2007). A log of the first
    phase is the best there is for off-policy evaluation; one of the second is of no use for it unless there is a
    ``floor``.

    Raises:
        BadInput: on a negative number of lessons or a floor outside [0, 1].
    """

    name = "explore_commit"

    def __init__(self, model: QualityModel, *, lessons_per_arm: int = 50, floor: float = 0.0) -> None:
        super().__init__(model)
        if isinstance(lessons_per_arm, bool) or not isinstance(lessons_per_arm, int) or lessons_per_arm < 0:
            raise BadInput(f"explore_commit needs a whole number lessons_per_arm >= 0, got {lessons_per_arm!r}")
        self.lessons_per_arm = lessons_per_arm
        self.floor = check_share(self.name, "floor", floor)
        self._due = 0

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"lessons_per_arm": self.lessons_per_arm, "floor": self.floor}

    @property
    def exploring(self) -> bool:
        """Whether the first phase is still on."""
        return self.model.lessons < self._due

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        quality = self.model.predict(vector, slots)
        if self.exploring:
            return Choice(np.full(len(slots), 1.0 / len(slots)), quality)
        return Choice(best_of(quality - penalty, self.floor), quality)

    def add_arm(self, arm: Arm) -> int:
        slot = super().add_arm(arm)
        self._due = max(self._due, self.model.lessons) + self.lessons_per_arm
        return slot

    def state(self) -> State:
        return {**super().state(), "due": self._due}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._due = int(state["due"])
