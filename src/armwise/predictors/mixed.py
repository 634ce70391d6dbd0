"""The default engine: two beliefs about how much arms differ in what they are good at, weighted by their evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from armwise.arrays import sigmoid
from armwise.contracts import Arm, Experience, Knowledge, Posterior, Slots, State, Vector
from armwise.errors import BadInput, SnapshotError
from armwise.predictors.kin import ABILITY
from armwise.predictors.shared import SharedModel
from armwise.predictors.standardise import Standardiser

_NEGLIGIBLE: Final = 1e-3
"""Below this weight a belief is not asked when deciding; it goes on learning, and may come back."""
_SURE: Final = 10.0
"""Bound on the log-odds between the two, so that other traffic can turn them."""


class MixedModel:
    """Two engines ``shared`` that learn from the same lessons, averaged by how well each foretold them.

    On most traffic arms of unlike ability differ in level, hardly in what they are good at: the *tight* belief holds
    their own slopes near nothing, and what it does not have to learn costs no exploration. On some (word problems of
    one kind, a strong arm and a weak one) the difference depends on the request, and a tight prior hides that for
    thousands of lessons: the *loose* belief gives arms' own slopes more than four times the variance. Of what all arms
    have in common both believe the same, lest the evidence be about that. Which of the two a service is like is not
    known beforehand, so it is learned: a belief's weight is its prior probability times the likelihood that it gave
    each lesson before it learned it (Bayesian model averaging; Hoeting et al. 1999). The likelihood of a lesson is that
    of the normal belief about its score through the logistic link (MacKay 1992); a quality between 0 and 1 counts as
    that share of a success. Lessons are of the drawn arms alone; that does not bias the weights, for what was drawn
    depends on earlier lessons only. The evidence of a lesson that is corrected later stays.

    ``posterior`` has the mixture's mean and variance, and takes it as normal. That the two differ in the level of all
    arms alike does not count: it cancels in a comparison.

    Args:
        dimension: length of the context vectors.
        loose: prior probability of the loose belief; 0 < loose < 1.
        loose_precision, loose_kinship, loose_common: its ``slope_precision``, ``kinship`` and ``common``.
        slope_precision, kinship, common: those of the tight one.
        intercept_precision, prior_quality, level_kinship, level_common, doubt, kin, forgetting: of both, see
            :class:`armwise.predictors.shared.SharedModel`.
        spread: deviation that every feature is brought to as contexts come; None takes them as they are.

    Raises:
        BadInput: on parameters out of range or an unknown kind of trait.
    """

    knowledge: ClassVar[Knowledge] = Knowledge.POSTERIOR

    def __init__(
        self,
        dimension: int,
        *,
        loose: float = 0.8,
        loose_precision: float = 2.67,
        loose_kinship: float = 0.76,
        loose_common: float = 0.67,
        slope_precision: float = 4.35,
        intercept_precision: float = 0.5,
        prior_quality: float = 0.82,
        kinship: float = 0.913,
        level_kinship: float = 0.917,
        common: float = 0.905,
        level_common: float = 0.78,
        doubt: float = 2.5,
        kin: Iterable[str] = (ABILITY,),
        spread: float | None = 0.25,
        forgetting: float = 1.0,
    ) -> None:
        if not 0 < loose < 1:
            raise BadInput(f"loose must be between 0 and 1, both excluded, got {loose}")
        both: dict[str, Any] = {
            "intercept_precision": intercept_precision,
            "prior_quality": prior_quality,
            "level_kinship": level_kinship,
            "level_common": level_common,
            "doubt": doubt,
            "kin": (kin,) if isinstance(kin, str) else tuple(kin),
            "forgetting": forgetting,
            "spread": None,  # contexts are scaled once, here
        }
        self.tight = SharedModel(dimension, slope_precision=slope_precision, kinship=kinship, common=common, **both)
        self.loose = SharedModel(
            dimension, slope_precision=loose_precision, kinship=loose_kinship, common=loose_common, **both
        )
        self.prior = loose
        self._log_odds = math.log(loose / (1.0 - loose))
        self._scale = Standardiser(dimension, spread)

    @property
    def spec(self) -> Mapping[str, Any]:
        loose = self.loose.spec
        return {
            **self.tight.spec,
            "engine": type(self).__name__,
            "loose": self.prior,
            **{f"loose_{name}": loose[name] for name in ("kinship", "common")},
            "loose_precision": loose["slope_precision"],
            "spread": self._scale.spread,
        }

    @property
    def dimension(self) -> int:
        return self.tight.dimension

    @property
    def lessons(self) -> int:
        return self.tight.lessons

    @property
    def arms(self) -> int:
        """Number of slots."""
        return self.tight.arms

    @property
    def weight(self) -> float:
        """Probability of the loose belief."""
        return 1.0 / (1.0 + math.exp(-self._log_odds))

    def add_arm(self, arm: Arm) -> int:
        self.loose.add_arm(arm)
        return self.tight.add_arm(arm)

    # ---------------------------------------------------------------------------- predictions

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        return sigmoid(self.posterior(vector, slots).mean)

    def posterior(self, vector: Vector, slots: Slots) -> Posterior:
        """Belief about each arm's score, less what is uncertain of all arms alike."""
        return self._averaged("posterior", vector, slots)

    def posterior_many(self, vectors: NDArray[np.float64], slots: Slots) -> Posterior:
        """:meth:`posterior` for contexts [n, d]; arrays of shape (n, arms)."""
        return self._averaged("posterior_many", vectors, slots)

    def predict_many(self, vectors: NDArray[np.float64], slots: Slots) -> NDArray[np.float64]:
        """Mean quality for contexts [n, d]; shape (n, arms)."""
        return sigmoid(self.posterior_many(vectors, slots).mean)

    def _averaged(self, ask: str, contexts: NDArray[np.float64], slots: Slots) -> Posterior:
        scaled, weight = self._scale(contexts), self.weight
        if weight < _NEGLIGIBLE:
            return getattr(self.tight, ask)(scaled, slots)  # type: ignore[no-any-return]  # both give a Posterior
        if weight > 1.0 - _NEGLIGIBLE:
            return getattr(self.loose, ask)(scaled, slots)  # type: ignore[no-any-return]
        tight: Posterior = getattr(self.tight, ask)(scaled, slots)
        loose: Posterior = getattr(self.loose, ask)(scaled, slots)
        apart = loose.mean - tight.mean
        mean = tight.mean + weight * apart
        apart -= apart.sum(axis=-1, keepdims=True) / slots.size
        variance = (1.0 - weight) * tight.deviation**2 + weight * loose.deviation**2
        variance += weight * (1.0 - weight) * apart**2
        return Posterior(mean, np.sqrt(variance), True)

    # ---------------------------------------------------------------------------- lessons

    def learn(self, experience: Experience) -> None:
        """Both learn; a lesson that is new moves their weights by how likely each held it."""
        seen = experience._replace(vector=self._scale(experience.vector))
        gained = self.loose.learn_foretold(seen) - self.tight.learn_foretold(seen)
        if experience.replaces is None:
            self._log_odds = min(max(self._log_odds + gained, -_SURE), _SURE)
            self._scale.see(experience.vector)

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        return {
            "tight": self.tight.state(),
            "loose": self.loose.state(),
            "log_odds": self._log_odds,
            "lessons": self.lessons,
            "scale": self._scale.state(),
        }

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if its dimension is another, or it is not of this engine.
        """
        if "tight" not in state:
            raise SnapshotError("snapshot is of another engine than mixed: name that one as the policy's engine")
        self.tight.restore(state["tight"])
        self.loose.restore(state["loose"])
        self._log_odds = float(state["log_odds"])
        self._scale.restore(state["scale"])
