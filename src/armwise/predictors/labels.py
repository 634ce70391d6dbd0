"""Which task a caller would have named: a classifier learned from the requests whose callers did."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import State, Vector

Floats = NDArray[np.float64]


class LabelClassifier:
    """P(task | x) = softmax(W x + b), learned by :mod:`armwise.retraining.classifying`.

    Args:
        tasks: the labels, in the order of the rows of ``weights``.
        weights: shape (tasks, columns + 1); the last column is b.
        columns: which entries of a context vector x is made of. Those that follow from the label must not be among
            them: they are there when it learns, and not when it is asked.
    """

    def __init__(self, *, tasks: Sequence[str], weights: Floats, columns: NDArray[np.intp]) -> None:
        self.tasks = tuple(tasks)
        self._weights = weights
        self._columns = columns

    def guess(self, vector: Vector) -> str:
        """The likeliest task of a request whose caller named none."""
        return self.tasks[int(np.argmax(self._weights[:, :-1] @ vector[self._columns] + self._weights[:, -1]))]

    def guess_many(self, vectors: Floats) -> list[str]:
        """As :meth:`guess`, for the rows of (n, dimension)."""
        scores = vectors[:, self._columns] @ self._weights[:, :-1].T + self._weights[:, -1]
        return [self.tasks[at] for at in scores.argmax(axis=1)]

    def state(self) -> State:
        return {"tasks": list(self.tasks), "weights": self._weights, "columns": self._columns.astype(np.int64)}

    @classmethod
    def of_state(cls, state: State) -> LabelClassifier:
        """The classifier of a saved state."""
        return cls(tasks=state["tasks"], weights=state["weights"], columns=state["columns"].astype(np.intp))
