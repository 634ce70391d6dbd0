"""Evaluation over a log that comes in blocks and need not fit in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from armwise.errors import BadInput, UnknownName, unknown
from armwise.evaluation.bounded import BoundedTerms
from armwise.evaluation.columns import Columns, add_design
from armwise.evaluation.design import DesignMoments
from armwise.evaluation.diagnostics import (
    PropensityCalibration,
    Thresholds,
)
from armwise.evaluation.diagnostics.overlap import CERTAIN
from armwise.evaluation.estimators import DirectMethod, Estimator, OnPolicy, Rows, Terms, Tunable, estimator_named
from armwise.evaluation.feedback import LOGGING, Floats, LoggedFeedback
from armwise.evaluation.intervals import (
    INTERVALS,
    bootstrap_replicates,
    empirical_bernstein_radius,
    normal_radius,
    percentile_bounds,
)
from armwise.evaluation.moments import Moments
from armwise.evaluation.observed import Observed, one_outcome
from armwise.evaluation.outcome_models import OutcomePredictions
from armwise.evaluation.result import Evaluation
from armwise.evaluation.slope import Tuning
from armwise.evaluation.sums import Sums
from armwise.evaluation.targets import TargetPolicy, Targets, as_targets


@dataclass(kw_only=True)
class StreamingEvaluation:
    """Feed blocks of rows in log order with ``update``; ask ``result`` at any time.

    Memory: the current block, batch sums, and the largest weights; with interval="betting" the row terms too.

    Attributes:
        estimator: a name of ESTIMATORS or an instance. Thresholds must be given: SLOPE takes several passes
            (``evaluate_blocks`` does that).
        interval: "normal", "bootstrap", "empirical_bernstein" or "betting".
        level: of each interval by itself; no correction for many targets is made.
        weight_bound: target name -> a bound on its weights; taken from the minimum propensity, or the largest weight
            seen, when not given.
        thresholds: where warnings and refusals begin.
        force: give estimates even where the verdict refuses them.
        tuned: (target, outcome) -> thresholds, overriding the estimator's own.
    """

    estimator: str | Estimator = "snips"
    interval: str = "normal"
    level: float = 0.95
    weight_bound: Mapping[str, float] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)
    force: bool = False
    tuned: Mapping[tuple[str, str], Tuning] = field(default_factory=dict)
    rng: np.random.Generator | None = None
    _rule: Estimator = field(init=False, repr=False)
    _state: Sums | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._rule = estimator_named(self.estimator) if isinstance(self.estimator, str) else self.estimator
        if self.interval not in INTERVALS:
            raise UnknownName(unknown("interval", self.interval, INTERVALS))
        if not 0 < self.level < 1:
            raise BadInput(f"level is {self.level}; allowed: between 0 and 1, such as 0.95")
        if self.interval in ("betting", "empirical_bernstein") and not self._rule.anytime:
            raise BadInput(
                f"estimator {self._rule.name!r} has no finite-sample bound for interval {self.interval!r}; use ips, "
                "clipped_ips or dr with it, or interval='bootstrap'"
            )
        if self.interval == "empirical_bernstein" and isinstance(self._rule, Tunable):
            raise BadInput(
                f"interval 'empirical_bernstein' leaves out the bias of {self._rule.name!r}; use 'betting' with it"
            )
        if isinstance(self._rule, Tunable) and self._rule.threshold is None and not self.tuned:
            raise BadInput(
                f"estimator {self._rule.name!r} needs a threshold here: {type(self._rule).__name__}(threshold=...)"
            )

    def update(
        self, feedback: LoggedFeedback, targets: Targets, *, predictions: OutcomePredictions | None = None
    ) -> None:
        """Add a block: the same arms, outcomes and targets each time.

        Raises:
            BadInput: a block unlike those before, or predictions missing for an estimator that needs them.
        """
        self.extend(feedback, as_targets(targets, feedback), predictions)

    def extend(
        self, feedback: LoggedFeedback, targets: Sequence[TargetPolicy], predictions: OutcomePredictions | None
    ) -> None:
        """``update`` for targets that have been checked against these rows already."""
        names, outcomes = tuple(target.name for target in targets), tuple(feedback.outcomes)
        if self._rule.uses_model and predictions is None:
            raise BadInput(f"estimator {self._rule.name!r} needs predictions of an outcome model")
        if predictions is not None:
            want = (feedback.n, len(names), len(outcomes))
            if predictions.direct.shape != want or predictions.logged.shape[1] not in (1, len(names)):
                raise BadInput(f"predictions.direct has shape {predictions.direct.shape}; allowed: {want}")
        state = self._state
        if state is None:
            state = self._state = Sums(arms=feedback.arms, targets=names, outcomes=outcomes)
        elif (state.arms, state.targets, state.outcomes) != (feedback.arms, names, outcomes):
            raise BadInput(
                f"this block has arms {feedback.arms}, targets {names} and outcomes {outcomes}; those before had "
                f"{state.arms}, {state.targets} and {state.outcomes}"
            )
        observed = Observed.of(feedback)
        state.rows += feedback.n
        state.certain += int(np.count_nonzero(feedback.propensity >= CERTAIN))
        state.smallest_propensity = min(state.smallest_propensity, float(feedback.propensity.min()))
        if feedback.logging_probabilities is not None:
            if state.calibration is None:
                state.calibration = PropensityCalibration(arms=len(feedback.arms))
            state.calibration.add(feedback)
        builder = Columns()
        for t, target in enumerate([*targets, None]):
            weight = np.ones(feedback.n) if target is None else target.of_arm(feedback.arm) / feedback.propensity
            if target is not None:
                state.weights_of(target.name, outcomes, weight, self._rules(target.name, outcomes), observed, feedback)
                state.overlap[target.name].add(feedback, target, weight)
                state.agreement[target.name] += float(weight @ feedback.propensity)
            rows = self._rows(t, target, weight, observed, predictions)
            name = LOGGING if target is None else target.name
            kinds = [builder.kind(t, rule, weight) for rule in self._rules(name, outcomes)]
            state.kind_of.update({(name, j): kind for j, kind in zip(outcomes, kinds, strict=True)})
            builder.add_target(self._terms(name, rows, outcomes), kinds, whole=target is None)
            if self.interval in ("betting", "empirical_bernstein"):
                state.bounded.setdefault(name, BoundedTerms(outcomes=outcomes)).add(
                    rows, self._rule_of(name), feedback, keep=self.interval == "betting"
                )
        if state.moments is None:
            state.layout = builder.layout()
            state.moments = Moments(columns=len(builder.columns))
        elif len(builder.columns) != state.moments.columns:
            raise BadInput(
                "blocks disagree on which outcomes are censored; give observation_probability on every block"
            )
        state.moments.add(builder.matrix(feedback.n))
        if feedback.logging_probabilities is not None:
            if state.design is None:
                state.design = DesignMoments(arms=len(feedback.arms), group=builder.groups())
            add_design(state.design, builder, feedback, targets)

    def _rule_of(self, name: str) -> Estimator:
        return OnPolicy(anytime_form=True) if name == LOGGING else self._rule

    def _rules(self, name: str, outcomes: tuple[str, ...]) -> list[Estimator]:
        """Whose weights the interval of each outcome stands on."""
        if name == LOGGING:
            return [OnPolicy()] * len(outcomes)
        if self.tuned and isinstance(self._rule, Tunable):
            return [self._rule.at(self.tuned[name, j].reference) for j in outcomes]
        return [self._rule] * len(outcomes)

    def _rows(
        self,
        t: int,
        target: TargetPolicy | None,
        weight: Floats,
        observed: Observed,
        predictions: OutcomePredictions | None,
    ) -> Rows:
        bound = float(weight.max()) if target is None else self.weight_bound.get(target.name, np.inf)
        logged = direct = uniform = None
        if predictions is not None and self._rule.uses_model:
            logged = predictions.logged[:, min(t, predictions.logged.shape[1] - 1) if target is not None else 0]
            direct = logged if target is None else predictions.direct[:, t]
        if self._rule.randomised and target is not None:
            if self.rng is None:
                raise BadInput(f"estimator {self._rule.name!r} is random; pass rng=numpy.random.default_rng(seed)")
            if not np.isfinite(bound):
                raise BadInput(f"estimator {self._rule.name!r} needs weight_bound={{{target.name!r}: ...}} on a stream")
            uniform = self.rng.random(len(weight))
        return Rows(
            weight=weight,
            outcome=observed.outcome,
            observation=observed.weight,
            logged=logged,
            direct=direct,
            weight_bound=bound,
            uniform=uniform,
        )

    def _terms(self, name: str, rows: Rows, outcomes: tuple[str, ...]) -> Terms:
        if name == LOGGING:
            return OnPolicy(anytime_form=self.interval in ("betting", "empirical_bernstein")).terms(rows)
        if not self.tuned or not isinstance(self._rule, Tunable):
            return self._rule.terms(rows)
        parts = [rule.terms(one_outcome(rows, i)) for i, rule in enumerate(self._rules(name, outcomes))]
        directs = [part.direct for part in parts if part.direct is not None]
        return Terms(
            weighted=np.hstack([part.weighted for part in parts]), direct=np.hstack(directs) if directs else None
        )

    def result(self, *, resamples: int = 1000) -> Evaluation:
        """The evaluation of all rows so far. The bootstrap draws from ``rng``.

        Raises:
            BadInput: no rows yet, or a bootstrap without ``rng``.
        """
        state = self._state
        if state is None or state.moments is None or state.layout is None:
            raise BadInput("no rows were given; the log is empty")
        policies = (*state.targets, LOGGING)
        shape = (len(policies), len(state.outcomes))
        centre = state.layout.values(state.moments.mean).reshape(shape)
        jacobian = state.layout.gradient(state.moments.mean)
        sampled = jacobian @ state.moments.covariance @ jacobian.T / state.rows
        covariance = sampled
        if state.whole and not self._rule.randomised:
            covariance = sampled + jacobian @ state.whole.correction() @ jacobian.T / state.rows
        error = np.sqrt(np.maximum(np.diag(covariance), 0.0)).reshape(shape)
        replicates = against = None
        guarantee = "asymptotic"
        if isinstance(self._rule, Tunable):
            guarantee += ", widened for the threshold's bias" if self.tuned else ", threshold's bias left out"
        bias, shift = np.zeros(shape), np.zeros(shape)
        for (name, j), tuning in self.tuned.items():
            cell = policies.index(name), state.outcomes.index(j)
            bias[cell] = tuning.bias(float(error[cell]), float(normal_radius(np.array(1.0), self.level)))
            shift[cell] = tuning.shift
        value = centre + shift
        if self.interval == "bootstrap":
            if self.rng is None:
                raise BadInput("the bootstrap draws at random; pass rng=numpy.random.default_rng(seed)")
            replicates = bootstrap_replicates(state.moments, state.layout, resamples, self.rng)
            spread = np.sqrt(np.maximum(np.diag(sampled), 0.0))
            bounds = percentile_bounds(replicates, centre.ravel(), spread, error.ravel(), bias.ravel(), self.level)
            lower, upper = (bound.reshape(shape) for bound in bounds)
        elif self.interval == "normal":
            radius = normal_radius(error, self.level, bias)
            lower, upper = centre - radius, centre + radius
        else:
            lower, upper, against, exact = self._finite_sample(state, value, sampled)
            guarantee = "anytime" if self.interval == "betting" else "finite sample"
            guarantee += "" if exact else ", weight bound read off the data"
        left_out = {cell: tuning.lost for cell, tuning in self.tuned.items()}
        if isinstance(self._rule, DirectMethod):
            left_out = {(t, j): 1.0 for t in state.targets for j in state.outcomes}
        diagnosis = state.diagnose(self.thresholds, left_out)
        for t, name in enumerate(state.targets):
            if diagnosis[name].verdict.status == "refused" and not self.force:
                value[t] = centre[t] = lower[t] = upper[t] = np.nan
                if against is not None:
                    against[t] = np.nan
        return Evaluation(
            estimator=self._rule.name,
            interval=self.interval,
            level=self.level,
            guarantee=guarantee,
            rows=state.rows,
            policies=policies,
            outcomes=state.outcomes,
            value=value,
            centre=centre,
            lower=lower,
            upper=upper,
            covariance=covariance,
            diagnosis=diagnosis,
            calibration=state.calibration.test() if state.calibration else None,
            thresholds=self._used_thresholds(state),
            bias_allowance=bias,
            _replicates=replicates,
            _sampled=sampled,
            _against_logging=against,
        )

    def _used_thresholds(self, state: Sums) -> dict[tuple[str, str], float]:
        if not isinstance(self._rule, Tunable):
            return {}
        if self.tuned:
            return {cell: tuning.threshold for cell, tuning in self.tuned.items()}
        own = self._rule.threshold
        return {(t, j): float(own) for t in state.targets for j in state.outcomes if own is not None}

    def _finite_sample(self, state: Sums, value: Floats, covariance: Floats) -> tuple[Floats, Floats, Floats, bool]:
        lower, upper = np.empty_like(value), np.empty_like(value)
        against = np.zeros((*value.shape, 2))
        ours = state.bounded[LOGGING]
        m, n = value.shape[1], state.rows
        for t, name in enumerate((*state.targets, LOGGING)):
            terms = state.bounded[name]
            for j in range(m):
                if self.interval == "betting":
                    lower[t, j], upper[t, j] = terms.bounds(j, self.level)
                    against[t, j] = terms.difference_bounds(ours, j, self.level)
                else:
                    a, b = t * m + j, (value.shape[0] - 1) * m + j
                    radius = empirical_bernstein_radius(n * covariance[a, a], terms.span(j), n, self.level)
                    lower[t, j], upper[t, j] = value[t, j] - radius, value[t, j] + radius
                    spread = n * (covariance[a, a] + covariance[b, b] - 2 * covariance[a, b])
                    radius = empirical_bernstein_radius(
                        np.maximum(spread, 0.0), terms.span(j) + ours.span(j), n, self.level
                    )
                    gap = value[t, j] - value[-1, j]
                    against[t, j] = gap - radius, gap + radius
        return lower, upper, against, all(state.bounded[name].exact for name in state.targets)
