"""Can this log answer this question? A number that looks fine and is wrong is worse than none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from armwise.evaluation.diagnostics.calibration import CalibrationTest
from armwise.evaluation.diagnostics.overlap import ArmOverlap, SliceOverlap
from armwise.evaluation.diagnostics.weights import WeightDiagnostics

Status = Literal["answerable", "warning", "refused"]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where a warning and where a refusal begins."""

    unsupported_warning: float = 1e-3
    unsupported_refusal: float = 0.02
    effective_sample_size_warning: float = 200.0
    effective_sample_size_refusal: float = 25.0
    pareto_k_warning: float = 0.7
    largest_share_warning: float = 0.05
    mean_weight_z_warning: float = 4.0
    calibration_warning: float = 1e-3
    calibration_refusal: float = 1e-8
    deterministic_share_refusal: float = 0.99
    slice_unsupported_warning: float = 0.1
    left_out_warning: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found: a stable code, how bad, and a sentence."""

    code: str
    status: Status
    message: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The worst of the findings, and all of them."""

    status: Status
    findings: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences."""
        return tuple(finding.message for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Everything measured about one target."""

    weights: Mapping[str, WeightDiagnostics]
    arms: tuple[ArmOverlap, ...]
    slices: tuple[SliceOverlap, ...]
    unsupported: float
    verdict: Verdict


def judge(
    *,
    weights: Mapping[str, WeightDiagnostics],
    arms: tuple[ArmOverlap, ...],
    slices: tuple[SliceOverlap, ...],
    unsupported: float,
    missing_arms: tuple[str, ...],
    deterministic_share: float,
    agreement: float,
    calibration: CalibrationTest | None,
    left_out: Mapping[str, float],
    thresholds: Thresholds,
) -> Verdict:
    """Weigh the evidence.

    ``agreement`` is the mean probability the target gives to the logged arm; ``left_out`` the share of its probability,
    for each outcome, that the estimator's weights do not speak for.
    """
    found: list[Finding] = []
    shared: dict[tuple[str, Status, str], list[str]] = {}

    def note(code: str, status: Status, message: str, outcome: str | None = None) -> None:
        if outcome is None:
            found.append(Finding(code=code, status=status, message=message))
        else:
            shared.setdefault((code, status, message), []).append(outcome)

    t = thresholds
    if deterministic_share >= t.deterministic_share_refusal and agreement < 1 - t.unsupported_warning:
        note(
            "deterministic_logging",
            "refused",
            f"the log is deterministic: {deterministic_share:.1%} of rows had one possible arm, so nothing is known of "
            "other choices; log with exploration (every eligible arm at some probability) and try again",
        )
    elif unsupported >= t.unsupported_warning:
        absent = f" (never drawn: {', '.join(missing_arms)})" if missing_arms else ""
        note(
            "no_support",
            "refused" if unsupported >= t.unsupported_refusal else "warning",
            f"{unsupported:.2%} of the target's probability lies where the logging policy never went{absent}; "
            f"the value may be off by up to {unsupported:.2%} of the outcome's range, whatever the interval says",
        )
    for outcome, stats in weights.items():
        ess = stats.effective_sample_size
        if ess < t.effective_sample_size_warning:
            note(
                "effective_sample_size",
                "refused" if ess < t.effective_sample_size_refusal else "warning",
                f"the log is worth {ess:.0f} on-policy rows for this target; under "
                f"{t.effective_sample_size_warning:.0f} asymptotic intervals are rough, under "
                f"{t.effective_sample_size_refusal:.0f} they mean nothing",
                outcome,
            )
        if stats.pareto_k is not None and stats.pareto_k > t.pareto_k_warning:
            note(
                "weight_tail",
                "warning",
                f"the weights have a heavy tail (Pareto k = {stats.pareto_k:.2f}, over "
                f"{t.pareto_k_warning}); rows not yet seen may carry much of the value",
                outcome,
            )
        elif stats.largest_share > t.largest_share_warning:
            note("weight_tail", "warning", f"one row carries {stats.largest_share:.1%} of the weight", outcome)
        if abs(stats.mean_z) > t.mean_weight_z_warning:
            note(
                "mean_weight",
                "warning",
                f"weights average {stats.mean:.4g} and not 1 ({stats.mean_z:+.1f} standard errors): wrong "
                "propensities, missing support, or a wrong probability of being observed",
                outcome,
            )
    for outcome, share in left_out.items():
        if share >= 1.0:
            note("left_out", "warning", "the interval leaves out the error of the outcome model", outcome)
        elif share >= t.left_out_warning:
            note(
                "left_out",
                "warning",
                f"{share:.1%} of the target's probability lies where the log drew too rarely to be weighed; "
                "the interval allows for an error there as large as was seen elsewhere",
                outcome,
            )
    if calibration is not None and calibration.p_value < t.calibration_warning:
        worst = int(abs(calibration.z).argmax())
        note(
            "calibration",
            "refused" if calibration.p_value < t.calibration_refusal else "warning",
            f"draws do not follow the logged probabilities (p = {calibration.p_value:.1e}); arm {arms[worst].arm!r} "
            f"was drawn {calibration.observed[worst]:.0f} times where {calibration.expected[worst]:.0f} were expected",
        )
    for part in slices:
        if part.unsupported >= t.slice_unsupported_warning:
            note(
                "slice_support",
                "warning",
                f"slice {part.slice}={part.label}: {part.unsupported:.1%} of the target's probability has no support",
            )
    for (code, status, message), outcomes in shared.items():
        note(code, status, message if len(outcomes) == len(weights) else f"{', '.join(outcomes)}: {message}")
    order: dict[Status, int] = {"refused": 0, "warning": 1, "answerable": 2}
    found.sort(key=lambda finding: order[finding.status])
    return Verdict(status=found[0].status if found else "answerable", findings=tuple(found))
