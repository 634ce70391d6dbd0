"""The gate: whether a candidate may serve. It has to be shown to be better, and must not be shown to be worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from armwise.config.retrain import GuardSettings
from armwise.evaluation import LOGGING, Estimate
from armwise.retraining.judgement import ERROR, Judgement

BLOCKING = frozenset({"no_support", "calibration", "mean_weight", "effective_sample_size", "deterministic_logging"})
"""Findings that bar a promotion even as warnings; the others are reported."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One condition.

    Attributes:
        name: of what: ``utility``, ``quality``, ``quality, task code``, ``spend``, ``diagnostics``, ...
        passed: whether it holds.
        difference: candidate less what served; None where it is no estimate.
        limit: what the difference is held to.
        reason: in words.
    """

    name: str
    passed: bool
    reason: str
    difference: Estimate | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All conditions; promoted if every one holds."""

    checks: tuple[Check, ...]

    @property
    def promoted(self) -> bool:
        """Whether the candidate may serve."""
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """In one line."""
        failed = [check.reason for check in self.checks if not check.passed]
        return "; ".join(failed) if failed else self.checks[0].reason


def decide(judgement: Judgement, name: str, *, margin: float, guards: GuardSettings, least_rows: int) -> Verdict:
    """Hold a candidate, chosen on other rows, to every condition.

    The candidate was chosen without these rows, so its one comparison needs no correction for how many there were. The
    slices share their error: each is tested at (1 - level) / slices (Bonferroni), so that many slices do not bar a
    candidate by chance.
    """
    checks = [_better(judgement, name, margin), *_enough(judgement, least_rows), *_diagnostics(judgement, name)]
    checks += _worse(judgement, name, guards)
    if guards.slices is not None:
        checks += _slices(judgement, name, guards.slices, guards.slice_rows)
    checks += _exploration(judgement, name, guards)
    return Verdict(checks=tuple(checks))


def _better(judgement: Judgement, name: str, margin: float) -> Check:
    gap = judgement.utility(name)
    if np.allclose(judgement.tables[name], judgement.rows.probabilities, rtol=0.0, atol=1e-6):
        same = f"{name} would have done the same as what serves, on every row"
        return Check(name="utility", passed=False, difference=gap, limit=margin, reason=same)
    passed = bool(gap.lower > margin)
    said = f"{gap.value:+.4f} [{gap.lower:+.4f}, {gap.upper:+.4f}]"
    return Check(
        name="utility",
        passed=passed,
        difference=gap,
        limit=margin,
        reason=f"{name} is better by {said} of utility"
        if passed
        else f"{name} is not shown to be better by more than {margin:g} of utility: {said}",
    )


def _enough(judgement: Judgement, least: int) -> Iterator[Check]:
    n = len(judgement.rows)
    if n < least:
        yield Check(name="rows", passed=False, reason=f"only {n:,} rows to confirm by, {least:,} are asked for")


def _diagnostics(judgement: Judgement, name: str) -> Iterator[Check]:
    verdict = judgement.evaluation.verdict(name)
    found = [finding for finding in verdict.findings if finding.status == "refused" or finding.code in BLOCKING]
    bars = {finding.code: finding.message for finding in reversed(found)}.values()  # one of a kind says it
    yield Check(
        name="diagnostics", passed=not bars, reason="; ".join(bars) or "overlap and calibration of the log are good"
    )


def _worse(judgement: Judgement, name: str, guards: GuardSettings) -> Iterator[Check]:
    for outcome, label, tolerance, sign, relative in (
        ("quality", "quality", guards.quality, -1.0, False),
        ("cost_usd", "spend", guards.spend, 1.0, True),
        ("latency_ms", "latency", guards.latency, 1.0, True),
        (ERROR, "errors", guards.errors, 1.0, False),
    ):
        if tolerance is None or outcome not in judgement.outcomes():
            continue
        gap = judgement.evaluation.difference(name, outcome=outcome)
        limit = tolerance * (abs(judgement.evaluation.estimate(LOGGING, outcome).value) if relative else 1.0)
        yield _held(label, gap, limit, sign)


def _slices(judgement: Judgement, name: str, tolerance: float, least: int) -> Iterator[Check]:
    cuts = []
    for column in ("task", "tenant"):
        labels = getattr(judgement.rows, column)
        values, counts = np.unique(labels.astype(str), return_counts=True)
        if len(values) > 1:
            cuts += [(f"quality, {column} {value or '(none)'}", labels == value) for value in values[counts >= least]]
    for label, which in cuts:
        level = 1.0 - (1.0 - judgement.level) / len(cuts)
        yield _held(label, judgement.of_slice(name, which, level), tolerance, -1.0)


def _exploration(judgement: Judgement, name: str, guards: GuardSettings) -> Iterator[Check]:
    own, gap = judgement.exploration(name)
    if guards.exploration is not None:
        yield _held("exploration", gap, guards.exploration, 1.0)
    if own < guards.least_exploration:
        yield Check(
            name="exploration left",
            passed=False,
            reason=f"exploration would be {own:.2%} of the traffic, {guards.least_exploration:.2%} is the least",
        )


def _held(label: str, gap: Estimate, limit: float, sign: float) -> Check:
    """Not worse by more than the limit, as far as the interval shows; ``sign`` +1 where more is worse."""
    worse = gap.lower if sign > 0 else -gap.upper
    passed = not worse > limit  # NaN says nothing
    said = f"{gap.value:+.4g} [{gap.lower:+.4g}, {gap.upper:+.4g}]"
    return Check(
        name=label,
        passed=passed,
        difference=gap,
        limit=limit,
        reason=f"{label}: {said}" if passed else f"{label} would get worse: {said}, allowed is {sign * limit:+.4g}",
    )
