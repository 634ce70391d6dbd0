"""A state and one file: JSON for the tree, raw bytes for the arrays, checksums over both, never a pickle.

::

    magic "ARMWISE\\n" | format, uint32 | length of header, uint64 | sha256 of header | header, JSON | arrays

All numbers little-endian; every array starts at a multiple of 64 bytes from the start of the arrays. The header holds
the manifest, the tree with its arrays replaced by ``{"$array": i}``, the table of arrays, and the sha256 of the rest.
Floats keep every bit, an array its memory order, so that arithmetic after a restore is the arithmetic before.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import State
from armwise.errors import SnapshotError

FORMAT = 1
MAGIC = b"ARMWISE\n"

_FIXED = struct.Struct("<8sIQ32s")
_ALIGNMENT = 64
_LONGEST_HEADER = 1 << 31
_KINDS = "biufc"
_ADVICE = "restore a copy, or remove the file: the log rebuilds what it held"

Header: TypeAlias = dict[str, Any]


def encode(state: State, manifest: Mapping[str, Any] | None = None) -> bytes:
    """A state, and what is to be said of it, as the bytes of a file.

    Args:
        state: a tree of dicts and lists whose leaves are JSON scalars or numpy arrays of numbers.
        manifest: a JSON object that can be read without the arrays.

    Raises:
        SnapshotError: on a leaf of another kind, naming where it is.
    """
    header, arrays = _encode(state, manifest or {})
    return b"".join([*_front(header), *arrays])


def content_hash(state: State, manifest: Mapping[str, Any] | None = None) -> str:
    """sha256 in hex of :func:`encode`: equal for states that are equal bit for bit."""
    return hashlib.sha256(encode(state, manifest)).hexdigest()


def decode(data: bytes, source: str = "snapshot") -> tuple[State, dict[str, Any]]:
    """State and manifest from the bytes of a file; the arrays are writable and own their memory.

    Raises:
        SnapshotError: if they are damaged, foreign or of a newer format.
    """
    fixed, rest = data[: _FIXED.size], data[_FIXED.size :]
    length = _length(fixed, source)
    header = _header(fixed, rest[:length], source)
    body = memoryview(rest)[length:]
    if hashlib.sha256(body).hexdigest() != header["sha256"]:
        raise SnapshotError(f"{source} is damaged: its checksum is wrong, or its end is missing; {_ADVICE}")
    arrays = [_read_array(entry, body) for entry in header["arrays"]]
    state = _restore(header["state"], arrays)
    manifest: dict[str, Any] = _restore(header["manifest"], arrays)
    return state, manifest


def write(path: str | os.PathLike[str], state: State, manifest: Mapping[str, Any] | None = None) -> None:
    """Write a state to a file: wholly and durably, or not at all.

    Raises:
        SnapshotError: if the state holds what no snapshot can, or the file cannot be written.
    """
    _put(Path(path), encode(state, manifest))


def read(path: str | os.PathLike[str]) -> tuple[State, dict[str, Any]]:
    """State and manifest of a file.

    Raises:
        SnapshotError: if it cannot be read, or is damaged, foreign or of a newer format.
    """
    try:
        return decode(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise SnapshotError(f"cannot read the snapshot {path}: {error}") from error


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest alone; the arrays are neither read nor checked.

    Raises:
        SnapshotError: as :func:`read`.
    """
    try:
        with open(path, "rb") as file:
            return _read_manifest(file, str(path))
    except OSError as error:
        raise SnapshotError(f"cannot read the snapshot {path}: {error}") from error


def _put(path: Path, data: bytes) -> None:
    """Bytes under a hidden name, made durable, then renamed."""
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise SnapshotError(f"cannot write the snapshot {path}: {error}; what was there before is untouched") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------- writing


