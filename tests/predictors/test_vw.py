"""The VowpalWabbit engine: what it shares between arms, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.contracts import Arm, Experience
from armwise.errors import BadInput, SnapshotError
from armwise.predictors import VWModel, make_quality_model
from helpers import contexts, model

ALL = np.arange(2, dtype=np.intp)


def two_arms(dimension: int = 4) -> VWModel:
    engine = VWModel(dimension)
    for name in ("a", "b"):
        engine.add_arm(Arm.of(model(name)))
    return engine


def test_it_learns_what_each_arm_is_good_at() -> None:
    engine = two_arms()
    for row in contexts(2_000, 1):
        engine.learn(Experience(row, 0, 0.9 if row[1] > 0 else 0.2))
        engine.learn(Experience(row, 1, 0.5))
    good, bad = engine.predict(np.array([1.0, 2, 0, 0]), ALL), engine.predict(np.array([1.0, -2, 0, 0]), ALL)
    assert good[0] > 0.7 > 0.6 > good[1] > 0.4
    assert bad[0] < 0.4 < bad[1]
    assert engine.lessons == 4_000


def test_a_new_arm_starts_from_what_the_others_taught() -> None:
    engine = two_arms()
    for row in contexts(500, 1):
        engine.learn(Experience(row, 0, 0.8))
    untried = engine.predict(np.array([1.0, 0, 0, 0]), ALL)[1]
    assert untried > 0.25


def test_predictions_stay_within_zero_and_one() -> None:
    engine = two_arms()
    for row in contexts(200, 1) * 50:
        engine.learn(Experience(row, 0, float(row[1] > 0)))
        assert ((engine.predict(row, ALL) >= 0) & (engine.predict(row, ALL) <= 1)).all()


def test_a_correction_is_left_to_the_next_rebuild() -> None:
    engine = two_arms()
    x = contexts(1, 1)[0]
    engine.learn(Experience(x, 0, 0.3))
    before = engine.predict(x, ALL)
    engine.learn(Experience(x, 0, 0.9, replaces=0.3))
    np.testing.assert_array_equal(engine.predict(x, ALL), before)
    assert engine.lessons == 1


def test_arms_beyond_its_room_are_refused_and_change_nothing() -> None:
    engine = VWModel(1 << 16)
    for i in range(3):
        engine.add_arm(Arm.of(model(f"m{i}")))
    with pytest.raises(BadInput, match="room for 3 arms"):
        engine.add_arm(Arm.of(model("one too many")))
    assert engine.state()["arms"] == 3


def test_wrong_arguments_and_states() -> None:
    with pytest.raises(BadInput, match="VW does not take '--no_such_option'"):
        make_quality_model("vw", 4, arguments="--no_such_option")
    with pytest.raises(SnapshotError, match="3 features per arm, this model has 4"):
        two_arms().restore(two_arms(3).state())
