"""The task of a prompt, guessed from its sketch.

A nearest-centroid classifier (Rocchio): each task is the mean direction of the sketches of its exemplars, seen from the
mean of all tasks, and the probability of a task is the softmax of the cosines. With a few hundred exemplars it does
better on held-out ones than ridge, logistic regression, nearest neighbours or a kernel machine. The exemplars are ours
and ship as ``data/exemplars.txt``. A caller who knows the task says so in ``Request.task`` and is believed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np

from armwise.contracts import Vector
from armwise.errors import BadInput
from armwise.features.sketch import Sketch, Sketcher

SHARPNESS: Final = 14.0
"""Factor on the cosines before the softmax; near the best of held-out log loss."""

UNKNOWN_TASK: Final = "unknown"
"""The task of a request that says nothing."""


class TaskClassifier:
    """Probabilities of tasks given a sketch.

    Args:
        exemplars: task -> the sketches of its exemplars, shape (n, 256) each.
        identity: names the exemplars in the encoder's version.

    Raises:
        BadInput: with fewer than two tasks, or a task without exemplars.
    """

    def __init__(self, exemplars: Mapping[str, Sequence[Sketch]], identity: str = "") -> None:
        if len(exemplars) < 2 or not all(len(group) for group in exemplars.values()):
            raise BadInput("a task classifier needs at least two tasks with at least one exemplar each")
        self.tasks: tuple[str, ...] = tuple(exemplars)
        self.identity = identity
        centroids = np.stack([np.asarray(group, dtype=np.float64).mean(axis=0) for group in exemplars.values()])
        centre = centroids.mean(axis=0)
        directions = centroids - centre
        lengths = np.sqrt((directions * directions).sum(axis=1, keepdims=True))
        # To float32 and back, so that the last bits of a mean never decide anything.
        self._directions = (directions / np.maximum(lengths, 1e-12)).astype(np.float32).astype(np.float64)
        self._centre = centre.astype(np.float32).astype(np.float64)
        self._offset = self._directions @ self._centre
        self._centre_square = float(self._centre @ self._centre)

    @staticmethod
    def load(sketcher: Sketcher) -> TaskClassifier:
        """The classifier of the exemplars that ship with armwise."""
        exemplars, identity = shipped_exemplars()
        sketches = {task: [sketcher.sketch(text) for text in texts] for task, texts in exemplars.items()}
        return TaskClassifier(sketches, f"{identity}:{SHARPNESS:g}")

    def probabilities(self, sketch: Sketch) -> Vector:
        """Shape (tasks,), in the order of :attr:`tasks`; sums to one. Uniform for an empty sketch."""
        values = np.asarray(sketch, dtype=np.float64)
        square = float(values @ values)
        if square == 0.0:
            return np.full(len(self.tasks), 1.0 / len(self.tasks))
        distance = math.sqrt(max(square - 2.0 * float(values @ self._centre) + self._centre_square, 1e-12))
        cosines = (self._directions @ values - self._offset) / distance
        weights: Vector = np.exp(SHARPNESS * (cosines - cosines.max()))
        weights /= weights.sum()
        return weights


@lru_cache(maxsize=1)
def shipped_exemplars() -> tuple[dict[str, tuple[str, ...]], str]:
    """Task -> exemplars as shipped, and a short hash of the file."""
    text = files("armwise.features").joinpath("data/exemplars.txt").read_text(encoding="utf-8")
    return parse_exemplars(text), hashlib.sha256(text.encode()).hexdigest()[:16]


def parse_exemplars(text: str) -> dict[str, tuple[str, ...]]:
    """Read ``[task]`` headings, each followed by one exemplar a line. Lines that start with ``# `` are comments.

    Raises:
        BadInput: on an exemplar before the first heading, or a heading twice.
    """
    groups: dict[str, list[str]] = {}
    group: list[str] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("# "):
            continue
        if line.startswith("[") and line.endswith("]"):
            task = line[1:-1].strip()
            if not task or task in groups:
                raise BadInput(f"exemplars, line {number}: the heading {line} is empty or comes twice")
            group = groups[task] = []
        elif group is None:
            raise BadInput(f"exemplars, line {number}: an exemplar before the first [task] heading")
        else:
            group.append(line)
    return {task: tuple(lines) for task, lines in groups.items()}
