import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armwise.contracts import Encoder, Request
from armwise.errors import BadInput, ConfigError
from armwise.features import (
    UNKNOWN_TASK,
    Categorical,
    Numeric,
    Projection,
    Surface,
    TextEncoder,
    Transcript,
    dequantise,
    quantise,
    sketch_256,
)


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder()


def block(encoder, vector, prefix):
    return np.array([value for name, value in zip(encoder.names, vector, strict=True) if name.startswith(prefix)])


def test_it_is_an_encoder(encoder):
    assert isinstance(encoder, Encoder)
    assert len(encoder.names) == len(set(encoder.names)) == 68
    assert encoder.version.startswith("text-")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.text(st.characters(), max_size=20), lambda inner: st.lists(inner, max_size=3)
)


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(), max_size=300), task=st.none() | st.text(st.characters(), max_size=12))
def test_every_text_has_a_finite_vector_that_float32_holds(encoder, text, task):
    context = encoder.encode(Request.from_text(text, task=task))
    assert context.vector.dtype == np.float64
    assert context.vector.shape == (68,)
    assert np.isfinite(context.vector).all()
    assert (context.vector.astype(np.float32) == context.vector).all()
    context.task.encode()  # no lone surrogates get through to a log
    again = encoder.encode(Request.from_text(text, task=task))
    assert (again.vector == context.vector).all()
    assert again[1:] == context[1:]


@settings(max_examples=200, deadline=None)
@given(content=JSON_VALUES)
def test_any_content_is_encoded_or_refused(encoder, content):
    try:
        context = encoder.encode(Request(messages=[{"role": "user", "content": content}]))
    except BadInput as error:
        message = str(error)
    else:
        message = "messages[0].content"
        assert np.isfinite(context.vector).all()
    assert "messages[0].content" in message


def test_strange_texts(encoder):
    for text in ("\x00\x01\xff" * 100, "\ud800\udfff", "🙂" * 3000, " " * 5000, "word " * 200_000):
        assert np.isfinite(encoder.encode(Request.from_text(text)).vector).all()


def test_an_empty_prompt_is_neutral(encoder):
    for request in (Request(), Request.from_text("")):
        context = encoder.encode(request)
        assert context.task == UNKNOWN_TASK
        assert not block(encoder, context.vector, "sketch_").any()
        assert not block(encoder, context.vector, "task_").any()


def test_the_callers_task_reaches_the_vector(encoder):
    text = "Who was the first president of Brazil?"
    none, physics, law, maths = (
        encoder.encode(Request.from_text(text, task=t)) for t in (None, "physics", "law", "maths")
    )
    assert (none.task, physics.task, maths.task) == ("knowledge", "physics", "maths")
    labels = [block(encoder, context.vector, "label#") for context in (none, physics, law, maths)]
    assert not labels[0].any()
    assert [np.abs(label).sum() for label in labels[1:]] == [0.5, 0.5, 0.5]
    assert (labels[1] != labels[2]).any()
    guess = block(encoder, none.vector, "task_")
    assert (block(encoder, physics.vector, "task_") == guess).all()  # a label we do not know leaves the guess alone
    known = dict(zip(encoder.tasks, block(encoder, maths.vector, "task_"), strict=True))
    assert max(known, key=known.get) == "maths"
    assert known["maths"] == pytest.approx(0.5 * 11 / 12)


def test_a_blank_task_is_none_and_a_wrong_one_is_refused(encoder):
    assert encoder.encode(Request.from_text("What is the boiling point of water?", task="  ")).task in encoder.tasks
    with pytest.raises(BadInput, match=r"Request\.task must be a string or null, got int 3"):
        encoder.encode(Request.from_text("x", task=3))


def test_tokens_tools_and_modalities(encoder):
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    context = encoder.encode(Request(messages=[image], tools=[{"name": "f"}], input_tokens=77, modalities={"audio"}))
    assert context.input_tokens == 77
    assert context.tools
    assert context.modalities == {"text", "image", "audio"}
    plain = encoder.encode(Request.from_text("x" * 400))
    assert (plain.input_tokens, plain.tools, plain.modalities) == (104, False, {"text"})


def test_features_of_the_caller():
    encoder = TextEncoder(features=[Numeric(name="age", scale=10.0), Categorical(name="plan", values=("free", "pro"))])
    assert encoder.names[-3:] == ("age", "plan=free", "plan=pro")
    vector = encoder.encode(Request.from_text("x", features={"age": 25, "plan": "free"})).vector
    assert vector[-3:].tolist() == [2.5, 0.5, 0.0]
    with pytest.raises(BadInput, match="did you mean 'plan'"):
        encoder.encode(Request.from_text("x", features={"plam": "free"}))


def test_nan_features_are_refused(encoder):
    with pytest.raises(BadInput, match="nan"):
        encoder.encode(Request.from_text("x", features={"age": float("nan")}))


