"""Ridge regression of quality, one per arm."""

import numpy as np

from armwise.contracts import Slots, Vector
from armwise.predictors.gaussian import GaussianArms


class LinearModel(GaussianArms):
    """Bayesian ridge regression by recursive least squares (Sherman-Morrison), with unit noise.

    Exact: any order of lessons gives the batch solution up to rounding, and a correction is taken in exactly. Its
    theory takes quality as unbounded; predictions are clipped to [0, 1].
    """

    def __init__(
        self,
        dimension: int,
        *,
        slope_precision: float = 2.0,
        intercept_precision: float = 0.7,
        prior_quality: float = 0.75,
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
        quality = self._mean @ vector
        if slots.size != self.arms:
            quality = quality[slots]
        return np.minimum(np.maximum(quality, 0.0), 1.0)
