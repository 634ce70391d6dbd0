"""Sums that are enough for estimate, covariance and bootstrap, built block by block."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from armwise.evaluation.feedback import Floats

MAX_BATCHES = 2048


@dataclass(kw_only=True)
class Scatter:
    """Mean and covariance of p columns over a stream of rows.

    Blocks merge by Chan, Golub & LeVeque (1983), so that the scatter keeps its digits.

    Attributes:
        columns: p.
        count: rows of blocks that had any weight.
        weight: the sum of their weights.
    """

    columns: int
    count: int = 0
    weight: float = 0.0
    mean: Floats = field(init=False)
    scatter: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.mean = np.zeros(self.columns)
        self.scatter = np.zeros((self.columns, self.columns))

    def add(self, block: Floats) -> None:
        """Add rows [b, p], of weight one each."""
        if len(block):
            mean = block.mean(axis=0)
            centred = block - mean
            self._merge(len(block), float(len(block)), mean, centred.T @ centred)

    def add_weighted(self, block: Floats, weight: Floats) -> None:
        """Add rows [b, p] of weights [b], of which some may be 0."""
        total = float(weight.sum())
        if total > 0:
            mean = weight @ block / total
            centred = block - mean
            self._merge(len(block), total, mean, centred.T @ (centred * weight[:, None]))

    def merge(self, other: "Scatter") -> None:
        """Add another's rows."""
        if other.weight > 0:
            self._merge(other.count, other.weight, other.mean, other.scatter)

    def _merge(self, count: int, weight: float, mean: Floats, scatter: Floats) -> None:
        shift, total = mean - self.mean, self.weight + weight
        self.scatter = self.scatter + scatter + np.outer(shift, shift) * (self.weight * weight / total)
        self.mean = self.mean + shift * (weight / total)
        self.weight = total
        self.count += count

    @property
    def covariance(self) -> Floats:
        """[p, p], of one row; for rows without weights."""
        return self.scatter / max(self.count - 1, 1)


@dataclass(kw_only=True)
class Moments(Scatter):
    """And contiguous batch sums.

    Between MAX_BATCHES / 2 and MAX_BATCHES batches of equal size are kept; when they are full, neighbours merge. Memory
    is O(MAX_BATCHES p + p^2) however long the stream is.
    """

    batch_size: int = 1
    _sums: Floats = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sums = np.zeros((0, self.columns))

    def add(self, block: Floats) -> None:
        """Add rows [b, p]."""
        if len(block):
            self._add_batches(block, self.count + len(block))
            super().add(block)

    def _add_batches(self, block: Floats, total: int) -> None:
        while -(-total // self.batch_size) > MAX_BATCHES:
            if len(self._sums) % 2:
                self._sums = np.vstack([self._sums, np.zeros((1, self.columns))])
            self._sums = self._sums[0::2] + self._sums[1::2]
            self.batch_size *= 2
        first_free = -self.count % self.batch_size  # rows that still fit into the last batch
        starts = np.unique(np.r_[0, np.arange(first_free, len(block), self.batch_size)])
        sums = np.add.reduceat(block, starts, axis=0)
        if first_free and len(self._sums):
            self._sums[-1] += sums[0]
            sums = sums[1:]
        self._sums = np.vstack([self._sums, sums])

    @property
    def batch_sums(self) -> Floats:
        """[batches, p]."""
        return self._sums

    @property
    def batch_counts(self) -> Floats:
        """[batches], rows in each batch; the last may be short."""
        counts = np.full(len(self._sums), float(self.batch_size))
        counts[-1] = self.count - self.batch_size * (len(counts) - 1)
        return counts


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns make which cell: value = mean(direct) + mean(weighted) / mean(normaliser).

    Each array is [cells] of column indices, -1 for absent. Without a normaliser, direct and weighted share one column.
    """

    columns: int
    weighted: NDArray[np.intp]
    direct: NDArray[np.intp]
    normaliser: NDArray[np.intp]

    def values(self, means: Floats) -> Floats:
        """[..., cells] from column means [..., p]. A normaliser of zero gives NaN."""
        top = means[..., self.weighted]
        ratio = self.normaliser >= 0
        if ratio.any():
            below = np.where(ratio, means[..., self.normaliser], 1.0)
            top = np.divide(top, below, out=np.full(np.shape(top), np.nan), where=below != 0)
        if (self.direct >= 0).any():
            top = top + np.where(self.direct >= 0, means[..., self.direct], 0.0)
        return np.asarray(top)

    def gradient(self, means: Floats) -> Floats:
        """[cells, p], the derivative of ``values`` at means [p]: the delta method."""
        cells = np.arange(len(self.weighted))
        ratio = self.normaliser >= 0
        below = np.where(ratio, means[self.normaliser], 1.0)
        below = np.where(below == 0, np.nan, below)
        jacobian = np.zeros((len(cells), self.columns))
        jacobian[cells, self.weighted] += 1.0 / below
        jacobian[cells[ratio], self.normaliser[ratio]] -= (means[self.weighted] / below**2)[ratio]
        has_direct = self.direct >= 0
        jacobian[cells[has_direct], self.direct[has_direct]] += 1.0
        return jacobian
