"""Optimism in the face of uncertainty, mixed with a floor that keeps every arm's probability known and positive."""

from collections.abc import Mapping
from typing import Any

from armwise.arrays import sigmoid
from armwise.contracts import BayesianModel, Choice, Knowledge, Slots, Vector
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy, best_of, check_share, expected_quality


class LinUCB(ModelPolicy):
    """LinUCB (Li, Chu, Langford & Schapire 2010, algorithm 1) over the engine's belief, with a floor.

    The arm with the highest mean + ``alpha`` deviations, less its penalty, takes all but ``floor``, which all arms
    share; ties are split. Without a floor the rule is deterministic, and its log is of no use for off-policy
    evaluation. The theory's alpha grows with dimension and time and explores far longer than pays; its bound is for
    linear rewards (with a logistic engine the bonus is added to the log-odds: Filippi et al. 2010, without their
    projection), and the floor alone costs regret in proportion to time.

    Raises:
        BadInput: on a negative alpha or a floor outside [0, 1].
    """

    name = "linucb"
    needs = Knowledge.POSTERIOR
    engine = "linear"
    model: BayesianModel

    def __init__(self, model: BayesianModel, *, alpha: float = 0.5, floor: float = 0.02) -> None:
        super().__init__(model)
        if not alpha >= 0:
            raise BadInput(f"{self.name} needs alpha >= 0, got {alpha}")
        self.alpha = alpha
        self.floor = check_share(self.name, "floor", floor)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"alpha": self.alpha, "floor": self.floor}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        belief = self.model.posterior(vector, slots)
        upper = belief.mean + self.alpha * belief.deviation
        if belief.logit:
            upper = sigmoid(upper)
        return Choice(best_of(upper - penalty, self.floor), expected_quality(belief))
