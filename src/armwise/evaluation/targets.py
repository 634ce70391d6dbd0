"""The policies to be evaluated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from armwise.errors import BadInput
from armwise.evaluation.feedback import LOGGING, Floats, Ints, LoggedFeedback, probability_table

UNSUPPORTED = 1e-12
"""No log is long enough to hold a draw of this probability."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetPolicy:
    """A candidate: what it would do on each logged row.

    Give ``probabilities`` [n, K], zero outside the row's action set, or for a deterministic policy ``chosen`` [n], the
    index of its arm (an eighth of the memory and more at K = 10).
    """

    name: str
    probabilities: Floats | None = None
    chosen: Ints | None = None

    def __post_init__(self) -> None:
        if self.name == LOGGING:
            raise BadInput(f"{LOGGING!r} is the name of the policy that wrote the log; call the target something else")
        if (self.probabilities is None) == (self.chosen is None):
            raise BadInput(f"target {self.name!r}: give either probabilities [n, K] or chosen [n]")

    def check(self, feedback: LoggedFeedback) -> "TargetPolicy":
        """The same target, checked against the rows it is to be judged on.

        Raises:
            BadInput: shapes, sums, arms the log does not know, or probability outside the action set.
        """
        label = f"target {self.name!r}"
        if self.probabilities is not None:
            table = probability_table(label, self.probabilities, feedback.n, feedback.arms, feedback.eligible)
            return TargetPolicy(name=self.name, probabilities=table)
        chosen = np.asarray(self.chosen)
        k = len(feedback.arms)
        if chosen.shape != (feedback.n,) or not np.issubdtype(chosen.dtype, np.integer):
            raise BadInput(
                f"{label} has shape {chosen.shape} and type {chosen.dtype}; allowed: integers [{feedback.n}]"
            )
        if chosen.min() < 0 or chosen.max() >= k:
            raise BadInput(f"{label} uses arm indices outside 0..{k - 1}: {feedback.arms}")
        if feedback.eligible is not None:
            bad = int(np.count_nonzero(~feedback.eligible[np.arange(feedback.n), chosen]))
            if bad:
                raise BadInput(f"{label} chooses an arm outside the action set in {bad} of {feedback.n} rows")
        return TargetPolicy(name=self.name, chosen=chosen)

    def of_arm(self, arm: Ints) -> Floats:
        """[n], the probability this target gives to ``arm`` on each row."""
        if self.probabilities is None:
            return np.asarray(self.chosen == arm, dtype=np.float64)
        return np.take_along_axis(self.probabilities, arm[:, None], axis=1)[:, 0].astype(np.float64, copy=False)

    def weights(self, probabilities: Floats) -> Floats:
        """[n, K], pi / p for every arm of the logged distributions [n, K]; 0 where the log could not have gone."""
        p = probabilities.astype(np.float64, copy=False)
        mine = self.probabilities
        if mine is None:
            mine = np.zeros(p.shape)
            mine[np.arange(len(p)), self.chosen] = 1.0
        return np.divide(mine, p, out=np.zeros(p.shape), where=p > UNSUPPORTED)

    def expectation(self, table: Floats) -> Floats:
        """[n, m] or [n], the mean of table [n, K, m] or [n, K] under this target."""
        if self.probabilities is None:
            return np.asarray(table[np.arange(len(table)), self.chosen])
        return np.asarray(np.einsum("nk,nk...->n...", self.probabilities, table))

    def mass_by_arm(self, k: int) -> Floats:
        """[K], the summed probability on each arm."""
        if self.probabilities is None:
            return np.bincount(np.asarray(self.chosen), minlength=k).astype(np.float64)
        return np.ones(len(self.probabilities), self.probabilities.dtype) @ self.probabilities

    def rows(self, start: int, stop: int) -> "TargetPolicy":
        """Rows start..stop as views."""
        cut = slice(start, stop)
        if self.probabilities is not None:
            return TargetPolicy(name=self.name, probabilities=self.probabilities[cut])
        return TargetPolicy(name=self.name, chosen=np.asarray(self.chosen)[cut])


Targets = TargetPolicy | Sequence[TargetPolicy] | Mapping[str, ArrayLike]


def as_targets(targets: Targets, feedback: LoggedFeedback) -> tuple[TargetPolicy, ...]:
    """Any of the accepted spellings as checked targets. A mapping holds name -> [n, K] floats or [n] integers."""
    if isinstance(targets, TargetPolicy):
        targets = [targets]
    if isinstance(targets, Mapping):
        made = []
        for name, values in targets.items():
            array = np.asarray(values)
            made.append(
                TargetPolicy(name=name, chosen=array)
                if array.ndim == 1
                else TargetPolicy(name=name, probabilities=array)
            )
        targets = made
    if not targets:
        raise BadInput("no target policy was given; nothing to evaluate")
    names = [target.name for target in targets]
    if len(set(names)) != len(names):
        raise BadInput(f"target names repeat: {names}")
    return tuple(target.check(feedback) for target in targets)
