"""The encoder of text: a request in, a context out.

The vector, in order (names in :attr:`TextEncoder.names`):

=============  ====  ==============================================================================================
surface        20    intercept, length, turns, tools, marks: see :mod:`armwise.features.surface`
task           12    probability of each known task, from the sketch, or what the caller says: less the mean, x 0.5
label          16    the caller's own task label, hashed with a sign, x 0.5; zero where the caller gives none
sketch         16    the sketch, projected; mean square norm 1
caller's       ...   declared numbers and categories
=============  ====  ==============================================================================================

All constants are fixed. Nothing is estimated as requests come in, so a request has the same vector for ever, and
``version`` is a hash of all that decides it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

import numpy as np

from armwise.contracts import Context, Request, Vector
from armwise.errors import BadInput, ConfigError, unknown
from armwise.features import caller, surface, transcript
from armwise.features.caller import CallerFeatures, Feature, check_hash_dimension, signed_place
from armwise.features.projection import Projection
from armwise.features.sketch import READ_CHARACTERS, Sketch, Sketcher
from armwise.features.surface import SURFACE_NAMES, Surface
from armwise.features.tasks import UNKNOWN_TASK, TaskClassifier
from armwise.features.transcript import Transcript
from armwise.features.vector import as_float32, assemble, context_of_vector, task_label

REVISION: Final = 2
"""Of the code that makes the vector. Raise it whenever a vector changes that no constant or file explains."""

TASK_SCALE: Final = 0.5
LABEL_SCALE: Final = 0.5

_SETTINGS: Final = ("dimension", "features", "label_dimension")


class TextEncoder:
    """Implements :class:`armwise.contracts.Encoder`. Safe to use from several threads.

    Args:
        dimension: how many dimensions of sketch, 0 to 64. 16 is the measured choice: more cost more exploration than
            they bring.
        features: the caller's own, declared; an object ``{"name": ..., "kind": ..., ...}`` will do.
        label_dimension: places to hash the caller's task label to, 0 to 256; 0 leaves unknown labels out.
        sketcher, projection, tasks: in place of those that ship with armwise.

    Raises:
        BadInput: if ``dimension`` is out of range, or is not the given projection's.
        ConfigError: on features that cannot be declared so, or if wordllama's files are missing.
    """

    def __init__(
        self,
        dimension: int = 16,
        *,
        features: Sequence[Feature | Mapping[str, Any]] = (),
        label_dimension: int = 16,
        sketcher: Sketcher | None = None,
        projection: Projection | None = None,
        tasks: TaskClassifier | None = None,
    ) -> None:
        check_hash_dimension("TextEncoder: label_dimension", label_dimension, least=0)
        self._projection = Projection.load(dimension) if projection is None else projection
        if self._projection.dimension != dimension:
            raise BadInput(
                f"the projection given has {self._projection.dimension} dimensions, dimension is {dimension!r}"
            )
        self._caller = CallerFeatures(features)
        self._label_dimension = label_dimension
        self._sketcher = Sketcher.load() if sketcher is None else sketcher
        if tasks is None:
            tasks = _shipped_tasks() if sketcher is None else TaskClassifier.load(sketcher)
        self._tasks = tasks
        self._places = {task: place for place, task in enumerate(tasks.tasks)}
        self._names = (
            *SURFACE_NAMES,
            *(f"task_{task}" for task in tasks.tasks),
            *(f"label#{place}" for place in range(label_dimension)),
            *(f"sketch_{place:02d}" for place in range(dimension)),
            *self._caller.names,
        )
        if len(set(self._names)) != len(self._names):
            taken = sorted(name for name in self._caller.names if self._names.count(name) > 1)
            raise BadInput(f"these names of features are taken by the encoder: {', '.join(taken)}")
        self._version = f"text-{self._fingerprint()[:8]}"

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TextEncoder:
        """The encoder that a section of a config file describes: ``dimension``, ``features``, ``label_dimension``.

        Raises:
            ConfigError: naming the key or value that is wrong.
        """
        for key in settings:
            if key not in _SETTINGS:
                raise ConfigError(f"features: {unknown('key', key, _SETTINGS)}")
        features = settings.get("features", ())
        if isinstance(features, (str, Mapping)) or not isinstance(features, Sequence):
            raise ConfigError(f"features.features must be a list of declarations, got {type(features).__name__}")
        try:
            return cls(**settings)
        except BadInput as error:
            raise ConfigError(f"features: {error}") from error

    @property
    def version(self) -> str:
        """``text-`` and a hash over code revision, constants, projection, exemplars, embedding weights and settings."""
        return self._version

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that the classifier knows."""
        return self._tasks.tasks

    def encode(self, request: Request) -> Context:
        """The context of a request. Reads at most the first and last 600 characters of its text.

        A request that brings its own vector, of this encoder's length, keeps it; nothing is sketched then.

        Raises:
            BadInput: on malformed messages, features that were not declared, or a vector that does not fit.
        """
        if request.vector is not None:
            return context_of_vector(request, len(self._names))
        read = Transcript.of(request)
        vector, task = self.compose(
            self._sketcher.sketch_excerpt(read.excerpt),
            Surface.of(request, read),
            task=request.task,
            features=request.features,
        )
        return assemble(request, read, vector, task)

    def compose(
        self,
        sketch: Sketch,
        surface: Surface,
        *,
        task: str | None = None,
        features: Mapping[str, object] | None = None,
    ) -> tuple[Vector, str]:
        """The vector, and the task, of parts kept from a request whose text is gone.

        Args:
            sketch: shape (256,), of unit length; ``dequantise`` restores one.
            surface: what is known of it.
            task: the caller's label.

        Raises:
            BadInput: if a part is malformed.
        """
        task = task_label(task)
        projected = self._projection.project(sketch)
        probabilities = self._tasks.probabilities(sketch)
        label = np.zeros(self._label_dimension)
        if task:
            if (place := self._places.get(task)) is not None:
                probabilities = np.zeros(len(probabilities))
                probabilities[place] = 1.0
            if self._label_dimension:
                place, sign = signed_place(task, self._label_dimension)
                label[place] = sign * LABEL_SCALE
        vector = np.concatenate(
            (
                surface.vector(),
                TASK_SCALE * (probabilities - 1.0 / len(probabilities)),
                label,
                projected,
                self._caller.vector(features or {}),
            )
        )
        return as_float32(vector), task or self._guess(sketch, probabilities)

    def _guess(self, sketch: Sketch, probabilities: Vector) -> str:
        return self._tasks.tasks[int(probabilities.argmax())] if sketch.any() else UNKNOWN_TASK

    def _fingerprint(self) -> str:
        parts = {
            "revision": REVISION,
            "read_characters": READ_CHARACTERS,
            "sketch": self._sketcher.identity,
            "projection": self._projection.identity,
            "tasks": [*self._tasks.tasks, self._tasks.identity],
            "scales": [
                surface.LENGTH_CENTRE,
                surface.LENGTH_SCALE,
                surface.LENGTH_CLIP,
                surface.MARK_SCALE,
                surface.COUNT_SCALE,
                TASK_SCALE,
                LABEL_SCALE,
                caller.CODE_SCALE,
                caller.NUMERIC_CLIP,
                transcript.CHARACTERS_PER_TOKEN,
            ],
            "lexicon": surface.LEXICON,
            "features": [[type(feature).__name__, asdict(feature)] for feature in self._caller.declared],
            "names": self._names,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _shipped_tasks() -> TaskClassifier:
    return TaskClassifier.load(Sketcher.load())
