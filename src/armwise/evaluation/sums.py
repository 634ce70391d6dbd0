"""All that is kept of the rows of a stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from armwise.evaluation.bounded import BoundedTerms
from armwise.evaluation.design import DesignMoments
from armwise.evaluation.diagnostics import (
    Diagnosis,
    OverlapSums,
    PropensityCalibration,
    Thresholds,
    WeightSums,
    judge,
)
from armwise.evaluation.estimators import Estimator, Tunable
from armwise.evaluation.feedback import Floats, LoggedFeedback
from armwise.evaluation.moments import Layout, Moments
from armwise.evaluation.observed import Observed


@dataclass(kw_only=True)
class Sums:
    """Sums over the rows so far, by target and outcome.

    Attributes:
        certain: rows that were drawn with certainty.
        kind_of: (target, outcome) -> whose weights its interval stands on, as ``design`` counts them.
        bounded: terms for intervals that hold at every sample size.
        agreement: target -> sum of the probability that it gives to what was drawn.
        weights: target -> outcome -> sums of its weights; outcomes that are weighed alike share one.
    """

    arms: tuple[str, ...]
    targets: tuple[str, ...]
    outcomes: tuple[str, ...]
    rows: int = 0
    certain: int = 0
    smallest_propensity: float = 1.0
    moments: Moments | None = None
    layout: Layout | None = None
    calibration: PropensityCalibration | None = None
    design: DesignMoments | None = None
    kind_of: dict[tuple[str, str], int] = field(default_factory=dict)
    bounded: dict[str, BoundedTerms] = field(default_factory=dict)
    overlap: dict[str, OverlapSums] = field(init=False)
    agreement: dict[str, float] = field(init=False)
    weights: dict[str, dict[str, WeightSums]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.overlap = {name: OverlapSums(arms=self.arms) for name in self.targets}
        self.agreement = dict.fromkeys(self.targets, 0.0)

    def weights_of(
        self,
        name: str,
        outcomes: tuple[str, ...],
        weight: Floats,
        rules: list[Estimator],
        observed: Observed,
        feedback: LoggedFeedback,
    ) -> None:
        """Weight sums, one for all uncensored outcomes that are weighed alike and one for each censored one."""
        sums = self.weights.setdefault(name, {})
        censored = feedback.observation_probability or {}
        if not sums:
            for i, j in enumerate(outcomes):
                like = [k for k in outcomes[:i] if rules[outcomes.index(k)] == rules[i] and k not in censored]
                sums[j] = sums[like[0]] if like and j not in censored else WeightSums()
        done: set[int] = set()
        for i, j in enumerate(outcomes):
            if id(sums[j]) not in done:
                done.add(id(sums[j]))
                seen = observed.weight[:, i] if j in censored else 1.0
                used = rules[i].weigh(weight) if isinstance(rules[i], Tunable) else weight
                sums[j].add(used * seen, weight * seen)

    @property
    def whole(self) -> DesignMoments | None:
        """The design's moments, where every block carried the whole distributions."""
        return self.design if self.design is not None and self.design.rows == self.rows else None

    def diagnose(self, thresholds: Thresholds, left_out: Mapping[tuple[str, str], float]) -> dict[str, Diagnosis]:
        calibration = self.calibration.test() if self.calibration else None
        effective = None if self.whole is None else self.whole.effective_rows
        made = {}
        for name in self.targets:
            overlap = self.overlap[name]
            weights = {
                j: sums.diagnostics(np.inf if effective is None else float(effective[self.kind_of[name, j]]))
                for j, sums in self.weights[name].items()
            }
            arms, slices = overlap.by_arm(), overlap.by_slice()
            verdict = judge(
                weights=weights,
                arms=arms,
                slices=slices,
                unsupported=overlap.unsupported,
                missing_arms=overlap.missing_arms,
                deterministic_share=self.certain / self.rows,
                agreement=self.agreement[name] / self.rows,
                calibration=calibration,
                left_out={j: left_out.get((name, j), 0.0) for j in self.outcomes},
                thresholds=thresholds,
            )
            made[name] = Diagnosis(
                weights=weights, arms=arms, slices=slices, unsupported=overlap.unsupported, verdict=verdict
            )
        return made
