import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armwise.errors import BadInput, ConfigError
from armwise.features import Sketcher, dequantise, quantise, sketch_256
from armwise.features import sketch as module
from armwise.features.sketch import READ_CHARACTERS, excerpt

ANY_TEXT = st.text(st.characters(), max_size=400)  # lone surrogates included


@pytest.fixture(scope="module")
def sketcher():
    return Sketcher.load()


@pytest.fixture(scope="module")
def reference():
    """The tokenizer as wordllama ships it, untouched."""
    from tokenizers import Tokenizer

    folder = Path(find_spec("wordllama").origin).parent
    return Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\t▁ab.1"), max_size=200))
def test_tokens_are_those_of_the_untouched_tokenizer(sketcher, reference, text):
    assert sketcher.token_ids(text) == reference.encode(text, add_special_tokens=False).ids


def test_sketch_is_the_normalised_mean_of_the_rows(sketcher, reference):
    text = "Explain how a heat pump works, in two sentences."
    mean = sketcher.token_table()[reference.encode(text, add_special_tokens=False).ids].mean(axis=0)
    np.testing.assert_allclose(sketcher.sketch(text), mean / np.linalg.norm(mean), atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(text=ANY_TEXT)
def test_every_text_has_a_finite_sketch_of_unit_length_or_none(text):
    sketch = sketch_256(text)
    assert sketch.shape == (256,)
    assert sketch.dtype == np.float32
    length = float(np.linalg.norm(sketch.astype(float)))
    assert length == pytest.approx(1.0, abs=1e-5) if text else length == 0.0


def test_a_full_memory_of_words_changes_nothing(sketcher, monkeypatch):
    fresh = Sketcher(sketcher.token_table(), sketcher._tokenizer, "")
    monkeypatch.setattr(module, "_WORDS_KEPT", 3)
    text = "one two three four five six seven one two three"
    assert fresh.token_ids(text) == sketcher.token_ids(text)
    assert len(fresh._words) <= 3


def test_long_words_are_not_kept(sketcher):
    fresh = Sketcher(sketcher.token_table(), sketcher._tokenizer, "")
    fresh.sketch("a" * 1000)
    assert not fresh._words


def test_excerpt_keeps_head_and_tail():
    text = "HEAD " + "x" * 5000 + " TAIL"
    short = excerpt((text,))
    assert short.startswith("HEAD")
    assert short.endswith("TAIL")
    assert len(short) == READ_CHARACTERS + 1
    assert excerpt(("a", "b")) == "a\nb"
    assert excerpt(()) == ""


@given(pieces=st.lists(ANY_TEXT, max_size=12), limit=st.integers(2, 120))
def test_excerpt_is_bounded_and_is_the_ends_of_the_joined_text(pieces, limit):
    joined = "\n".join(pieces).encode("utf-8", "replace").decode()
    short = excerpt(pieces, limit)
    half = limit // 2
    assert short == (joined if len(joined) <= limit else f"{joined[:half]}\n{joined[-half:]}")


def test_the_middle_of_a_long_prompt_is_not_read():
    ends = "h" * 600, "t" * 600
    one, other = (sketch_256(f"{ends[0]}{middle * 1000}{ends[1]}") for middle in ("cat ", "tensor "))
    assert (one == other).all()


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["text"]])
def test_only_strings_are_sketched(value):
    with pytest.raises(BadInput, match=f"string, got {type(value).__name__}"):
        sketch_256(value)


def test_like_is_near_like():
    a, b, c = map(sketch_256, ("Solve x^2 = 9", "Solve the equation x^2 = 16", "Write a poem about the sea"))
    assert a @ b > a @ c + 0.2


def test_quantised_sketches_come_back():
    sketch = sketch_256("A quantised sketch takes a quarter of the room.")
    small = quantise(sketch)
    assert small.dtype == np.int8
    assert float(dequantise(small) @ sketch) > 0.999
    assert not dequantise(quantise(np.zeros(256, dtype=np.float32))).any()


def test_missing_files_are_named(monkeypatch, tmp_path):
    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(module, "find_spec", lambda _: Spec)
    module._load.cache_clear()
    with pytest.raises(ConfigError, match=r"l2_supercat_256\.safetensors"):
        Sketcher.load()
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install wordllama"):
        Sketcher.load()


OFFLINE = """
import socket, sys
def refuse(*a, **k): raise AssertionError("network")
socket.socket = refuse; socket.create_connection = refuse; socket.getaddrinfo = refuse
import armwise.features
heavy = {"wordllama", "tokenizers", "safetensors", "torch", "huggingface_hub", "scipy", "duckdb"} & set(sys.modules)
assert not heavy, heavy
from armwise.features import sketch_256
print(sketch_256("the same in every process").tobytes().hex())
assert "wordllama" not in sys.modules
"""


def test_offline_light_and_the_same_in_every_process():
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert bytes.fromhex(done.stdout.strip()) == sketch_256("the same in every process").tobytes()


def test_identity_is_that_of_the_files():
    folder = Path(find_spec("wordllama").origin).parent
    files = (folder / "weights/l2_supercat_256.safetensors", folder / "tokenizers/l2_supercat_tokenizer_config.json")
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert digest.startswith(Sketcher.load().identity)