def _encode(state: State, manifest: Mapping[str, Any]) -> tuple[Header, list[bytes]]:
    if not isinstance(state, dict):
        raise SnapshotError(f"a state is a dict, got {type(state).__name__}")
    arrays: list[NDArray[Any]] = []
    tree = _plain(state, arrays, "state")
    described = _plain(dict(manifest), arrays, "manifest")
    table, pieces, offset = [], [], 0
    for array in arrays:
        order: Literal["C", "F"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes(order)
        table.append({"dtype": array.dtype.newbyteorder("<").str, "shape": array.shape, "order": order, "at": offset})
        padding = -len(data) % _ALIGNMENT
        pieces += [data, bytes(padding)]
        offset += len(data) + padding
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return {"manifest": described, "state": tree, "arrays": table, "sha256": digest.hexdigest()}, pieces


def _front(header: Header) -> tuple[bytes, bytes]:
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode("utf-8", "surrogatepass")
    return _FIXED.pack(MAGIC, FORMAT, len(text), hashlib.sha256(text).digest()), text


def _plain(node: Any, arrays: list[NDArray[Any]], where: str) -> Any:
    if node is None or isinstance(node, (bool, str)):
        return node
    if isinstance(node, (int, np.integer)):
        return int(node)
    if isinstance(node, (float, np.floating)):
        value = float(node)
        return value if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}
    if isinstance(node, np.bool_):
        return bool(node)
    if isinstance(node, np.ndarray):
        if node.dtype.kind not in _KINDS:
            raise SnapshotError(f"{where} is an array of {node.dtype}; a snapshot holds numbers and booleans only")
        arrays.append(node)
        return {"$array": len(arrays) - 1}
    if isinstance(node, list):
        return [_plain(item, arrays, f"{where}[{i}]") for i, item in enumerate(node)]
    if isinstance(node, dict):
        for key in node:
            if not isinstance(key, str):
                raise SnapshotError(f"{where} has the key {key!r} of type {type(key).__name__}; keys must be strings")
        tree = {key: _plain(item, arrays, f"{where}.{key}") for key, item in node.items()}
        return {"$dict": tree} if any(key.startswith("$") for key in tree) else tree
    raise SnapshotError(
        f"{where} is a {type(node).__name__}; a snapshot holds dicts, lists, JSON scalars and numpy arrays"
    )


# ---------------------------------------------------------------------------------------------- reading


def _length(fixed: bytes, source: str) -> int:
    if fixed[: len(MAGIC)] != MAGIC:
        raise SnapshotError(f"{source} is not an armwise snapshot (it starts with {fixed[:8]!r}); name another file")
    if len(fixed) < _FIXED.size:
        raise SnapshotError(f"{source} is damaged: it ends within its first {_FIXED.size} bytes; {_ADVICE}")
    _, version, length, _ = _FIXED.unpack(fixed)
    if version > FORMAT:
        raise SnapshotError(
            f"{source} has snapshot format {version}, and this armwise knows formats up to {FORMAT}: it was written by "
            "a newer one; upgrade armwise (pip install -U armwise), or take an older snapshot"
        )
    if version < 1 or length > _LONGEST_HEADER:
        raise SnapshotError(f"{source} is damaged: format {version}, header of {length:,} bytes; {_ADVICE}")
    return int(length)


def _header(fixed: bytes, text: bytes, source: str) -> Header:
    _, _, length, digest = _FIXED.unpack(fixed)
    if len(text) < length or hashlib.sha256(text).digest() != digest:
        raise SnapshotError(f"{source} is damaged: the checksum of its header is wrong; {_ADVICE}")
    header: Header = json.loads(text.decode("utf-8", "surrogatepass"))
    return header


def _read_manifest(file: BinaryIO, source: str) -> dict[str, Any]:
    fixed = file.read(_FIXED.size)
    header = _header(fixed, file.read(_length(fixed, source)), source)
    manifest: dict[str, Any] = _restore(header["manifest"], [])
    return manifest


def _read_array(entry: Mapping[str, Any], body: memoryview) -> NDArray[Any]:
    dtype, shape, start = np.dtype(entry["dtype"]), tuple(entry["shape"]), entry["at"]
    stored = np.frombuffer(body, dtype=dtype, count=math.prod(shape), offset=start)
    native = stored.astype(dtype.newbyteorder("="))
    return native.reshape(shape, order=entry["order"])


def _restore(node: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(node, list):
        return [_restore(item, arrays) for item in node]
    if isinstance(node, dict):
        if "$array" in node:
            return arrays[node["$array"]]
        if "$float" in node:
            return struct.unpack(">d", bytes.fromhex(node["$float"]))[0]
        if "$dict" in node:
            return {key: _restore(item, arrays) for key, item in node["$dict"].items()}
        return {key: _restore(item, arrays) for key, item in node.items()}
    return node
