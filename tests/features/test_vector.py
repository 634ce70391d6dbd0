import numpy as np
import pytest

from armwise.contracts import Encoder, Request
from armwise.errors import BadInput, ConfigError
from armwise.features import UNKNOWN_TASK, VectorEncoder


def test_it_is_an_encoder():
    encoder = VectorEncoder(3)
    assert isinstance(encoder, Encoder)
    assert encoder.names == ("x0", "x1", "x2")
    assert encoder.version == "vector-3"
    assert VectorEncoder(3, label="minilm-pca").version == "vector-3-minilm-pca"


def test_vectors_are_rounded_to_float32_and_copied():
    given = np.array([0.1, 2.0, -3.0])
    context = VectorEncoder(3).encode(Request(vector=given))
    assert context.vector.tolist() == [float(np.float32(0.1)), 2.0, -3.0]
    given[0] = 9.0
    assert context.vector[0] != 9.0
    assert context.task == UNKNOWN_TASK


def test_needs_and_size_are_read_from_the_messages():
    request = Request.from_text("x" * 400, vector=np.zeros(2), tools=[{"name": "f"}], task="law")
    context = VectorEncoder(2).encode(request)
    assert context.tools
    assert context.task == "law"
    assert context.input_tokens > 100


@pytest.mark.parametrize(
    ("vector", "match"),
    [
        (np.zeros(2), r"shape \(3,\), the encoder's, got \(2,\)"),
        (np.zeros((3, 1)), r"got \(3, 1\)"),
        ([1.0, float("nan"), 0.0], "got .*nan.* at position 1"),
        ([1.0, 0.0, float("inf")], "at position 2"),
        ([1e300, 0.0, 0.0], "finite in float32"),
        (["a", "b", "c"], "real numbers"),
        ([1j, 0, 0], "real numbers, got dtype complex"),
        ([[1.0], [1.0, 2.0], 3.0], "one-dimensional"),
        ([None, 1, 2], "real numbers"),
        (3.0, r"got \(\)"),
    ],
)
def test_wrong_vectors_are_refused(vector, match):
    with pytest.raises(BadInput, match=match):
        VectorEncoder(3).encode(Request(vector=vector))


def test_a_missing_vector_or_features_besides_are_refused():
    with pytest.raises(BadInput, match=r"Request\.vector is missing.*\(3,\)"):
        VectorEncoder(3).encode(Request.from_text("hello"))
    with pytest.raises(BadInput, match="part of the vector"):
        VectorEncoder(3).encode(Request(vector=np.zeros(3), features={"age": 3}))


@pytest.mark.parametrize("dimension", [0, -1, 4097, 2.0, True, "3"])
def test_a_wrong_dimension_is_refused(dimension):
    with pytest.raises(ConfigError, match="from 1 to 4096, got"):
        VectorEncoder(dimension)
