"""Where the target goes and the log has been: by arm and by slice."""

from dataclasses import dataclass, field

import numpy as np

from armwise.evaluation.feedback import Floats, LoggedFeedback
from armwise.evaluation.targets import UNSUPPORTED, TargetPolicy

CERTAIN = 1.0 - 1e-9
"""A propensity from here on says that no other arm could have been drawn."""


@dataclass(frozen=True, kw_only=True)
class ArmOverlap:
    """One arm: how often it was logged, how often the target would choose it, and how much the log says of it."""

    arm: str
    logged: int
    logged_share: float
    target_share: float
    weighted_share: float
    effective_sample_size: float


@dataclass(frozen=True, kw_only=True)
class SliceOverlap:
    """One slice of the traffic: rows, effective sample size, and the target's mass that the log cannot answer for."""

    slice: str
    label: str
    rows: int
    effective_sample_size: float
    unsupported: float


@dataclass(kw_only=True)
class _Group:
    rows: int = 0
    total: float = 0.0
    squares: float = 0.0
    ruled_out: float = 0.0
    drawn: Floats = field(default_factory=lambda: np.zeros(0))
    mass: Floats = field(default_factory=lambda: np.zeros(0))

    def unsupported(self) -> float:
        """Share of the target's mass known to lie where the log has nothing.

        Arms ruled out row by row (probability 0, or another arm was certain), and arms never drawn in the group; the
        two overlap, so the larger is taken.
        """
        never = float(self.mass[self.drawn == 0].sum())
        return max(self.ruled_out, never) / max(self.rows, 1)


@dataclass(kw_only=True)
class OverlapSums:
    """Running sums of one target over blocks of the log."""

    arms: tuple[str, ...]
    _all: _Group = field(default_factory=_Group, init=False, repr=False)
    _arm_total: Floats = field(init=False, repr=False)
    _arm_squares: Floats = field(init=False, repr=False)
    _slices: dict[tuple[str, str], _Group] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        k = len(self.arms)
        self._arm_total, self._arm_squares = np.zeros(k), np.zeros(k)
        self._all.drawn, self._all.mass = np.zeros(k), np.zeros(k)

    def add(self, feedback: LoggedFeedback, target: TargetPolicy, weight: Floats) -> None:
        """Add a block and the target's weights [b] on it."""
        k, arm = len(self.arms), feedback.arm
        ruled_out = _ruled_out(feedback, target, weight)
        everything = self._all
        everything.rows += len(arm)
        everything.ruled_out += float(ruled_out.sum())
        everything.drawn = everything.drawn + np.bincount(arm, minlength=k)
        everything.mass = everything.mass + target.mass_by_arm(k)
        self._arm_total += np.bincount(arm, weights=weight, minlength=k)
        self._arm_squares += np.bincount(arm, weights=weight * weight, minlength=k)
        for name, labels in (feedback.slices or {}).items():
            values, inverse = np.unique(labels, return_inverse=True)
            for i, value in enumerate(values):
                rows = np.flatnonzero(inverse == i)
                group = self._slices.setdefault((name, str(value)), _Group(drawn=np.zeros(k), mass=np.zeros(k)))
                group.rows += len(rows)
                group.total += float(weight[rows].sum())
                group.squares += float(weight[rows] @ weight[rows])
                group.ruled_out += float(ruled_out[rows].sum())
                group.drawn = group.drawn + np.bincount(arm[rows], minlength=k)
                if target.probabilities is not None:
                    group.mass = group.mass + target.probabilities[rows].sum(axis=0)
                else:
                    group.mass = group.mass + np.bincount(np.asarray(target.chosen)[rows], minlength=k)

    @property
    def unsupported(self) -> float:
        """Share of the target's probability that the log cannot answer for."""
        return self._all.unsupported()

    @property
    def missing_arms(self) -> tuple[str, ...]:
        """Arms that the target uses and the log never drew."""
        gone = (self._all.drawn == 0) & (self._all.mass > 0)
        return tuple(name for name, absent in zip(self.arms, gone, strict=True) if absent)

    def by_arm(self) -> tuple[ArmOverlap, ...]:
        """One record an arm."""
        n = max(self._all.rows, 1)
        return tuple(
            ArmOverlap(
                arm=name,
                logged=int(self._all.drawn[a]),
                logged_share=float(self._all.drawn[a] / n),
                target_share=float(self._all.mass[a] / n),
                weighted_share=float(self._arm_total[a] / n),
                effective_sample_size=_kish(self._arm_total[a], self._arm_squares[a]),
            )
            for a, name in enumerate(self.arms)
        )

    def by_slice(self) -> tuple[SliceOverlap, ...]:
        """One record a slice and label."""
        return tuple(
            SliceOverlap(
                slice=name,
                label=label,
                rows=group.rows,
                effective_sample_size=_kish(group.total, group.squares),
                unsupported=group.unsupported(),
            )
            for (name, label), group in sorted(self._slices.items())
        )


def _kish(total: float, squares: float) -> float:
    return float(total * total / squares) if squares > 0 else 0.0


def _ruled_out(feedback: LoggedFeedback, target: TargetPolicy, weight: Floats) -> Floats:
    """[b], the target's probability on arms that the logging policy could not have drawn."""
    table = feedback.logging_probabilities
    if table is not None:
        if target.probabilities is None:
            return np.asarray(table[np.arange(feedback.n), target.chosen] <= UNSUPPORTED, dtype=np.float64)
        return np.asarray(np.where(table > UNSUPPORTED, 0.0, target.probabilities).sum(axis=1))
    certain = feedback.propensity >= CERTAIN
    return np.where(certain, np.clip(1.0 - weight * feedback.propensity, 0.0, 1.0), 0.0)
