"""Thompson sampling with its marginals computed, so that the logged propensity is exact."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

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
    is ``per_arm`` lessons for each arm of the choice, up to twelve of them, and at least ``horizon``: many arms share
    the lessons, and one that had bad luck with its few is otherwise not tried again.

    Money that lies idle pays for more. Where a budget's price of money is at its floor no arm loses by its cost; then
    the deviation of arms dearer than the favourite is not decayed, so that a policy that gave them up too early finds
    out. That is read from the penalties, which the log has. Where money has no price at all nothing changes.

    A policy that has become sure leaves a log that cannot answer for the arms it no longer tries; ``floor`` is the
    share of every draw that all eligible arms have alike, so that the log stays answerable.

    Exploring pays only where something comes back. Where just a share of the answers is judged, ``explored`` is the
    share of the decisions that explore: after the horizon's lessons the rest of every draw goes to the arm that is most
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
        per_arm: float = 20.0,
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
        probabilities = best_arm_probabilities(self._tempered(belief, penalty), penalty, self.nodes)
        return Choice(self._shared_out(probabilities), expected_quality(belief), self._method)

    def _tempered(self, belief: Posterior, penalty: Table) -> Posterior:
        """The belief that is drawn from, with its deviation scaled; arrays of shape (..., arms)."""
        deviation = belief.deviation * (self.scale * math.sqrt(self._wonder(penalty.shape[-1])))
        idle = _idle(penalty)
        if idle.any():
            value = expected_quality(belief) - penalty
            favourite = value.argmax(axis=-1)[..., None]
            dearer = (penalty > np.take_along_axis(penalty, favourite, -1)) & idle[..., None]
            deviation = np.where(dearer, belief.deviation * self.scale, deviation)
        return Posterior(belief.mean, deviation, belief.logit)

    def _wonder(self, arms: int) -> float:
        """What is left of the deviation's square, in (0, 1], in a choice of so many arms."""
        return min(1.0, self._horizon_of(arms) / (1.0 + self.model.lessons))

    def _horizon_of(self, arms: int) -> float:
        """Lessons after which a choice of so many arms explores less."""
        return max(self.horizon, self.per_arm * min(arms, _MANY))

    def _shared_out(self, probabilities: Table) -> Table:
        """The same, less what is not to explore, and with the floor's share for all arms; shape (..., arms)."""
        if self.explored < 1.0 and self.model.lessons >= self._horizon_of(probabilities.shape[-1]):
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
        belief = self._tempered(many(vectors, slots), penalties)
        out = np.empty(penalties.shape)
        for i, penalty in enumerate(penalties):
            drawn_from = Posterior(belief.mean[i], belief.deviation[i], belief.logit)
            out[i] = best_arm_probabilities(drawn_from, penalty, self.nodes)
        return self._shared_out(out)


def _idle(penalty: Table) -> NDArray[np.bool_]:
    """Whether a budget lies idle: its price is so low that no arm loses by its cost; shape (...,)."""
    highest = np.maximum.reduce(penalty, axis=-1)
    idle: NDArray[np.bool_] = (highest > 0.0) & (highest < _IDLE)
    return idle
