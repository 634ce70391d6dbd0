import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.features import Projection, sketch_256

SKETCH = sketch_256("What is the capital of Mongolia?")


def test_rows_are_orthogonal_and_strongest_first():
    projection = Projection.load(64)
    rows = projection._map / np.linalg.norm(projection._map, axis=1, keepdims=True)
    np.testing.assert_allclose(rows @ rows.T, np.eye(64), atol=1e-5)


@pytest.mark.parametrize("dimension", [0, 1, 8, 16, 64])
def test_a_smaller_dimension_is_a_prefix_up_to_scale(dimension):
    small, large = Projection.load(dimension).project(SKETCH), Projection.load(64).project(SKETCH)
    assert small.shape == (dimension,)
    if dimension:
        ratio = small / large[:dimension]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_hand_sized():
    mean = np.zeros(256, dtype=np.float32)
    mean[0] = 0.5
    rows = np.eye(256, dtype=np.float32)[:2]
    projection = Projection(mean, rows, np.array([3.0, 1.0], dtype=np.float32), 2)
    sketch = np.zeros(256, dtype=np.float32)
    sketch[:2] = 0.6, 0.8
    np.testing.assert_allclose(projection.project(sketch), [0.05, 0.4], atol=1e-6)  # divided by sqrt(3 + 1)


def test_mean_square_norm_is_near_one_on_general_prompts():
    texts = ["Write a poem about rain", "Solve 3x = 9", "hello there", "Fix this Python bug", "Who was Napoleon?"]
    norms = [float((Projection.load(16).project(sketch_256(text)) ** 2).sum()) for text in texts]
    assert 0.4 < np.mean(norms) < 2.5


def test_an_empty_sketch_is_the_centre():
    assert not Projection.load(16).project(np.zeros(256, dtype=np.float32)).any()


@pytest.mark.parametrize("dimension", [-1, 65, 1.0, True, "16", None])
def test_a_wrong_dimension_is_refused(dimension):
    with pytest.raises(BadInput, match="whole number from 0 to 64, got"):
        Projection.load(dimension)


@pytest.mark.parametrize("sketch", [np.zeros(255), np.zeros((1, 256)), np.full(256, np.nan), np.full(256, np.inf)])
def test_a_wrong_sketch_is_refused(sketch):
    with pytest.raises(BadInput, match="sketch"):
        Projection.load(16).project(sketch)


def test_parts_that_disagree_are_refused():
    good = np.zeros(256, np.float32), np.eye(256, dtype=np.float32)[:2], np.ones(2, np.float32)
    with pytest.raises(BadInput, match="shape"):
        Projection(good[0][:5], good[1], good[2], 1)
    with pytest.raises(BadInput, match="as many variances"):
        Projection(good[0], good[1], np.ones(3, np.float32), 1)
    with pytest.raises(BadInput, match="finite"):
        Projection(good[0] + np.nan, good[1], good[2], 1)


def test_identity_tells_numbers_and_dimension_apart():
    mean, rows, variances = np.zeros(256, np.float32), np.eye(256, dtype=np.float32)[:2], np.ones(2, np.float32)
    same = [Projection(mean, rows, variances, 2).identity for _ in range(2)]
    others = [Projection(mean, rows, variances, 1).identity, Projection(mean + 1, rows, variances, 2).identity]
    assert len({*same, *others}) == 3
