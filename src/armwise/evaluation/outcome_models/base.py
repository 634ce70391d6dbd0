"""What an outcome model is, and what the estimators need of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats, Ints, LoggedFeedback
from armwise.evaluation.targets import TargetPolicy


class FittedOutcome(Protocol):
    """A fitted model."""

    def predict(self, features: Floats) -> Floats:
        """[n, K] predicted outcomes for features [n, d]."""
        ...


@runtime_checkable
class OutcomeModel(Protocol):
    """Fits E[outcome | features, arm]."""

    def fit(self, features: Floats, arm: Ints, outcome: Floats, weight: Floats | None, arms: int) -> FittedOutcome:
        """Fit on rows features [n, d], arm [n], outcome [n] (no NaN), row weight [n] or None, K = ``arms``."""
        ...


class OutcomeSums(Protocol):
    """What a model needs of rows that come in blocks."""

    def add(self, features: Floats, arm: Ints, outcome: Floats, weight: Floats | None) -> None:
        """Add a block, as ``OutcomeModel.fit`` takes rows."""
        ...

    def fit(self, others: Sequence[Self]) -> FittedOutcome:
        """Fit on these rows and those of others, which follow them."""
        ...


@runtime_checkable
class Additive(Protocol):
    """An outcome model that is fitted from sums, which need not hold the rows."""

    def sums(self, arms: int) -> OutcomeSums:
        """Sums of no row yet, over K = ``arms``."""
        ...


class KeptRows:
    """The rows themselves, for a model that needs them all at once."""

    def __init__(self, model: OutcomeModel, arms: int) -> None:
        self._model, self._arms = model, arms
        self._blocks: list[tuple[Floats, Ints, Floats, Floats | None]] = []

    def add(self, features: Floats, arm: Ints, outcome: Floats, weight: Floats | None) -> None:
        """Keep a block."""
        self._blocks.append((features, arm, outcome, weight))

    def fit(self, others: Sequence[Self]) -> FittedOutcome:
        """Fit on these rows and those of others, which follow them."""
        features, arm, outcome, weight = zip(
            *(block for kept in (self, *others) for block in kept._blocks), strict=True
        )
        weights = [w for w in weight if w is not None]
        return self._model.fit(
            np.concatenate(features),
            np.concatenate(arm),
            np.concatenate(outcome),
            np.concatenate(weights) if weights else None,
            self._arms,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class OutcomePredictions:
    """All that estimators need of a model, whatever K is.

    Attributes:
        logged: [n, T, m] or [n, 1, m] when all targets share a model: q(x, a) at the logged arm.
        direct: [n, T, m]: sum_b pi_t(b|x) q(x, b).
    """

    logged: Floats
    direct: Floats

    def __post_init__(self) -> None:
        if self.logged.ndim != 3 or self.direct.ndim != 3 or len(self.logged) != len(self.direct):
            raise BadInput(
                f"predictions have shapes {self.logged.shape} and {self.direct.shape}; allowed: logged [n, T or 1, m], "
                "direct [n, T, m]"
            )
        if not (np.isfinite(self.logged).all() and np.isfinite(self.direct).all()):
            raise BadInput("predictions hold NaN or infinite values")

    @classmethod
    def from_table(
        cls, table: Floats, feedback: LoggedFeedback, targets: Sequence[TargetPolicy]
    ) -> "OutcomePredictions":
        """From q [n, K] (one outcome) or [n, K, m], made by a model that was not fitted on these rows."""
        q = np.asarray(table)
        want = (feedback.n, len(feedback.arms))
        if q.ndim not in (2, 3) or q.shape[:2] != want:
            raise BadInput(f"predictions have shape {q.shape}; allowed: [{want[0]}, {want[1]}] or with a last axis m")
        m = 1 if q.ndim == 2 else q.shape[2]
        if m != len(feedback.outcomes):
            raise BadInput(f"predictions cover {m} outcome(s), the log has {len(feedback.outcomes)}")
        logged = q[np.arange(feedback.n), feedback.arm].reshape(feedback.n, 1, m)
        direct = np.stack([target.expectation(q).reshape(feedback.n, m) for target in targets], axis=1)
        return cls(logged=logged.astype(np.float64, copy=False), direct=direct.astype(np.float64, copy=False))

    def rows(self, start: int, stop: int) -> "OutcomePredictions":
        """Rows start..stop as views."""
        return OutcomePredictions(logged=self.logged[start:stop], direct=self.direct[start:stop])
