"""The context-free engine: counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.contracts import Arm, Experience
from armwise.predictors import MeanModel
from helpers import contexts, model

ALL = np.arange(2, dtype=np.intp)
X = contexts(1)[0]


def two_arms(**settings: float) -> MeanModel:
    engine = MeanModel(4, **settings)
    engine.add_arm(Arm.of(model("a")))
    engine.add_arm(Arm.of(model("b", quality_prior=0.4)))
    return engine


def test_the_mean_is_shrunk_to_the_prior_of_the_arm() -> None:
    engine = two_arms(prior_quality=0.8, patience=2.0)
    np.testing.assert_allclose(engine.predict(X, ALL), [0.8, 0.4])
    for quality in (1.0, 0.0, 0.0):
        engine.learn(Experience(X, 0, quality))
    mean = (1.0 + 2 * 0.8) / 5
    np.testing.assert_allclose(engine.predict(X, ALL), [mean, 0.4])
    np.testing.assert_allclose(engine.posterior(X, ALL).deviation[0], np.sqrt(mean * (1 - mean) / 6))
    engine.learn(Experience(X, 0, 0.5, replaces=0.0))
    np.testing.assert_allclose(engine.predict(X, ALL)[0], (1.5 + 2 * 0.8) / 5)
    assert engine.lessons == 3


def test_forgetting_keeps_the_latest() -> None:
    engine = two_arms(forgetting=0.9)
    for quality in [0.0] * 200 + [1.0] * 200:
        engine.learn(Experience(X, 0, quality))
    assert engine.predict(X, ALL)[0] == pytest.approx((10 + 2 * 0.88) / 12, abs=1e-6)
