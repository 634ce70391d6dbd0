"""Logistic regression of quality, one per arm: the default engine."""

from armwise.arrays import logit, sigmoid
from armwise.contracts import Slots, Vector
from armwise.predictors.gaussian import GaussianArms, clipped_sigmoid


class LogisticModel(GaussianArms):
    """Bayesian logistic regression, one Newton step a lesson (online Laplace; Chapelle & Li 2011, algorithm 3).

    Quality may be any number in [0, 1]: the logistic loss is a proper score for its mean. The belief is normal in the
    score (log-odds), which is an approximation: it is poor in the first few lessons of an arm and where nearly all
    rewards are 0 or 1. A correction moves the mean by its first-order effect.
    """

    logit = True

    def __init__(
        self,
        dimension: int,
        *,
        slope_precision: float = 100.0,
        intercept_precision: float = 0.7,
        prior_quality: float = 0.88,
        forgetting: float = 1.0,
    ) -> None:
        super().__init__(
            dimension,
            slope_precision=slope_precision,
            intercept_precision=intercept_precision,
            prior_quality=prior_quality,
            forgetting=forgetting,
        )

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        score = self._mean @ vector
        return sigmoid(score if slots.size == self.arms else score[slots])

    def _score(self, quality: float) -> float:
        return logit(min(max(quality, 0.01), 0.99))

    def _fit(self, score: float) -> tuple[float, float]:
        fitted = clipped_sigmoid(score)
        return fitted, max(fitted * (1.0 - fitted), 1e-3)
