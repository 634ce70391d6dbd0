"""Calibration by record: it mends what is wrong, leaves what is right, and forgets."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.arrays import sigmoid
from armwise.contracts import Arm, Experience, Knowledge, Posterior
from armwise.errors import BadInput
from armwise.predictors import CalibratedModel, make_quality_model
from helpers import assert_same_state, contexts, model

ALL = np.arange(2, dtype=np.intp)


class Said:
    """An engine whose score is the context's second entry times a factor, and which never learns."""

    knowledge = Knowledge.POSTERIOR
    dimension = 4
    lessons = 0

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.spec = {"factor": factor}

    def predict(self, vector: np.ndarray, slots: np.ndarray) -> np.ndarray:
        return sigmoid(np.full(len(slots), self.factor * vector[1]))

    def posterior(self, vector: np.ndarray, slots: np.ndarray) -> Posterior:
        return Posterior(np.full(len(slots), self.factor * vector[1]), np.full(len(slots), 0.5), True)

    def learn(self, experience: Experience) -> None: ...


def taught(factor: float, count: int = 4_000, shift: float = 0.0) -> CalibratedModel:
    """Outcomes whose log-odds are the second entry plus a shift, whatever the engine says."""
    made = CalibratedModel(Said(factor))
    rng = np.random.default_rng(3)
    for x in contexts(count, 2):
        chance = sigmoid(np.array([x[1] + shift]))[0]
        made.learn(Experience(x, 0, float(rng.random() < chance)))
    return made


@pytest.mark.parametrize(("factor", "shift"), [(0.5, 0.0), (2.0, 0.0), (1.0, 0.8), (1.0, 0.0)])
def test_it_finds_the_slope_and_the_shift(factor: float, shift: float) -> None:
    made = taught(factor, shift=shift)
    for at in (-1.5, 0.0, 1.5):
        x = np.array([1.0, at, 0.0, 0.0])
        assert made.predict(x, ALL)[0] == pytest.approx(sigmoid(np.array([at + shift]))[0], abs=0.06)
        belief = made.posterior(x, ALL)
        np.testing.assert_allclose(sigmoid(belief.mean), made.predict(x, ALL), rtol=1e-9)
        assert belief.deviation[0] == pytest.approx(0.5 / factor, rel=0.25)


def test_before_any_lesson_it_changes_nothing() -> None:
    for engine in ("logistic", "linear", "vw", "shared"):
        plain, made = make_quality_model(engine, 4), make_quality_model(engine, 4, calibrate=True)
        for k in range(2):
            plain.add_arm(Arm.of(model(f"m{k}")))
            made.add_arm(Arm.of(model(f"m{k}")))
        x = contexts(1, 4)[0]
        np.testing.assert_allclose(made.predict(x, ALL), np.clip(plain.predict(x, ALL), 1e-4, 1 - 1e-4), atol=1e-6)
        assert made.knowledge == plain.knowledge
        assert made.spec["of"] == plain.spec


@pytest.mark.parametrize("engine", ["logistic", "linear", "shared", "vw"])
def test_state_goes_round_and_the_order_of_arms_stays(engine: str) -> None:
    made, twin = make_quality_model(engine, 4, calibrate=True), make_quality_model(engine, 4, calibrate=True)
    for k in range(2):
        made.add_arm(Arm.of(model(f"m{k}")))
    for number, x in enumerate(contexts(200, 4)):
        made.learn(Experience(x, number % 2, float(number % 2)))
    twin.restore(made.state())
    for one in (made, twin):
        for x in contexts(20, 5):
            one.learn(Experience(x, 0, 0.5))
        one.learn(Experience(x, 0, 0.6, replaces=0.5))
    x = contexts(1, 6)[0]
    assert made.predict(x, ALL).tobytes() == twin.predict(x, ALL).tobytes()
    if engine != "vw":  # which counts its predictions inside its bytes
        assert_same_state(made.state(), twin.state())
    assert made.predict(x, ALL).argmax() == made.engine.predict(x, ALL).argmax()
    if made.knowledge == Knowledge.POSTERIOR:
        belief = made.posterior(x, ALL)
        expected = sigmoid(belief.mean) if belief.logit else belief.mean
        np.testing.assert_allclose(expected, made.predict(x, ALL), atol=1e-6)


def test_wrong_settings() -> None:
    with pytest.raises(BadInput, match="precision > 0"):
        CalibratedModel(Said(1.0), precision=0.0)
