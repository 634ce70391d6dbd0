"""Contexts of callers who bring their own vectors."""

from __future__ import annotations

from typing import Final

import numpy as np

from armwise.contracts import Context, Request, Vector
from armwise.errors import BadInput, ConfigError
from armwise.features.tasks import UNKNOWN_TASK
from armwise.features.transcript import TEXT_ONLY, Transcript

LARGEST_VECTOR: Final = 4096

_PLAIN: Final = 1e60
"""A square norm below which no entry can overflow float32: the usual vector needs no closer look."""


def as_float32(vector: Vector) -> Vector:
    """The nearest float64 vector that float32 can hold exactly."""
    return vector.astype(np.float32).astype(np.float64)


def check_vector(value: object, dimension: int) -> Vector:
    """A ready vector, checked and rounded to float32.

    Raises:
        BadInput: if it is not one-dimensional, of ``dimension`` real numbers, finite and within the range of float32.
    """
    if (
        isinstance(value, np.ndarray)
        and value.dtype == np.float64
        and value.shape == (dimension,)
        and value @ value < _PLAIN  # False for NaN
    ):
        return as_float32(value)
    try:
        vector = np.asarray(value)
    except ValueError as error:
        raise BadInput(f"Request.vector must be a one-dimensional array of numbers: {error}") from error
    if vector.dtype.kind not in "fiu":
        raise BadInput(f"Request.vector must hold real numbers, got dtype {vector.dtype}")
    if vector.shape != (dimension,):
        raise BadInput(f"Request.vector must have shape ({dimension},), the encoder's, got {vector.shape}")
    with np.errstate(over="ignore"):
        rounded = as_float32(vector)
    finite = np.isfinite(rounded)
    if not finite.all():
        place = int(np.argmin(finite))
        raise BadInput(f"Request.vector must be finite in float32, got {vector[place]!r} at position {place}")
    return rounded


def context_of_vector(request: Request, dimension: int) -> Context:
    """The context of a request that brings its vector. Its text is not sketched; its needs and its size are read.

    Raises:
        BadInput: see :func:`check_vector`, :meth:`Transcript.of`.
    """
    vector = check_vector(request.vector, dimension)
    if request.input_tokens is not None and not (request.messages or request.tools or request.task):
        return Context(vector, UNKNOWN_TASK, int(request.input_tokens), False, request.modalities | TEXT_ONLY)
    return assemble(request, Transcript.of(request), vector, task_label(request.task) or UNKNOWN_TASK)


def task_label(task: object) -> str | None:
    """The caller's task label, stripped, lone surrogates made question marks; ``None`` where there is none.

    Raises:
        BadInput: if it is not a string.
    """
    if task is None:
        return None
    if not isinstance(task, str):
        raise BadInput(f"Request.task must be a string or null, got {type(task).__name__} {task!r:.80}")
    return task.encode("utf-8", "replace").decode().strip() or None


def assemble(request: Request, transcript: Transcript, vector: Vector, task: str) -> Context:
    """Put a context together."""
    modalities = request.modalities if not transcript.media else request.modalities.union(transcript.media)
    tokens = request.input_tokens
    return Context(
        vector=vector,
        task=task,
        input_tokens=transcript.estimated_tokens if tokens is None else int(tokens),
        tools=transcript.uses_tools,
        modalities=modalities if "text" in modalities else modalities | TEXT_ONLY,
    )


class VectorEncoder:
    """The encoder of callers who bring ready vectors; implements :class:`armwise.contracts.Encoder`.

    ``label`` names what makes the vectors (a model, a pipeline, its revision): change it when their meaning changes,
    and what was learned under the old meaning will be refused.

    Raises:
        ConfigError: if ``dimension`` is not a whole number from 1 to 4096.
    """

    def __init__(self, dimension: int, *, label: str = "") -> None:
        if isinstance(dimension, bool) or not isinstance(dimension, int) or not 1 <= dimension <= LARGEST_VECTOR:
            raise ConfigError(
                f"VectorEncoder: dimension must be a whole number from 1 to {LARGEST_VECTOR}, got {dimension!r}"
            )
        self._names = tuple(f"x{place}" for place in range(dimension))
        self._version = f"vector-{dimension}" + (f"-{label}" if label else "")

    @property
    def version(self) -> str:
        """``vector-<dimension>``, and the label if there is one."""
        return self._version

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    def encode(self, request: Request) -> Context:
        """The context of a request.

        Raises:
            BadInput: if the request brings no vector, a wrong one, features besides, or malformed messages.
        """
        if request.vector is None:
            raise BadInput(f"Request.vector is missing: this router takes ready vectors of shape ({len(self._names)},)")
        if request.features:
            raise BadInput("Request.features cannot be used with ready vectors; make them part of the vector")
        return context_of_vector(request, len(self._names))
