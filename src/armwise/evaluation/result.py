"""What an evaluation says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from armwise.errors import BadInput, UnknownName, unknown
from armwise.evaluation.diagnostics import CalibrationTest, Diagnosis, Verdict
from armwise.evaluation.feedback import LOGGING, Bools, Floats
from armwise.evaluation.intervals.bootstrap import percentile_bounds
from armwise.evaluation.intervals.normal import normal_radius


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the point estimate; NaN when the verdict refused it.
        standard_error: by the delta method.
        lower, upper: the interval at ``level``.
        guarantee: how far the interval can be trusted.
    """

    value: float
    standard_error: float
    lower: float
    upper: float
    level: float
    guarantee: str

    @property
    def sign(self) -> int:
        """+1 or -1 when the interval lies wholly above or below zero, else 0."""
        return int(self.lower > 0) - int(self.upper < 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The values of several policies under several outcomes, with their joint distribution.

    Cells are (policy, outcome), policies being the targets in their order and ``"logging"`` last.

    Attributes:
        policies: target names and "logging".
        outcomes: outcome names.
        value, lower, upper: [T + 1, m].
        centre: [T + 1, m], what intervals lie around: the value, or where a threshold was chosen that of the least
            shrunk one which the log can answer for.
        covariance: [cells, cells] of the centres; from the logged distributions where the log carries them.
        thresholds: (policy, outcome) -> the threshold used, for estimators that have one.
        bias_allowance: [T + 1, m], how far a centre may be off by what its threshold leaves out.
        diagnosis: target name -> what was measured, and its verdict.
        calibration: the test of the logged propensities, when the whole distributions were logged.
    """

    estimator: str
    interval: str
    level: float
    guarantee: str
    rows: int
    policies: tuple[str, ...]
    outcomes: tuple[str, ...]
    value: Floats
    centre: Floats
    lower: Floats
    upper: Floats
    covariance: Floats
    bias_allowance: Floats
    diagnosis: Mapping[str, Diagnosis]
    calibration: CalibrationTest | None = None
    thresholds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    _replicates: Floats | None = field(default=None, repr=False)
    _sampled: Floats | None = field(default=None, repr=False)
    _against_logging: Floats | None = field(default=None, repr=False)

    def estimate(self, policy: str, outcome: str | None = None) -> Estimate:
        """The value of one policy. ``outcome`` may be left out when there is only one.

        Raises:
            UnknownName: no such policy or outcome.
        """
        t, j = self._at(policy, outcome)
        cell = t * len(self.outcomes) + j
        return Estimate(
            value=float(self.value[t, j]),
            standard_error=float(np.sqrt(max(self.covariance[cell, cell], 0.0))),
            lower=float(self.lower[t, j]),
            upper=float(self.upper[t, j]),
            level=self.level,
            guarantee=self.guarantee,
        )

    def difference(self, policy: str, other: str = LOGGING, outcome: str | None = None) -> Estimate:
        """Paired: V(policy) - V(other) on the same rows, with their covariance.

        Raises:
            UnknownName: no such policy or outcome.
            BadInput: a betting or empirical Bernstein interval between two targets (only against "logging").
        """
        t, j = self._at(policy, outcome)
        o, _ = self._at(other, outcome)
        weights = np.zeros(len(self.policies) * len(self.outcomes))
        weights[t * len(self.outcomes) + j] += 1.0
        weights[o * len(self.outcomes) + j] -= 1.0
        if self._against_logging is None:
            return self._linear(weights)
        if other != LOGGING:
            raise BadInput(
                f"the {self.interval} interval of a difference is known against {LOGGING!r} only; "
                "use interval='normal' or 'bootstrap' between two targets"
            )
        plain = self._linear(weights, asymptotic=True)
        if t == o:
            return plain
        lower, upper = self._against_logging[t, j]
        return Estimate(
            value=plain.value,
            standard_error=plain.standard_error,
            lower=float(lower),
            upper=float(upper),
            level=self.level,
            guarantee=self.guarantee,
        )

    def combine(self, weights: Mapping[str, float], policy: str, *, versus: str | None = None) -> Estimate:
        """sum_j weights[j] V_j(policy), minus the same of ``versus`` when given: a utility under any lambda and mu.

        For example ``combine({"quality": 1, "cost_usd": -cost_weight / c_ref}, "candidate", versus="logging")``.

        Raises:
            UnknownName: no such policy or outcome.
            BadInput: betting or empirical Bernstein, which are not linear: add the outcome to the feedback instead
                (``LoggedFeedback.with_combined``).
        """
        if self._against_logging is not None:
            raise BadInput(
                f"a {self.interval} interval of a combination does not follow from those of its parts; add the outcome "
                "with LoggedFeedback.with_combined(...) and evaluate it, or use interval='normal' or 'bootstrap'"
            )
        vector = np.zeros(len(self.policies) * len(self.outcomes))
        for name, weight in weights.items():
            for who, sign in ((policy, 1.0), (versus, -1.0)):
                if who is not None:
                    t, j = self._at(who, name)
                    vector[t * len(self.outcomes) + j] += sign * weight
        return self._linear(vector)

    def verdict(self, policy: str) -> Verdict:
        """Whether the log can answer for this target."""
        if policy not in self.diagnosis:
            raise UnknownName(unknown("target", policy, self.diagnosis))
        return self.diagnosis[policy].verdict

    def comparison(self, policy: str, outcome: str | None = None) -> str:
        """Against the logging policy, in outcome units: "higher", "lower", "no difference shown" or "refused"."""
        if self.verdict(policy).status == "refused":
            return "refused"
        return {1: "higher", -1: "lower", 0: "no difference shown"}[self.difference(policy, outcome=outcome).sign]

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON (NaN becomes None)."""
        policies = {}
        for name in self.policies:
            entry: dict[str, Any] = {"estimates": {j: _plain(self.estimate(name, j)) for j in self.outcomes}}
            if name != LOGGING:
                diagnosis = self.diagnosis[name]
                entry |= {
                    "versus_logging": {
                        j: {**_plain(self.difference(name, outcome=j)), "comparison": self.comparison(name, j)}
                        for j in self.outcomes
                    },
                    "verdict": diagnosis.verdict.status,
                    "findings": [_plain(finding) for finding in diagnosis.verdict.findings],
                    "weights": {j: _plain(stats) for j, stats in diagnosis.weights.items()},
                    "arms": [_plain(arm) for arm in diagnosis.arms],
                    "slices": [_plain(part) for part in diagnosis.slices],
                    "unsupported": diagnosis.unsupported,
                    "thresholds": {j: _finite(v) for (who, j), v in self.thresholds.items() if who == name},
                }
            policies[name] = entry
        return {
            "estimator": self.estimator,
            "interval": self.interval,
            "level": self.level,
            "guarantee": self.guarantee,
            "rows": self.rows,
            "policies": policies,
            "calibration_p_value": self.calibration.p_value if self.calibration else None,
        }

    def _at(self, policy: str, outcome: str | None) -> tuple[int, int]:
        if policy not in self.policies:
            raise UnknownName(unknown("policy", policy, self.policies))
        if outcome is None:
            if len(self.outcomes) > 1:
                raise BadInput(f"name the outcome: {', '.join(self.outcomes)}")
            return self.policies.index(policy), 0
        if outcome not in self.outcomes:
            raise UnknownName(unknown("outcome", outcome, self.outcomes))
        return self.policies.index(policy), self.outcomes.index(outcome)

    def _linear(self, weights: Floats, *, asymptotic: bool = False) -> Estimate:
        used = weights != 0
        value = float(weights[used] @ self.value.ravel()[used])
        centre = float(weights[used] @ self.centre.ravel()[used])
        bias = float(np.abs(weights) @ self.bias_allowance.ravel())
        error = _error(self.covariance, weights, used)
        if self._replicates is not None and self._sampled is not None and not asymptotic:
            mixed, spread = self._replicates[:, used] @ weights[used], _error(self._sampled, weights, used)
            bounds = percentile_bounds(mixed, np.array(centre), spread, error, np.array(bias), self.level)
            lower, upper = float(bounds[0]), float(bounds[1])
        else:
            radius = float(normal_radius(error, self.level, bias))
            lower, upper = centre - radius, centre + radius
        return Estimate(
            value=value,
            standard_error=float(error) if np.isfinite(value) else float("nan"),
            lower=lower,
            upper=upper,
            level=self.level,
            guarantee="asymptotic" if asymptotic else self.guarantee,
        )


def _error(covariance: Floats, weights: Floats, used: Bools) -> Floats:
    """Standard error of a linear combination of cells."""
    variance = float(weights[used] @ covariance[np.ix_(used, used)] @ weights[used])
    return np.asarray(np.sqrt(max(variance, 0.0)))


def _plain(record: Any) -> dict[str, Any]:
    return {name: _finite(getattr(record, name)) for name in record.__dataclass_fields__}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
