"""Thompson sampling that leans to the optimistic side."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.contracts import Arm, BayesianModel, Experience
from armwise.errors import BadInput
from armwise.policies.thompson import ThompsonSampling


class FeelGoodThompson(ThompsonSampling):
    """Feel-good Thompson sampling (Zhang 2022): the likelihood gets a bonus lambda * max_a f(x, a) per context seen.

    Zhang's posterior is not normal. Here the bonus is taken to first order about the current mean: each lesson also
    moves the best predicted arm's belief along its context, as if that arm had done ``bonus`` / sqrt(1 + lessons /
    ``horizon``) better than expected, and adds no evidence. With the linear engine that is exactly a linear term in the
    log-posterior; the maximum's change of arm is followed from lesson to lesson only. Zhang's bound (minimax in
    dimension and arms) is for the exact posterior, without decay and without the scaled deviation of
    :class:`~armwise.policies.thompson.ThompsonSampling`. Predictions are optimistic by design: use another policy where
    they have to be calibrated. The maximum is over the quality of the action set, not over utility, for what other arms
    would have cost is not part of a lesson.

    Raises:
        BadInput: on parameters out of range.
    """

    name = "feelgood"

    def __init__(
        self,
        model: BayesianModel,
        *,
        bonus: float = 0.05,
        scale: float = 0.6,
        horizon: float = 100.0,
        per_arm: float = 0.0,
        nodes: int = 64,
        floor: float = 0.0,
        explored: float = 1.0,
    ) -> None:
        super().__init__(
            model, scale=scale, horizon=horizon, per_arm=per_arm, nodes=nodes, floor=floor, explored=explored
        )
        if not 0 <= bonus <= 1:
            raise BadInput(f"feelgood needs a bonus in [0, 1], got {bonus}")
        self.bonus = bonus
        self._arms = 0

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"bonus": self.bonus, **super().parameters}

    def learn(self, experience: Experience) -> None:
        super().learn(experience)
        if experience.replaces is not None or not self.bonus:
            return
        actions = experience.actions or range(self._arms)
        slots = np.array(actions, dtype=np.intp)
        best = int(slots[self.model.predict(experience.vector, slots).argmax()])
        bonus = self.bonus / math.sqrt(1.0 + self.model.lessons / self.horizon)
        self.model.learn(Experience(experience.vector, best, quality=bonus * experience.weight, replaces=0.0))

    def add_arm(self, arm: Arm) -> int:
        slot = super().add_arm(arm)
        self._arms = slot + 1
        return slot

    def state(self) -> dict[str, Any]:
        return {**super().state(), "arms": self._arms}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self._arms = int(state["arms"])
