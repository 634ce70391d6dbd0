"""Predictions put right by their own record: online Platt scaling around any engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.arrays import sigmoid
from armwise.contracts import Arm, Experience, Knowledge, Posterior, QualityModel, Slots, State, Vector
from armwise.errors import BadInput
from armwise.predictors.gaussian import clipped_sigmoid

_SURE = 1e-4
"""Predictions are taken to be at least so far from 0 and 1."""


class CalibratedModel:
    """quality = sigmoid(a * logit(the engine's quality) + b): Platt scaling (1999), learned as the lessons come in.

    Before the engine learns a lesson, what it predicts for it is compared with what came: one Newton step on (a, b),
    which start at (1, 0) with a prior of ``precision``, and forget by ``forgetting`` a lesson because the engine that
    they correct goes on learning. One pair serves all arms, a >= 0.1, so the order of the arms' qualities stays.

    The record is of the arms that were drawn. It mends what is wrong with all predictions alike (slopes too flat under
    a strong prior, the steps of VW); for arms that are hardly drawn any more it can make things worse. Measure with
    ``benchmarks/calibration.py``. Corrections reach the engine alone.

    Raises:
        BadInput: on parameters out of range.
    """

    def __init__(self, engine: QualityModel, *, precision: float = 20.0, forgetting: float = 0.999) -> None:
        if not precision > 0 or not 0 < forgetting <= 1:
            raise BadInput(f"calibration needs precision > 0 and forgetting in (0, 1], got {precision}, {forgetting}")
        self.engine = engine
        self.precision = precision
        self.forgetting = forgetting
        self._map = np.array([1.0, 0.0])
        self._covariance = np.eye(2) / precision

    @property
    def spec(self) -> Mapping[str, Any]:
        return {
            "engine": type(self).__name__,
            "precision": self.precision,
            "forgetting": self.forgetting,
            "of": dict(self.engine.spec),
        }

    @property
    def knowledge(self) -> Knowledge:
        return self.engine.knowledge

    @property
    def dimension(self) -> int:
        return self.engine.dimension

    @property
    def lessons(self) -> int:
        return self.engine.lessons

    def add_arm(self, arm: Arm) -> int:
        return self.engine.add_arm(arm)

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        return sigmoid(self._mapped(self.engine.predict(vector, slots)))

    def posterior(self, vector: Vector, slots: Slots) -> Posterior:
        """The engine's belief, stretched and moved; in the link of the engine."""
        belief: Posterior = self.engine.posterior(vector, slots)  # type: ignore[attr-defined]  # asked of those that can
        slope, shift = self._map.tolist()
        if belief.logit:
            return Posterior(slope * belief.mean + shift, slope * belief.deviation, True)
        before = np.clip(belief.mean, _SURE, 1.0 - _SURE)
        after = sigmoid(self._mapped(before))
        stretch = slope * after * (1.0 - after) / (before * (1.0 - before))
        return Posterior(after, stretch * belief.deviation, False)

    def _mapped(self, quality: Vector) -> Vector:
        sure = np.clip(quality, _SURE, 1.0 - _SURE)
        score: Vector = self._map[0] * np.log(sure / (1.0 - sure)) + self._map[1]
        return score

    def learn(self, experience: Experience) -> None:
        if experience.replaces is None and experience.weight > 0.0:
            self._compare(experience)
        self.engine.learn(experience)

    def _compare(self, experience: Experience) -> None:
        predicted = float(self.engine.predict(experience.vector, np.array([experience.slot], dtype=np.intp))[0])
        sure = min(max(predicted, _SURE), 1.0 - _SURE)
        point = np.array([np.log(sure / (1.0 - sure)), 1.0])
        fitted = clipped_sigmoid(float(self._map @ point))
        covariance = self._covariance / self.forgetting
        excess = np.sqrt(np.maximum(np.diagonal(covariance) * self.precision, 1.0))  # never wider than the prior
        covariance /= np.multiply.outer(excess, excess)
        curvature = max(fitted * (1.0 - fitted), 1e-3) * experience.weight
        gain = covariance @ point
        left = 1.0 + curvature * float(point @ gain)
        self._covariance = covariance - np.multiply.outer(gain, gain) * (curvature / left)
        self._map = self._map + gain * (experience.weight * (experience.quality - fitted) / left)
        self._map[0] = max(self._map[0], 0.1)

    def state(self) -> State:
        return {"engine": self.engine.state(), "map": self._map.copy(), "covariance": self._covariance.copy()}

    def restore(self, state: State) -> None:
        self.engine.restore(state["engine"])
        self._map, self._covariance = state["map"].copy(), state["covariance"].copy()