def test_a_ready_vector_is_kept(encoder):
    given_vector = np.linspace(-1.0, 1.0, 68)
    context = encoder.encode(Request(vector=given_vector, task="law", input_tokens=9))
    assert (context.vector == given_vector.astype(np.float32)).all()
    assert (context.task, context.input_tokens) == ("law", 9)
    assert encoder.encode(Request(vector=given_vector)).task == UNKNOWN_TASK
    with pytest.raises(BadInput, match=r"shape \(68,\).*got \(3,\)"):
        encoder.encode(Request(vector=np.zeros(3)))


def test_compose_builds_the_same_vector_from_parts(encoder):
    request = Request.from_text("Prove that the square root of 2 is irrational.", task="philosophy")
    context = encoder.encode(request)
    surface = Surface.of(request, Transcript.of(request))
    sketch = sketch_256("Prove that the square root of 2 is irrational.")
    vector, task = encoder.compose(sketch, surface, task="philosophy")
    assert (vector == context.vector).all()
    assert task == "philosophy"
    rough, _ = encoder.compose(dequantise(quantise(sketch)), surface, task="philosophy")
    assert np.abs(rough - vector).max() < 0.02


@pytest.mark.parametrize("dimension", [0, 8, 64])
def test_the_sketch_has_the_dimension_asked_for(dimension):
    encoder = TextEncoder(dimension)
    assert len([name for name in encoder.names if name.startswith("sketch_")]) == dimension
    assert len(encoder.encode(Request.from_text("hello")).vector) == len(encoder.names)


def test_the_version_follows_everything_that_decides_the_numbers(monkeypatch):
    mean, rows, variances = np.zeros(256, np.float32), np.eye(256, dtype=np.float32)[:16], np.ones(16, np.float32)
    versions = [
        TextEncoder().version,
        TextEncoder(8).version,
        TextEncoder(label_dimension=8).version,
        TextEncoder(features=[Numeric(name="age")]).version,
        TextEncoder(features=[Numeric(name="age", scale=2.0)]).version,
        TextEncoder(features=[Categorical(name="age", values=("old", "young"))]).version,
        TextEncoder(projection=Projection(mean, rows, variances, 16)).version,
    ]
    monkeypatch.setattr("armwise.features.surface.MARK_SCALE", 0.5)
    versions.append(TextEncoder().version)
    monkeypatch.undo()
    monkeypatch.setattr("armwise.features.text.REVISION", 10**6)
    versions.append(TextEncoder().version)
    monkeypatch.undo()
    assert len(set(versions)) == len(versions)
    assert TextEncoder().version == versions[0]


SCRIPT = """
import socket
def refuse(*a, **k): raise AssertionError("network")
socket.socket = refuse; socket.create_connection = refuse; socket.getaddrinfo = refuse
from armwise.contracts import Request
from armwise.features import TextEncoder
encoder = TextEncoder()
print(encoder.version, encoder.encode(Request.from_text("Translate: good morning", task="x")).vector.tobytes().hex())
"""


def test_the_same_in_every_process_and_without_a_network(encoder):
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    vector = encoder.encode(Request.from_text("Translate: good morning", task="x")).vector
    assert done.stdout.split() == [encoder.version, vector.tobytes().hex()]


def test_the_same_from_many_threads(encoder):
    texts = [f"Question {i}: what is {i} times {i + 1}, word{i}?" for i in range(200)]
    alone = [encoder.encode(Request.from_text(text)).vector for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: TextEncoder().encode(Request.from_text(text)).vector, texts))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_golden_vector(encoder):
    """If the numbers change under the same version, raise ``REVISION``; then bring both up to date."""
    context = encoder.encode(Request.from_text("Write a Python function that adds two numbers."))
    assert encoder.version == "text-650cf19a"
    assert context.task == "code"
    picked = {name: value for name, value in zip(encoder.names, context.vector, strict=True) if name in GOLDEN}
    assert picked == pytest.approx(GOLDEN, abs=1e-5)


GOLDEN = {
    "log_length": -2.388725,
    "code": 0.1,
    "maths": 0.0,
    "task_code": 0.388854,
    "task_writing": 0.009143,
    "sketch_00": -0.110712,
    "sketch_07": 0.12687,
    "sketch_15": -0.010098,
}


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"dimensions": 16}, "did you mean 'dimension'"),
        ({"dimension": 65}, "from 0 to 64, got 65"),
        ({"label_dimension": -1}, "from 0 to 256, got -1"),
        ({"features": "age"}, "list of declarations, got str"),
        ({"features": [{"name": "age", "scal": 2}]}, "did you mean 'scale'"),
        ({"features": [{"name": "intercept"}]}, "taken by the encoder: intercept"),
    ],
)
def test_wrong_settings_are_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        TextEncoder.from_settings(settings)


def test_settings_from_a_file():
    encoder = TextEncoder.from_settings({"dimension": 8, "features": [{"name": "age", "scale": 10}]})
    assert encoder.version == TextEncoder(8, features=[Numeric(name="age", scale=10)]).version


def test_a_projection_of_another_dimension_is_refused():
    with pytest.raises(BadInput, match="has 8 dimensions, dimension is 16"):
        TextEncoder(16, projection=Projection.load(8))
