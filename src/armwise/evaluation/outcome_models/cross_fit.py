"""Predictions for every row from a model that has not seen it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats, LoggedFeedback
from armwise.evaluation.outcome_models.base import OutcomeModel, OutcomePredictions
from armwise.evaluation.targets import TargetPolicy

_BLOCK = 1 << 16
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
    """Fit on some rows, predict on others, and keep only what estimators need.

    Folds are contiguous stretches of the log, so nothing is drawn and rows that belong together stay together.
    ``progressive`` predicts each stretch from the rows before it (stretches double): what anytime-valid bounds need, as
    a term may depend on the past only. ``variance_weights`` fits one model per target by the MRDR loss.
    Predictions are clipped to the declared bounds, or else to the range seen in training.
    Source: Chernozhukov et al. (2018), "Double/debiased machine learning", definition 3.1.

    Raises:
        BadInput: fewer than 2 folds, or more folds than rows.
    """
    n, names = feedback.n, list(feedback.outcomes)
    if folds < 2:
        raise BadInput(f"folds is {folds}; allowed: 2 to {n}, the number of rows")
    if n < folds:
        raise BadInput(f"rows to judge by: {n}; a model of outcomes needs at least {folds}, one for each fold")
    models = len(targets) if variance_weights else 1
    logged = np.zeros((n, models, len(names)))
    direct = np.zeros((n, len(targets), len(names)))
    features = feedback.features if feedback.features is not None else np.zeros((n, 0))
    stretches = list(_progressive(n) if progressive else _folds(n, folds))
    for g in range(models):
        served = [g] if variance_weights else list(range(len(targets)))
        weight = _variance_weight(feedback, targets[g]) if variance_weights else None
        for j, name in enumerate(names):
            outcome = feedback.outcomes[name]
            seen = ~np.isnan(outcome)
            low, high = feedback.bounds_of(name) if name in (feedback.bounds or {}) else (-np.inf, np.inf)
            for start, stop, train in stretches:
                rows = train & seen
                if not rows.any() or (weight is not None and not (weight[rows] > 0).any()):
                    middle = (low + high) / 2 if np.isfinite(low + high) else 0.0
                    logged[start:stop, g, j] = middle
                    direct[start:stop, served, j] = middle
                    continue
                y = outcome[rows]
                fitted = model.fit(
                    features[rows], feedback.arm[rows], y, None if weight is None else weight[rows], len(feedback.arms)
                )
                floor, ceiling = max(low, float(y.min())), min(high, float(y.max()))
                for at in range(start, stop, _BLOCK):
                    end = min(at + _BLOCK, stop)
                    table = np.clip(fitted.predict(features[at:end]), floor, ceiling)
                    logged[at:end, g, j] = table[np.arange(end - at), feedback.arm[at:end]]
                    for t in served:
                        direct[at:end, t, j] = targets[t].rows(at, end).expectation(table)
    return OutcomePredictions(logged=logged, direct=direct)


def _folds(n: int, folds: int) -> Iterator[tuple[int, int, Floats]]:
    edges = np.linspace(0, n, folds + 1).astype(int)
    for start, stop in pairwise(edges):
        train = np.ones(n, dtype=bool)
        train[start:stop] = False
        yield int(start), int(stop), train


def _progressive(n: int) -> Iterator[tuple[int, int, Floats]]:
    start, stop = 0, min(_FIRST, n)
    while start < n:
        train = np.zeros(n, dtype=bool)
        train[:start] = True
        yield start, stop, train
        start, stop = stop, min(2 * stop, n)


def _variance_weight(feedback: LoggedFeedback, target: TargetPolicy) -> Floats:
    w = target.of_arm(feedback.arm) / feedback.propensity
    return np.asarray(w * w * (1.0 - feedback.propensity))
