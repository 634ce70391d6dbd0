"""What two snapshots differ in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from armwise.registry.store import Snapshot


def differences(old: Snapshot, new: Snapshot) -> dict[str, dict[str, Any]]:
    """``manifest``: field -> (old, new) where they differ; ``state``: array -> |new - old| / |old|, None: other shape.

    Arrays that are equal bit for bit are left out.
    """
    ours, theirs = asdict(old.manifest), asdict(new.manifest)
    before, after = dict(_arrays(old.state)), dict(_arrays(new.state))
    distances = {name: _distance(before.get(name), after.get(name)) for name in sorted({*before, *after})}
    return {
        "manifest": {name: [ours[name], theirs[name]] for name in ours if ours[name] != theirs[name]},
        "state": {name: distance for name, distance in distances.items() if distance != 0.0},
    }


def _arrays(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, np.ndarray):
        yield path, node
    elif isinstance(node, (dict, list)):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, inner in items:
            yield from _arrays(inner, f"{path}.{key}" if path else str(key))


def _distance(old: Any, new: Any) -> float | None:
    if old is None or new is None or old.shape != new.shape:
        return None
    if old.dtype.kind not in "fiu":
        return 0.0 if np.array_equal(old, new) else None
    if np.array_equal(old, new, equal_nan=True):
        return 0.0
    before, after = (np.nan_to_num(np.asarray(array, dtype=float)) for array in (old, new))
    size = float(np.linalg.norm(before))
    return float(np.linalg.norm(after - before)) / (size or 1.0)
