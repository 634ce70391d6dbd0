"""Several models of resampled pasts vote: what they disagree on is explored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from armwise.arrays import uniform
from armwise.contracts import Arm, Choice, Experience, QualityModel, Slots, State, Vector
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy, best_of, check_share, decayed

_POISSON = (0.36787944117144233, 0.7357588823428847, 0.9196986029286058, 0.9810118431238462, 0.9963401531726563)
"""Distribution function of Poisson(1) at 0 to 4; what is beyond counts as 5."""


class BootstrappedBag(ModelPolicy):
    """Online bootstrap (Eckles & Kaptein 2014; Bietti, Agarwal & Langford 2021, section 2.3): Thompson sampling for
    engines that have no posterior.

    Each of ``replicates`` models takes each lesson Poisson(1) times, drawn from the lesson's number, so that a replay
    repeats it. Every replicate gives its vote to its best predicted utility; probabilities are shares of the votes,
    less ``floor``, which all arms share and which decays as 1 / sqrt(1 + lessons / horizon). A further model, which
    takes every lesson once, makes the predictions that are logged. At the start the replicates agree, because they
    share their prior: the floor is all the exploration there is then. A correction moves every replicate alike.

    Args:
        replicates: models; a decision costs as many predictions.
        floor: share of exploration at the start.
        horizon: lessons after which it decays; None keeps it.

    Raises:
        BadInput: on parameters out of range.
    """

    name = "bag"

    def __init__(
        self,
        model: QualityModel,
        voters: Sequence[QualityModel],
        *,
        floor: float = 0.1,
        horizon: float | None = 200.0,
    ) -> None:
        super().__init__(model)
        if horizon is not None and not horizon > 0:
            raise BadInput(f"bag needs horizon > 0, got {horizon}")
        self.voters = list(voters)
        self.floor = check_share(self.name, "floor", floor)
        self.horizon = horizon

    @classmethod
    def build(
        cls, make_model: Callable[[], QualityModel], *, replicates: int = 8, **parameters: Any
    ) -> BootstrappedBag:
        if isinstance(replicates, bool) or not isinstance(replicates, int) or not 1 <= replicates <= 1000:
            raise BadInput(f"bag needs a whole number of replicates from 1 to 1000, got {replicates!r}")
        return cls(make_model(), [make_model() for _ in range(replicates)], **parameters)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"replicates": len(self.voters), "floor": self.floor, "horizon": self.horizon}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        floor = decayed(self.floor, self.model.lessons, self.horizon)
        votes = np.zeros(len(slots))
        for voter in self.voters:
            votes += best_of(voter.predict(vector, slots) - penalty)
        votes *= (1.0 - floor) / len(self.voters)
        votes += floor / len(slots)
        return Choice(votes, self.model.predict(vector, slots))

    def learn(self, experience: Experience) -> None:
        number = self.model.lessons
        super().learn(experience)
        for place, voter in enumerate(self.voters):
            times = 1 if experience.replaces is not None else _poisson(number * len(self.voters) + place)
            if times:
                voter.learn(experience._replace(weight=experience.weight * times))

    def add_arm(self, arm: Arm) -> int:
        for voter in self.voters:
            voter.add_arm(arm)
        return super().add_arm(arm)

    def state(self) -> State:
        return {**super().state(), "voters": [voter.state() for voter in self.voters]}

    def restore(self, state: State) -> None:
        super().restore(state)
        for voter, kept in zip(self.voters, state["voters"], strict=True):
            voter.restore(kept)


def _poisson(number: int) -> int:
    """A draw of Poisson(1) made from a number."""
    luck = uniform(number * 0x2545F4914F6CDD1D + 1)
    return sum(luck >= level for level in _POISSON)
