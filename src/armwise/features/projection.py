"""The projection: 256 dimensions of sketch down to the few that a bandit can afford to learn.

Principal components of sketches, strongest first, of text that is in no benchmark; fitted once by
``benchmarks/fit_projection.py`` and shipped with the package. A smaller dimension is a prefix of a larger one. Vectors
are centred, and scaled so that their mean square norm over the fitting corpus is 1, whatever the dimension.
"""

from __future__ import annotations

import hashlib
import io
import math
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import Vector
from armwise.errors import BadInput
from armwise.features.sketch import SKETCH_DIMENSION, Sketch

MAX_DIMENSION: Final = 64
_FILE: Final = "data/projection.npz"


class Projection:
    """An affine map from sketches to vectors of ``dimension`` numbers.

    Args:
        mean: centre of the sketches, shape (256,).
        components: orthonormal rows, strongest first, shape (n, 256).
        variances: variance of the fitting corpus along each row, shape (n,).
        dimension: rows to keep, 0 to n.

    Raises:
        BadInput: if the shapes disagree, a number is not finite, or ``dimension`` is out of range.
    """

    def __init__(
        self, mean: NDArray[np.float32], components: NDArray[np.float32], variances: NDArray[np.float32], dimension: int
    ) -> None:
        rows = len(components)
        if mean.shape != (SKETCH_DIMENSION,) or components.shape != (rows, SKETCH_DIMENSION):
            raise BadInput(
                f"a projection needs a mean of shape ({SKETCH_DIMENSION},) and components of shape "
                f"(n, {SKETCH_DIMENSION}), got {mean.shape} and {components.shape}"
            )
        if variances.shape != (rows,):
            raise BadInput(f"a projection of {rows} components needs as many variances, got shape {variances.shape}")
        if not all(np.isfinite(part).all() for part in (mean, components, variances)):
            raise BadInput("a projection must be finite")
        if isinstance(dimension, bool) or not isinstance(dimension, int) or not 0 <= dimension <= rows:
            raise BadInput(f"dimension must be a whole number from 0 to {rows}, got {dimension!r}")
        self.dimension = dimension
        kept = np.asarray(components[:dimension], dtype=np.float64)
        spread = float(np.asarray(variances[:dimension], dtype=np.float64).sum())
        self._map = np.ascontiguousarray(kept / np.sqrt(spread) if spread > 0.0 else kept)
        self._offset = -(self._map * mean.astype(np.float64)).sum(axis=1)
        parts = (np.ascontiguousarray(part, dtype="<f4").tobytes() for part in (mean, components, variances))
        self.identity = hashlib.sha256(b"".join(parts) + bytes((dimension,))).hexdigest()[:16]
        """Short hash of everything that decides the numbers."""

    @staticmethod
    def load(dimension: int = 16) -> Projection:
        """The projection that ships with armwise.

        Raises:
            BadInput: if ``dimension`` is not a whole number from 0 to 64.
        """
        return Projection(*_shipped(), dimension)

    def project(self, sketch: Sketch) -> Vector:
        """Shape (dimension,). An empty sketch (all zero) has nothing to say and lands on the centre: all zero.

        Raises:
            BadInput: if ``sketch`` is not 256 finite numbers.
        """
        values = np.asarray(sketch, dtype=np.float64)
        if values.shape != (SKETCH_DIMENSION,):
            raise BadInput(f"a sketch has shape ({SKETCH_DIMENSION},), got {values.shape}")
        square = float(values @ values)
        if square == 0.0:
            return np.zeros(self.dimension)
        if not math.isfinite(square):
            raise BadInput("a sketch must be finite")
        projected: Vector = self._map @ values + self._offset
        return projected


@lru_cache(maxsize=1)
def _shipped() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    raw = files("armwise.features").joinpath(_FILE).read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return arrays["mean"], arrays["components"], arrays["variances"]
