"""The variance of weighted rows, from the probabilities with which arms could have been drawn.

A term f(w) y of a row, for the arm a that was drawn, has the second moment

    E[f(w)^2 y^2 | x] = sum_a p(a|x) f(w_a)^2 E[y^2 | x, a],    w_a = pi(a|x) / p(a|x).

A sample of such terms shows it only once the rare rows with large weights have been drawn: until then the sample
variance is too small. But the log carries p(.|x) on every row, so the sum over arms, that is the whole tail of the
weights, is known without a draw, and only E[y^2 | a], which is light, is left to be estimated. Given the past the same
sum is the conditional variance of the term: it holds as well for a policy that learned while it logged.
Sources: Rao (1945) and Blackwell (1947) for conditioning; conditional variances in place of squares, for data collected
adaptively: Bibaut, Dimakopoulou, Kallus, Chambaz & van der Laan (2021), "Post-contextual-bandit inference".
Where it stops: E[y^2 | x, a] is taken to depend on x through p(a|x) alone, in half-decades of it, which is right for
the variance as long as y^2 and w_a do not move together within one. Under 25 effective rows or so an estimate is not
normal, whatever its variance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from armwise.evaluation.feedback import Floats, Ints

EDGES = np.array([0.003, 0.01, 0.03, 0.1, 0.3])
"""Of the logged probability: cells are arm x bin."""

PRIOR_ROWS = 10.0
"""Rows of the arm's second moment that a cell's is mixed with, and of all arms' that an arm's is."""


@dataclass(kw_only=True)
class DesignMoments:
    """Second moments of p columns over a stream of rows; column c is weight[group[c]] times a light factor.

    Attributes:
        arms: K.
        group: [p], which weights a column has; G kinds of weights in all.
    """

    arms: int
    group: Ints
    rows: int = 0
    _pairs: Floats = field(init=False, repr=False)
    _mass: Floats = field(init=False, repr=False)
    _squares: Floats = field(init=False, repr=False)
    _gram: Floats = field(init=False, repr=False)
    _seen: Floats = field(init=False, repr=False)
    _count: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        p, g, cells = len(self.group), int(self.group.max()) + 1, self.arms * (len(EDGES) + 1)
        self._pairs, self._mass = np.zeros((cells, g, g)), np.zeros(g)
        self._squares, self._gram = np.zeros((p, p)), np.zeros((cells, p, p))
        self._seen, self._count = np.zeros((cells, g)), np.zeros(cells)

    def add(self, terms: Floats, drawn: Floats, arm: Ints, table: Floats, weights: Sequence[Floats]) -> None:
        """Add a block.

        Args:
            terms: [b, p], the columns at the arms that were drawn, without what does not depend on the draw.
            drawn: [b, G], the weights at those arms.
            arm: [b].
            table: [b, K], the logged probabilities.
            weights: G arrays [b, K], the weights of every arm.
        """
        self.rows += len(arm)
        bins = len(EDGES) + 1
        cell = np.searchsorted(EDGES, table, side="right") + np.arange(self.arms) * bins
        root = np.sqrt(table)
        scaled = np.stack([root * weight for weight in weights], axis=2)
        self._mass += np.einsum("bk,bkg->g", root, scaled)
        for a in range(self.arms):
            for c, rows in _parts(cell[:, a], a * bins, bins):
                self._pairs[c] += scaled[rows, a].T @ scaled[rows, a]
        self._squares += terms.T @ terms
        # The mean of y^2 within a cell: rows count by the square root of their weight, half-way between the mean under
        # the log, which is precise, and that under the target, which is meant.
        light = np.divide(1.0, drawn**0.75, out=np.zeros_like(drawn), where=drawn > 0)
        factors = terms * light[:, self.group]
        for c, rows in _parts(cell[np.arange(len(arm)), arm], 0, self.arms * bins):
            self._gram[c] += factors[rows].T @ factors[rows]
            self._seen[c] += np.sqrt(drawn[rows]).sum(axis=0)
            self._count[c] += len(rows)

    def correction(self) -> Floats:
        """[p, p]: what to add to the sample covariance of one row."""
        bins = len(EDGES) + 1
        moments = _mean(self._gram.sum(axis=0), self._seen.sum(axis=0)[self.group])
        for size in (bins, 1):  # an arm leans on all, a cell on its arm
            starts = np.arange(0, len(self._count), size)
            count, seen = np.add.reduceat(self._count, starts), np.add.reduceat(self._seen, starts)
            own = (count / (count + PRIOR_ROWS))[:, None, None]
            mean = _mean(np.add.reduceat(self._gram, starts), seen[:, self.group])
            moments = own * mean + (1.0 - own) * (moments if moments.ndim == 2 else np.repeat(moments, bins, axis=0))
        pairs = self._pairs[:, self.group[:, None], self.group[None, :]]
        return np.asarray(((pairs * moments).sum(axis=0) - self._squares) / self.rows)

    @property
    def effective_rows(self) -> Floats:
        """[G], Kish's effective sample size as the probabilities promise it; NaN without weights."""
        squares = np.einsum("cgg->g", self._pairs)
        found: Floats = np.divide(self._mass**2, squares, out=np.full_like(squares, np.nan), where=squares > 0)
        return found


def _parts(cell: Ints, first: int, count: int) -> Iterator[tuple[int, Ints]]:
    """The rows of each cell that has any."""
    order = np.argsort(cell, kind="stable")
    ends = np.searchsorted(cell[order], np.arange(first, first + count + 1))
    for c in np.flatnonzero(np.diff(ends)):
        yield first + int(c), order[ends[c] : ends[c + 1]]


def _mean(gram: Floats, seen: Floats) -> Floats:
    """Gram matrices as means; with a common divisor they stay positive semidefinite."""
    scale = np.divide(1.0, np.sqrt(seen), out=np.zeros_like(seen), where=seen > 0)
    return np.asarray(gram * scale[..., :, None] * scale[..., None, :])
