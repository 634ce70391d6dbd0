"""A state survives its file bit for bit, and a bad file says what is wrong with it."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from armwise.errors import SnapshotError
from armwise.registry import codec

AWKWARD = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 0.1 + 0.2, 1e308]


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        ordered = not one.flags.forc or one.flags.fnc == other.flags.fnc
        return ordered and one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.fixture
def state() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "matrix": rng.normal(size=(3, 5)),
        "column order": np.asfortranarray(rng.normal(size=(4, 3))),
        "every second": np.arange(10)[::2],
        "nothing": np.empty((0, 7), dtype=np.float32),
        "scalar": np.array(-0.0),
        "awkward": np.array(AWKWARD),
        "bytes": np.frombuffer(b"\x00\xff pickled?", dtype=np.uint8),
        "flags": np.array([True, False]),
        "big endian": np.arange(3, dtype=">i4").astype("<i4"),
        "leaves": [*AWKWARD, 1, -1, 2**127 + 1, True, None, "", "é\n\x00", "\ud800"],
        "deep": [{"a": [{"b": {}}], "c": []}],
        "$array": {"$float": 1, "$dict": [{"$array": 0}]},
    }


def test_a_state_comes_back_bit_for_bit(state: dict[str, Any], tmp_path: Path) -> None:
    codec.write(tmp_path / "s", state, {"position": 7, "metrics": {"loss": math.inf}})
    found, manifest = codec.read(tmp_path / "s")
    assert same(state, found)
    assert manifest == {"position": 7, "metrics": {"loss": math.inf}} == codec.read_manifest(tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_restored_arrays_can_be_learned_into(state: dict[str, Any]) -> None:
    found, _ = codec.decode(codec.encode(state))
    found["matrix"] += 1
    assert same(found["awkward"], state["awkward"])


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
trees = st.dictionaries(
    st.text(),
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)),
    max_size=4,
)


@given(trees)
def test_any_tree_comes_back(tree: dict[str, Any]) -> None:
    assert same(codec.decode(codec.encode(tree))[0], tree)


def test_the_hash_tells_states_apart_by_a_bit() -> None:
    assert codec.content_hash({"x": np.array([0.0])}) == codec.content_hash({"x": np.array([0.0])})
    assert codec.content_hash({"x": np.array([0.0])}) != codec.content_hash({"x": np.array([-0.0])})


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ({"a": [{"b": (1, 2)}]}, r"state\.a\[0\]\.b is a tuple"),
        ({"a": np.array(["x"])}, r"state\.a is an array of <U1"),
        ({"a": np.array([object()])}, r"state\.a is an array of object"),
        ({"a": {1: 2}}, r"state\.a has the key 1 of type int"),
        ({"a": b"x"}, r"state\.a is a bytes"),
        ([1], r"a state is a dict, got list"),
    ],
)
def test_what_no_snapshot_holds_is_named(state: Any, complaint: str) -> None:
    with pytest.raises(SnapshotError, match=complaint):
        codec.encode(state)


def test_every_flipped_byte_is_noticed(state: dict[str, Any]) -> None:
    data = codec.encode(state, {"position": 1})
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x10
        with pytest.raises(SnapshotError):
            codec.decode(bytes(broken))


def test_every_truncation_is_noticed(state: dict[str, Any]) -> None:
    data = codec.encode(state, {"position": 1})
    for length in range(len(data)):
        with pytest.raises(SnapshotError):
            codec.decode(data[:length])


def test_bad_files_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "s"
    data = codec.encode({"x": np.arange(100.0)}, {})
    path.write_bytes(data[:-8])
    with pytest.raises(SnapshotError, match=r"s is damaged: its checksum is wrong.*the log rebuilds"):
        codec.read(path)
    path.write_bytes(data[:100])
    with pytest.raises(SnapshotError, match="checksum of its header is wrong"):
        codec.read_manifest(path)
    path.write_bytes(b"PK\x03\x04 a zip")
    with pytest.raises(SnapshotError, match="is not an armwise snapshot"):
        codec.read(path)
    path.write_bytes(data[:8] + struct.pack("<I", 9) + data[12:])
    with pytest.raises(SnapshotError, match=r"format 9.*up to 1.*upgrade armwise"):
        codec.read(path)
    with pytest.raises(SnapshotError, match="cannot read the snapshot"):
        codec.read(tmp_path / "none")
    with pytest.raises(SnapshotError, match="cannot write the snapshot"):
        codec.write(tmp_path / "no directory" / "s", {})


def test_a_header_is_plain_json() -> None:
    """Strict JSON, so that other languages read it: no NaN, no Infinity."""
    data = codec.encode({"x": math.nan}, {"loss": math.inf})
    length = struct.unpack("<Q", data[12:20])[0]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    header = json.loads(data[52 : 52 + length], parse_constant=refuse)
    assert header["state"] == {"x": {"$float": "7ff8000000000000"}}
