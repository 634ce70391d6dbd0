"""What the linear and the logistic engine share: per arm a normal belief over weights, kept by rank-one updates."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from armwise.arrays import grown, sigmoid, subtract_outer
from armwise.contracts import Arm, Experience, Knowledge, Posterior, Slots, State, Vector
from armwise.errors import BadInput, SnapshotError


class GaussianArms:
    """Disjoint arms: weights ~ N(mean[a], covariance[a]); arrays of shape (arms, d) and (arms, d, d).

    The prior is N(prior_mean, diag(1 / precision)): strong on slopes, weak on the intercept, which is dimension 0 of
    every vector. ``forgetting`` below 1 multiplies what an arm knows by that factor at each of its own lessons, never
    letting its covariance exceed the prior's, so that an arm that is not tried for long stays as it was.

    Keep arms x d^2 under about 250,000 doubles: past the L2 cache an update costs ten times more.

    Raises:
        BadInput: on parameters out of range.
    """

    knowledge: ClassVar[Knowledge] = Knowledge.POSTERIOR
    logit = False

    def __init__(
        self,
        dimension: int,
        *,
        slope_precision: float,
        intercept_precision: float,
        prior_quality: float,
        forgetting: float = 1.0,
    ) -> None:
        if dimension < 1:
            raise BadInput(f"dimension must be at least 1, got {dimension}")
        if min(slope_precision, intercept_precision) <= 0:
            raise BadInput(f"precisions must be positive, got {slope_precision} and {intercept_precision}")
        if not 0 < prior_quality < 1:
            raise BadInput(f"prior_quality must be between 0 and 1, both excluded, got {prior_quality}")
        if not 0 < forgetting <= 1:
            raise BadInput(f"forgetting must be above 0 and at most 1, got {forgetting}")
        self.dimension = dimension
        self.prior_quality = prior_quality
        self.forgetting = forgetting
        variance = np.full(dimension, 1.0 / slope_precision)
        variance[0] = 1.0 / intercept_precision
        self._prior_variance = variance
        self._mean = np.zeros((0, dimension))
        self._covariance = np.zeros((0, dimension, dimension))
        self._lessons = 0

    @property
    def spec(self) -> Mapping[str, Any]:
        intercept, slope = (1.0 / self._prior_variance[[0, -1]]).tolist()
        return {
            "engine": type(self).__name__,
            "dimension": self.dimension,
            "slope_precision": slope,
            "intercept_precision": intercept,
            "prior_quality": self.prior_quality,
            "forgetting": self.forgetting,
        }

    @property
    def lessons(self) -> int:
        return self._lessons

    @property
    def arms(self) -> int:
        """Number of slots."""
        return len(self._mean)

    def add_arm(self, arm: Arm) -> int:
        slot = self.arms
        self._mean = grown(self._mean, slot + 1)
        self._covariance = grown(self._covariance, slot + 1)
        priors = [model.quality_prior for model in arm.models if model.quality_prior is not None]
        self._mean[slot, 0] = self._score(max(priors, default=self.prior_quality))
        self._covariance[slot] = np.diag(self._prior_variance)
        return slot

    def posterior(self, vector: Vector, slots: Slots) -> Posterior:
        """Belief about each arm's score: one product over all arms, for copying a part would cost more."""
        mean = self._mean @ vector
        variance = (self._covariance @ vector) @ vector
        if slots.size != self.arms:
            mean, variance = mean[slots], variance[slots]
        return Posterior(mean, np.sqrt(np.maximum(variance, 0.0)), self.logit)  # rounding may go below zero

    def posterior_many(self, vectors: NDArray[np.float64], slots: Slots) -> Posterior:
        """:meth:`posterior` for contexts [n, d]; arrays of shape (n, arms)."""
        mean = vectors @ self._mean[slots].T
        variance = np.empty_like(mean)
        for i, slot in enumerate(slots.tolist()):
            variance[:, i] = ((vectors @ self._covariance[slot]) * vectors).sum(axis=1)
        return Posterior(mean, np.sqrt(np.maximum(variance, 0.0)), self.logit)

    def predict_many(self, vectors: NDArray[np.float64], slots: Slots) -> NDArray[np.float64]:
        """Mean quality for contexts [n, d]; shape (n, arms)."""
        mean = vectors @ self._mean[slots].T
        return sigmoid(mean) if self.logit else np.clip(mean, 0.0, 1.0)

    def learn(self, experience: Experience) -> None:
        """One step of online Laplace (linear: exact recursive least squares) on the arm that was drawn.

        A correction takes the lesson that it replaces out in the same step: exact for the linear engine without
        forgetting, whatever came between; else to first order.
        """
        vector, slot = experience.vector, experience.slot
        weight, quality, taken_back = experience.weight, experience.quality, 0.0
        mean, covariance = self._mean[slot], self._covariance[slot]
        fitted, curvature = self._fit(float(mean @ vector))
        pull = weight * (quality - fitted)
        if experience.replaces is not None:
            taken_back = experience.replaced_weight
            pull -= taken_back * (experience.replaces - fitted)
        elif self.forgetting < 1.0:
            np.multiply(covariance, 1.0 / self.forgetting, out=covariance)
            excess = np.sqrt(np.maximum(np.diagonal(covariance) / self._prior_variance, 1.0))
            covariance /= np.multiply.outer(excess, excess)
        gain = covariance @ vector
        curvature *= weight - taken_back
        if curvature:
            left = 1.0 + curvature * float(vector @ gain)
            if curvature < 0.0:  # never back beyond the prior
                left = max(left, 1.0 / (1.0 - curvature * float(self._prior_variance @ (vector * vector))))
            subtract_outer(covariance, gain, curvature / left)
            gain /= left
        mean += gain * pull
        self._lessons += (weight > 0.0) - (taken_back > 0.0)

    def state(self) -> State:
        return {"mean": self._mean.copy(), "covariance": self._covariance.copy(), "lessons": self._lessons}

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if its dimension is another.
        """
        mean: Any = state["mean"]
        if mean.ndim != 2 or mean.shape[1] != self.dimension:
            raise SnapshotError(f"snapshot has {mean.shape[-1]} features per arm, this model has {self.dimension}")
        self._mean, self._covariance = mean.copy(), state["covariance"].copy()
        self._lessons = int(state["lessons"])

    def _score(self, quality: float) -> float:
        """The score whose quality this is."""
        return quality

    def _fit(self, score: float) -> tuple[float, float]:
        """Fitted quality and curvature of the loss at a score."""
        return score, 1.0


def clipped_sigmoid(score: float) -> float:
    """1 / (1 + exp(-score)) of one number."""
    return 1.0 / (1.0 + math.exp(-min(max(score, -500.0), 500.0)))
