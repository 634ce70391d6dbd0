"""Thompson sampling with its marginals computed, so that the logged propensity is exact."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from armwise.contracts import BayesianModel, Choice, Knowledge, Posterior, Slots, Vector
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy, check_share, expected_quality
from armwise.policies.batch import Table
from armwise.policies.marginals import best_arm_probabilities

_IDLE: Final = 0.02
"""Points of quality: where its cost takes less off the dearest arm, and yet something, a budget lies idle."""
_MANY: Final = 12
"""Beyond so many arms the horizon grows no more."""


class ThompsonSampling(ModelPolicy):
    """Thompson sampling in score space (Agrawal & Goyal 2013; Chapelle & Li 2011), decaying.

    The probability that an arm's sampled utility is the highest is computed on a grid of ``nodes`` intervals
    (:mod:`armwise.policies.marginals`); the arm is then drawn from the result, which makes the logged propensity exact
    whatever the grid's error. The deviation is scaled by ``scale`` * min(1, sqrt(horizon / lessons)): with many arms a
    constant scale explores too long (the theory's constant is larger still; its regret bound is lost here). The horizon
    is ``horizon`` lessons, or ``per_arm`` for each arm of the choice, up to twelve of them, where that is more: many
    arms share the lessons. Twenty for each pay in the long run, and cost at first.

    Money that lies idle pays for more. Where a budget's price of money is at its floor no arm loses by its cost; then
    the deviation of arms dearer than the favourite is not decayed, so that a policy that gave them up too early finds
    out. That is read from the penalties, which the log has. Where money has no price at all nothing changes.

    A policy that has become sure leaves a log that cannot answer for the arms it no longer tries; ``floor`` is the
    share of every draw that all eligible arms have alike, so that the log stays answerable.

    Exploring pays only where something comes back. Where just a share of the answers is judged, ``explored`` is the
    share of the decisions that explore: after ``horizon`` lessons the rest of every draw goes to the arm that is most
    likely to be the best.

    Raises:
        BadInput: on parameters out of range.
    """

    name = "thompson"
    needs = Knowledge.POSTERIOR
    engine = "mixed"
    model: BayesianModel

    def __init__(
        self,
        model: BayesianModel,
        *,
        scale: float = 0.6,
        horizon: float = 100.0,
        per_arm: float = 0.0,
        nodes: int = 64,
        floor: float = 0.0,
        explored: float = 1.0,
    ) -> None:
        super().__init__(model)
        if scale < 0 or horizon <= 0 or per_arm < 0 or nodes < 8:
            raise BadInput(
                "thompson needs scale >= 0, horizon > 0, per_arm >= 0, nodes >= 8, "
                f"got {scale}, {horizon}, {per_arm}, {nodes}"
            )
        self.scale = scale
        self.horizon = horizon
        self.per_arm = per_arm
        self.nodes = nodes
        self.floor = check_share(self.name, "floor", floor)
        self.explored = check_share(self.name, "explored", explored)
        self._method = f"quadrature:{nodes}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {
            "scale": self.scale,
            "horizon": self.horizon,
            "per_arm": self.per_arm,
            "nodes": self.nodes,
            "floor": self.floor,
            "explored": self.explored,
        }

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        belief = self.model.posterior(vector, slots)
        probabilities = self._shared_out(self._marginals(belief, penalty))
        return Choice(probabilities, expected_quality(belief), self._method)

    def _marginals(self, belief: Posterior, penalty: Vector) -> Vector:
        """Probability that each arm is the best, by the belief with its deviation scaled; shape (arms,)."""
        horizon = max(self.horizon, self.per_arm * min(len(penalty), _MANY))
        left = min(1.0, horizon / (1.0 + self.model.lessons))
        deviation = belief.deviation * (self.scale * math.sqrt(left))
        if 0.0 < max(penalty.tolist()) < _IDLE:
            favourite = (expected_quality(belief) - penalty).argmax()
            deviation = np.where(penalty > penalty[favourite], belief.deviation * self.scale, deviation)
        return best_arm_probabilities(Posterior(belief.mean, deviation, belief.logit), penalty, self.nodes)

    def _shared_out(self, probabilities: Table) -> Table:
        """The same, less what is not to explore, and with the floor's share for all arms; shape (..., arms)."""
        if self.explored < 1.0 and self.model.lessons >= self.horizon:
            best = probabilities.argmax(axis=-1)[..., None]
            probabilities = probabilities * self.explored
            surest = np.take_along_axis(probabilities, best, -1) + (1.0 - self.explored)
            np.put_along_axis(probabilities, best, surest, -1)
        if self.floor:
            probabilities = probabilities * (1.0 - self.floor) + self.floor / probabilities.shape[-1]
        return probabilities

    def choose_many(self, vectors: Table, slots: Slots, penalties: Table) -> Table | None:
        many = getattr(self.model, "posterior_many", None)
        if many is None:
            return None
        belief: Posterior = many(vectors, slots)
        out = np.empty(penalties.shape)
        for i, penalty in enumerate(penalties):
            out[i] = self._marginals(Posterior(belief.mean[i], belief.deviation[i], belief.logit), penalty)
        return self._shared_out(out)
