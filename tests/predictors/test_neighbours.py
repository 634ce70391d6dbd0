"""The nearest-neighbour engine against brute force, and its bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.contracts import Arm, Experience
from armwise.errors import SnapshotError
from armwise.predictors import NeighbourModel
from helpers import contexts, model

ALL = np.arange(3, dtype=np.intp)


def taught(count: int, **settings: int) -> tuple[NeighbourModel, list[Experience]]:
    engine = NeighbourModel(4, **settings)
    for k in range(3):
        engine.add_arm(Arm.of(model(f"m{k}")))
    rng = np.random.default_rng(5)
    lessons = [Experience(x, int(rng.integers(2)), float(rng.random())) for x in contexts(count, 6)]
    for lesson in lessons:
        engine.learn(lesson)
    return engine, lessons


@pytest.mark.parametrize("count", [1, 19, 20, 21, 150])
def test_predictions_are_those_of_brute_force(count: int) -> None:
    engine, lessons = taught(count, neighbours=20, memory=100)
    kept = lessons[-100:]
    for x in contexts(5, 7):
        near = sorted(kept, key=lambda lesson: float(((lesson.vector - x) ** 2).sum()))[:20]
        for slot in range(3):
            everything = [lesson.quality for lesson in lessons if lesson.slot == slot]
            own = [lesson.quality for lesson in near if lesson.slot == slot]
            mean = (sum(everything) + 2 * 0.88) / (len(everything) + 2)
            expected = (sum(own) + 5 * mean) / (len(own) + 5)
            assert engine.predict(x, ALL)[slot] == pytest.approx(expected, rel=1e-12)
            assert engine.posterior(x, ALL).deviation[slot] == pytest.approx(0.5 / np.sqrt(len(own) + 5))


def test_memory_is_bounded_and_keeps_the_latest() -> None:
    engine, lessons = taught(300, memory=64)
    vectors = engine.state()["vectors"]
    assert vectors.shape == (64, 4)
    assert {row.tobytes() for row in vectors} == {lesson.vector.tobytes() for lesson in lessons[-64:]}


def test_a_correction_changes_the_lesson_itself() -> None:
    engine, lessons = taught(50, memory=100)
    last = lessons[-1]
    engine.learn(last._replace(quality=0.123, replaces=last.quality))
    twin = NeighbourModel(4, memory=100)
    for k in range(3):
        twin.add_arm(Arm.of(model(f"m{k}")))
    for lesson in [*lessons[:-1], last._replace(quality=0.123)]:
        twin.learn(lesson)
    np.testing.assert_allclose(engine.predict(last.vector, ALL), twin.predict(last.vector, ALL), rtol=1e-12)
    assert engine.lessons == 50


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(SnapshotError, match="4 features per arm, this model has 3"):
        NeighbourModel(3).restore(taught(5)[0].state())
