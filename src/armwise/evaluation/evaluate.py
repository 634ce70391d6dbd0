"""The front door of off-policy evaluation."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from armwise.errors import BadInput
from armwise.evaluation.blocks import Blocks
from armwise.evaluation.diagnostics import Thresholds
from armwise.evaluation.estimators import Estimator, Rows, Tunable, estimator_named
from armwise.evaluation.feedback import Floats, LoggedFeedback
from armwise.evaluation.observed import Observed
from armwise.evaluation.outcome_models import CrossFit, OutcomeModel, OutcomePredictions, outcome_model_named
from armwise.evaluation.result import Evaluation
from armwise.evaluation.slope import Tuner, Tuning
from armwise.evaluation.streaming import StreamingEvaluation
from armwise.evaluation.targets import TargetPolicy, Targets, as_targets

_Predict = Callable[[int, LoggedFeedback, Sequence[TargetPolicy]], OutcomePredictions | None]
"""Predictions for a block, by the number of its first row."""


def evaluate(
    feedback: LoggedFeedback,
    targets: Targets,
    *,
    estimator: str | Estimator = "dr",
    interval: str = "normal",
    level: float = 0.95,
    outcome_model: str | OutcomeModel = "ridge",
    predictions: ArrayLike | OutcomePredictions | None = None,
    folds: int = 4,
    weight_bound: Mapping[str, float] | None = None,
    resamples: int = 1000,
    rng: np.random.Generator | None = None,
    thresholds: Thresholds | None = None,
    force: bool = False,
) -> Evaluation:
    """What would each target policy have achieved on the logged traffic?

    Args:
        feedback: the log.
        targets: one policy or several: TargetPolicy records, or a mapping name -> [n, K] probabilities or [n] arms.
        estimator: a name of ESTIMATORS ("replay", "dm", "ips", "clipped_ips", "snips", "sub_gaussian_ips", "dr",
            "sndr", "switch_dr", "dr_os", "mrdr") or an instance. A threshold left open is chosen by SLOPE, one for each
            target and outcome.
        interval: "normal"; "bootstrap" (batches, normaliser resampled); "empirical_bernstein" (holds at every n);
            "betting" (holds at every n and at every time the log is looked at). The last two need outcome bounds and an
            unbiased estimator: ips, dr, mrdr; betting also takes clipped_ips with a threshold.
        level: of each interval by itself.
        outcome_model: "ridge", "vw" or an instance; cross-fitted on contiguous folds, or on the past alone for betting.
        predictions: q [n, K] or [n, K, m] of a model that has not seen these rows, in place of ``outcome_model``.
        folds: of cross-fitting.
        weight_bound: target -> bound on its weights, where one is known that the log does not carry.
        resamples: of the bootstrap.
        rng: needed by the bootstrap and by replay.
        thresholds: where warnings and refusals begin.
        force: give numbers even where the verdict refuses. Without it they are NaN.

    Returns:
        Values, intervals, joint covariance, paired differences and a verdict for every target, the logging policy
        beside.

    Raises:
        BadInput: rows, targets or options that do not fit together.
        UnknownName: an unknown estimator, interval or model name, with the near miss.
    """
    policies = as_targets(targets, feedback)
    ready = predictions
    if ready is not None and not isinstance(ready, OutcomePredictions):
        ready = OutcomePredictions.from_table(np.asarray(ready), feedback, policies)
    return evaluate_blocks(
        Blocks.of(feedback, policies),
        estimator=estimator,
        interval=interval,
        level=level,
        outcome_model=outcome_model,
        predictions=ready,
        folds=folds,
        weight_bound=weight_bound,
        resamples=resamples,
        rng=rng,
        thresholds=thresholds,
        force=force,
    )


def evaluate_blocks(
    blocks: Blocks,
    *,
    estimator: str | Estimator = "dr",
    interval: str = "normal",
    level: float = 0.95,
    outcome_model: str | OutcomeModel = "ridge",
    predictions: OutcomePredictions | None = None,
    folds: int = 4,
    weight_bound: Mapping[str, float] | None = None,
    resamples: int = 1000,
    rng: np.random.Generator | None = None,
    thresholds: Thresholds | None = None,
    force: bool = False,
) -> Evaluation:
    """:func:`evaluate` over rows that need not fit in memory; the blocks are read two to four times, as a rule.

    Memory, beyond a block: sums. A threshold that is to be chosen takes the drawn weights too, 8 bytes for each row and
    target; interval="betting" its terms, 16 for each row, policy and outcome; an outcome model that is not additive
    (``vw``) the rows' features.

    Raises:
        BadInput: as :func:`evaluate`.
    """
    rule = estimator_named(estimator) if isinstance(estimator, str) else estimator
    if interval == "betting" and rule.anytime and isinstance(rule, Tunable) and rule.threshold is None:
        raise BadInput(
            "a threshold chosen on the same rows voids the betting bound; "
            f"give one: {type(rule).__name__}(threshold=...)"
        )
    predict = _predictor(blocks, rule, outcome_model, predictions, folds, progressive=interval == "betting")
    tuned = _tune(blocks, rule, predict) if isinstance(rule, Tunable) and rule.threshold is None else {}
    bounds = dict(weight_bound or {})
    if rule.randomised or interval in ("betting", "empirical_bernstein"):
        bounds = {**_weight_bounds(blocks), **bounds}
    if rule.randomised:
        for name, largest in _largest_drawn(blocks).items():
            bounds[name] = max(largest, bounds.get(name, 0.0))
    stream = StreamingEvaluation(
        estimator=rule,
        interval=interval,
        level=level,
        weight_bound=bounds,
        thresholds=thresholds or Thresholds(),
        force=force,
        tuned=tuned,
        rng=rng,
    )
    for at, (feedback, targets) in blocks.numbered():
        stream.extend(feedback, targets, predict(at, feedback, targets))
    return stream.result(resamples=resamples)


def _predictor(
    blocks: Blocks,
    rule: Estimator,
    model: str | OutcomeModel,
    given: OutcomePredictions | None,
    folds: int,
    *,
    progressive: bool,
) -> _Predict:
    if not rule.uses_model:
        return lambda at, feedback, targets: None
    if given is not None:
        return lambda at, feedback, targets: given.rows(at, at + feedback.n)
    chosen = outcome_model_named(model) if isinstance(model, str) else model
    return CrossFit.of(
        blocks, chosen, folds=folds, progressive=progressive, variance_weights=rule.name == "mrdr"
    ).predict


def _weight_bounds(blocks: Blocks) -> dict[str, float]:
    """Bounds that the log itself proves: from whole distributions, else from the floor that the policy kept."""
    made: dict[str, float] = {}
    for feedback, targets in blocks.read():
        table, floor = feedback.logging_probabilities, feedback.minimum_propensity
        for target in targets:
            if table is not None:
                made[target.name] = max(float(target.weights(table).max()), made.get(target.name, 0.0))
            elif floor is not None:
                made[target.name] = 1.0 / floor
    return made


def _largest_drawn(blocks: Blocks) -> dict[str, float]:
    """Target -> its largest weight at a drawn arm."""
    made: dict[str, float] = {}
    for feedback, targets in blocks.read():
        for target in targets:
            largest = float((target.of_arm(feedback.arm) / feedback.propensity).max())
            made[target.name] = max(largest, made.get(target.name, 0.0))
    return made


def _tune(blocks: Blocks, rule: Tunable, predict: _Predict) -> dict[tuple[str, str], Tuning]:
    """(target, outcome) -> thresholds."""
    drawn: dict[str, list[Floats]] = {}
    outcomes: tuple[str, ...] = ()
    for feedback, targets in blocks.read():
        outcomes = tuple(feedback.outcomes)
        for target in targets:
            drawn.setdefault(target.name, []).append(target.of_arm(feedback.arm) / feedback.propensity)
    tuners = {name: Tuner(rule, np.concatenate(parts), len(outcomes)) for name, parts in drawn.items()}
    del drawn
    while not all(tuner.settled for tuner in tuners.values()):
        for feedback, targets in blocks.read():
            for target in targets:
                if not tuners[target.name].settled:
                    tuners[target.name].look(*_tail(feedback, target))
        for tuner in tuners.values():
            if not tuner.settled:
                tuner.step()
    for at, (feedback, targets) in blocks.numbered():
        observed, made = Observed.of(feedback), predict(at, feedback, targets)
        for t, target in enumerate(targets):
            rows = Rows(
                weight=target.of_arm(feedback.arm) / feedback.propensity,
                outcome=observed.outcome,
                observation=observed.weight,
                logged=None if made is None else made.logged[:, min(t, made.logged.shape[1] - 1)],
                direct=None if made is None else made.direct[:, t],
            )
            tuners[target.name].add(rows, *_tail(feedback, target))
    return {
        (name, outcome): tuning
        for name, tuner in tuners.items()
        for outcome, tuning in zip(outcomes, tuner.tunings(), strict=True)
    }


def _tail(feedback: LoggedFeedback, target: TargetPolicy) -> tuple[Floats, Floats]:
    """The weights of a target as far as they are known, and the probabilities with which each would be drawn."""
    table = feedback.logging_probabilities
    if table is None:
        return target.of_arm(feedback.arm) / feedback.propensity, np.ones(1)
    return target.weights(table), table
