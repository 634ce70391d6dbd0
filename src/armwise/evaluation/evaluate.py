"""The front door of off-policy evaluation."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from armwise.errors import BadInput
from armwise.evaluation.diagnostics import Thresholds
from armwise.evaluation.estimators import Estimator, Rows, Tunable, estimator_named
from armwise.evaluation.feedback import Floats, LoggedFeedback
from armwise.evaluation.observed import Observed, one_outcome
from armwise.evaluation.outcome_models import OutcomeModel, OutcomePredictions, cross_fit, outcome_model_named
from armwise.evaluation.result import Evaluation
from armwise.evaluation.slope import Tail, Tuning, tune
from armwise.evaluation.streaming import StreamingEvaluation
from armwise.evaluation.targets import TargetPolicy, Targets, as_targets

_BLOCK = 1 << 16


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
    rule = estimator_named(estimator) if isinstance(estimator, str) else estimator
    policies = as_targets(targets, feedback)
    if interval == "betting" and rule.anytime and isinstance(rule, Tunable) and rule.threshold is None:
        raise BadInput(
            "a threshold chosen on the same rows voids the betting bound; "
            f"give one: {type(rule).__name__}(threshold=...)"
        )
    ready = _predictions(feedback, policies, rule, outcome_model, predictions, folds, progressive=interval == "betting")
    tuned = _tune(feedback, policies, rule, ready) if isinstance(rule, Tunable) and rule.threshold is None else {}
    bounds = dict(weight_bound or {})
    if rule.randomised or interval in ("betting", "empirical_bernstein"):
        bounds = {**_weight_bounds(feedback, policies), **bounds}
    if rule.randomised:
        for target in policies:
            largest = float((target.of_arm(feedback.arm) / feedback.propensity).max())
            bounds[target.name] = max(largest, bounds.get(target.name, 0.0))
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
    for start in range(0, feedback.n, _BLOCK):
        stop = min(start + _BLOCK, feedback.n)
        stream.extend(
            feedback.rows(start, stop),
            [target.rows(start, stop) for target in policies],
            None if ready is None else ready.rows(start, stop),
        )
    return stream.result(resamples=resamples)


def _predictions(
    feedback: LoggedFeedback,
    targets: tuple[TargetPolicy, ...],
    rule: Estimator,
    model: str | OutcomeModel,
    given: ArrayLike | OutcomePredictions | None,
    folds: int,
    *,
    progressive: bool,
) -> OutcomePredictions | None:
    if not rule.uses_model:
        return None
    if isinstance(given, OutcomePredictions):
        return given
    if given is not None:
        return OutcomePredictions.from_table(np.asarray(given), feedback, targets)
    chosen = outcome_model_named(model) if isinstance(model, str) else model
    return cross_fit(
        feedback, targets, chosen, folds=folds, progressive=progressive, variance_weights=rule.name == "mrdr"
    )


def _weight_bounds(feedback: LoggedFeedback, targets: tuple[TargetPolicy, ...]) -> dict[str, float]:
    """Bounds that the log itself proves: from whole distributions, else from the floor that the policy kept."""
    floor = feedback.minimum_propensity
    table = feedback.logging_probabilities
    made: dict[str, float] = {}
    for target in targets:
        if table is not None:
            largest = 0.0
            for start in range(0, feedback.n, _BLOCK):
                cut = slice(start, start + _BLOCK)
                largest = max(largest, float(target.rows(start, start + _BLOCK).weights(table[cut]).max()))
            made[target.name] = largest
        elif floor is not None:
            made[target.name] = 1.0 / floor
    return made


def _tune(
    feedback: LoggedFeedback,
    targets: tuple[TargetPolicy, ...],
    rule: Tunable,
    predictions: OutcomePredictions | None,
) -> dict[tuple[str, str], Tuning]:
    """(target, outcome) -> thresholds."""
    observed = Observed.of(feedback)
    chosen: dict[tuple[str, str], Tuning] = {}
    table = feedback.logging_probabilities
    for t, target in enumerate(targets):
        weight: Floats = target.of_arm(feedback.arm) / feedback.propensity
        logged = None if predictions is None else predictions.logged[:, min(t, predictions.logged.shape[1] - 1)]
        rows = Rows(
            weight=weight,
            outcome=observed.outcome,
            observation=observed.weight,
            logged=logged,
            direct=None if predictions is None else predictions.direct[:, t],
        )
        tail = Tail(weight=weight) if table is None else Tail(weight=target.weights(table), probability=table)
        for j, name in enumerate(feedback.outcomes):
            chosen[target.name, name] = tune(rule, one_outcome(rows, j), tail)
    return chosen
