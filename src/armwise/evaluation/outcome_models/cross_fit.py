"""Predictions for every row from a model that has not seen it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation.blocks import Blocks
from armwise.evaluation.feedback import Floats, LoggedFeedback
from armwise.evaluation.outcome_models.base import (
    Additive,
    FittedOutcome,
    KeptRows,
    OutcomeModel,
    OutcomePredictions,
    OutcomeSums,
)
from armwise.evaluation.targets import TargetPolicy

_FIRST = 64


def cross_fit(
    feedback: LoggedFeedback,
    targets: Sequence[TargetPolicy],
    model: OutcomeModel,
    *,
    folds: int = 4,
    progressive: bool = False,
    variance_weights: bool = False,
) -> OutcomePredictions:
    """Fit on some rows, predict on others, and keep only what estimators need: :class:`CrossFit` on arrays.

    Raises:
        BadInput: fewer than 2 folds, or more folds than rows.
    """
    blocks = Blocks.of(feedback, tuple(targets))
    fitted = CrossFit.of(blocks, model, folds=folds, progressive=progressive, variance_weights=variance_weights)
    parts = [fitted.predict(at, block, asked) for at, (block, asked) in blocks.numbered()]
    return OutcomePredictions(
        logged=np.concatenate([part.logged for part in parts]), direct=np.concatenate([part.direct for part in parts])
    )


class CrossFit:
    """Models of all outcomes, each for the stretch of the log that it has not seen.

    Folds are contiguous stretches, so nothing is drawn and rows that belong together stay together. ``progressive``
    predicts each stretch from the rows before it (stretches double): what anytime-valid bounds need, as a term may
    depend on the past only. ``variance_weights`` fits one model per target by the MRDR loss.
    Predictions are clipped to the declared bounds, or else to the range seen in training.
    Source: Chernozhukov et al. (2018), "Double/debiased machine learning", definition 3.1.

    Memory: of a model that adds up (:class:`Additive`), its sums for each stretch, outcome and, with
    ``variance_weights``, target; of any other, the rows.
    """

    def __init__(self, stretches: Sequence[tuple[int, int]], fits: Sequence[Sequence[Sequence["_Fit"]]]) -> None:
        self._stretches, self._fits = stretches, fits

    @classmethod
    def of(
        cls,
        blocks: Blocks,
        model: OutcomeModel,
        *,
        folds: int = 4,
        progressive: bool = False,
        variance_weights: bool = False,
    ) -> "CrossFit":
        """Fit, in one pass over the rows.

        Raises:
            BadInput: fewer than 2 folds, or more folds than rows.
        """
        n = blocks.rows
        if folds < 2:
            raise BadInput(f"folds is {folds}; allowed: 2 to {n}, the number of rows")
        if n < folds:
            raise BadInput(f"rows to judge by: {n}; a model of outcomes needs at least {folds}, one for each fold")
        stretches = list(_progressive(n) if progressive else _folds(n, folds))
        parts: list[list[list[_Part]]] = []  # by model, outcome and stretch
        for at, (feedback, targets) in blocks.numbered():
            models = len(targets) if variance_weights else 1
            if not parts:
                parts = [
                    [[_Part.of(model, feedback, name) for _ in stretches] for name in feedback.outcomes]
                    for _ in range(models)
                ]
            for s, cut in _cuts(stretches, at, feedback.n):
                rows = feedback.rows(cut.start, cut.stop)
                for g in range(models):
                    weight = _variance_weight(rows, targets[g].rows(cut.start, cut.stop)) if variance_weights else None
                    for j, name in enumerate(rows.outcomes):
                        parts[g][j][s].add(rows, name, weight)
        train = [
            [other for other in range(len(stretches)) if (other < s if progressive else other != s)]
            for s in range(len(stretches))
        ]
        return cls(
            stretches,
            [
                [[_Part.fit([of[other] for other in train[s]], of[s]) for s in range(len(of))] for of in g]
                for g in parts
            ],
        )

    def predict(self, at: int, feedback: LoggedFeedback, targets: Sequence[TargetPolicy]) -> OutcomePredictions:
        """Of a block, of which the first is row ``at``."""
        n, models, outcomes = feedback.n, len(self._fits), len(feedback.outcomes)
        logged, direct = np.empty((n, models, outcomes)), np.empty((n, len(targets), outcomes))
        features = _features(feedback)
        for s, cut in _cuts(self._stretches, at, n):
            arm = feedback.arm[cut]
            asked = [target.rows(cut.start, cut.stop) for target in targets]
            for g, of_outcome in enumerate(self._fits):
                for j, of_stretch in enumerate(of_outcome):
                    table = of_stretch[s].predict(features[cut], len(feedback.arms))
                    logged[cut, g, j] = table[np.arange(len(arm)), arm]
                    for t in [g] if models > 1 else range(len(targets)):
                        direct[cut, t, j] = asked[t].expectation(table)
        return OutcomePredictions(logged=logged, direct=direct)


@dataclass(kw_only=True)
class _Part:
    """What one stretch teaches of one outcome."""

    sums: OutcomeSums
    bounds: tuple[float, float]
    lowest: float = np.inf
    highest: float = -np.inf
    weighs: bool = False

    @classmethod
    def of(cls, model: OutcomeModel, feedback: LoggedFeedback, name: str) -> "_Part":
        arms = len(feedback.arms)
        bounds = feedback.bounds_of(name) if name in (feedback.bounds or {}) else (-np.inf, np.inf)
        return cls(sums=model.sums(arms) if isinstance(model, Additive) else KeptRows(model, arms), bounds=bounds)

    def add(self, rows: LoggedFeedback, name: str, weight: Floats | None) -> None:
        outcome = rows.outcomes[name]
        seen = ~np.isnan(outcome)
        if not seen.any():
            return
        every = bool(seen.all())
        features, arm, y = _features(rows), rows.arm, outcome
        if not every:
            features, arm, y = features[seen], arm[seen], outcome[seen]
            weight = None if weight is None else weight[seen]
        self.lowest, self.highest = min(self.lowest, float(y.min())), max(self.highest, float(y.max()))
        self.weighs = self.weighs or weight is None or bool((weight > 0).any())
        self.sums.add(features, arm, y, weight)

    @staticmethod
    def fit(train: Sequence["_Part"], own: "_Part") -> "_Fit":
        """A model of the training parts, for the rows of another."""
        low, high = own.bounds
        if not any(part.weighs for part in train):
            middle = (low + high) / 2 if np.isfinite(low + high) else 0.0
            return _Fit(model=None, floor=middle, ceiling=middle)
        return _Fit(
            model=train[0].sums.fit([part.sums for part in train[1:]]),
            floor=max(low, min(part.lowest for part in train)),
            ceiling=min(high, max(part.highest for part in train)),
        )


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """A model, or none where nothing was known to learn from, and the range of what it may say."""

    model: FittedOutcome | None
    floor: float
    ceiling: float

    def predict(self, features: Floats, arms: int) -> Floats:
        if self.model is None:
            return np.full((len(features), arms), self.floor)
        return np.clip(self.model.predict(features), self.floor, self.ceiling)


def _features(feedback: LoggedFeedback) -> Floats:
    return feedback.features if feedback.features is not None else np.zeros((feedback.n, 0))


def _cuts(stretches: Sequence[tuple[int, int]], at: int, n: int) -> Iterator[tuple[int, slice]]:
    """The parts of a block of n rows, of which the first is row ``at``, that lie in each stretch."""
    for s, (start, stop) in enumerate(stretches):
        low, high = max(start - at, 0), min(stop - at, n)
        if low < high:
            yield s, slice(low, high)


def _folds(n: int, folds: int) -> Iterator[tuple[int, int]]:
    for start, stop in pairwise(np.linspace(0, n, folds + 1).astype(int)):
        yield int(start), int(stop)


def _progressive(n: int) -> Iterator[tuple[int, int]]:
    start, stop = 0, min(_FIRST, n)
    while start < n:
        yield start, stop
        start, stop = stop, min(2 * stop, n)


def _variance_weight(feedback: LoggedFeedback, target: TargetPolicy) -> Floats:
    w = target.of_arm(feedback.arm) / feedback.propensity
    return np.asarray(w * w * (1.0 - feedback.propensity))
