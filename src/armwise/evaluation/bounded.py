"""Row terms on the unit scale, for intervals that hold at every sample size."""

from dataclasses import dataclass, field

import numpy as np

from armwise.evaluation.estimators.base import Estimator, Rows
from armwise.evaluation.feedback import Floats, LoggedFeedback
from armwise.evaluation.intervals.betting import betting_lower_bound


@dataclass(kw_only=True)
class BoundedTerms:
    """Of one policy: terms with mean v (from r) and with mean 1 - v (from 1 - r), for r scaled to [0, 1].

    Both are bounded from below, by 0 without a model and by minus the largest weight with one; neither needs an upper
    bound. Two policies differ by v - v' = mean(lower terms of one + mirrored terms of the other) - 1.
    """

    outcomes: tuple[str, ...]
    exact: bool = True
    _lower: list[Floats] = field(default_factory=list, init=False, repr=False)
    _mirror: list[Floats] = field(default_factory=list, init=False, repr=False)
    _scale: list[tuple[float, float]] = field(default_factory=list, init=False, repr=False)
    _reach: Floats = field(default_factory=lambda: np.zeros(0), init=False, repr=False)
    _with_model: bool = field(default=False, init=False, repr=False)

    def add(self, rows: Rows, rule: Estimator, feedback: LoggedFeedback, *, keep: bool) -> None:
        """Add a block; ``keep`` its terms (betting) or only the largest weight (empirical Bernstein)."""
        self._scale = [feedback.bounds_of(name) for name in self.outcomes]
        low = np.array([pair[0] for pair in self._scale])
        span = np.array([pair[1] - pair[0] for pair in self._scale])
        limit = getattr(rule, "threshold", None)
        known = np.isfinite(rows.weight_bound)
        largest = rows.weight_bound if known else float(rows.weight.max())
        self.exact = self.exact and (known or limit is not None)
        largest = largest if limit is None else min(largest, limit)
        reach = largest * rows.observation.max(axis=0) * np.ones(len(self.outcomes))
        self._reach = np.maximum(self._reach, reach) if self._reach.size else reach
        self._with_model = rows.logged is not None
        if not keep:
            return
        unit = np.clip((rows.outcome - low) / span, 0.0, 1.0)  # unobserved rows have observation 0
        logged = direct = None
        if rows.logged is not None and rows.direct is not None:
            logged = np.clip((rows.logged - low) / span, 0.0, 1.0)
            direct = np.clip((rows.direct - low) / span, 0.0, 1.0)
        self._lower.append(_terms(rows, rule, unit, logged, direct))
        self._mirror.append(
            _terms(
                rows,
                rule,
                1.0 - unit,
                None if logged is None else 1.0 - logged,
                None if direct is None else 1.0 - direct,
            )
        )

    def span(self, j: int) -> float:
        """Length of the range of a row term, in outcome units."""
        low, high = self._scale[j]
        reach = float(self._reach[j])
        if self._with_model:
            return (high - low) * (1.0 + 2.0 * reach)
        return max(high * reach, 0.0) - min(low * reach, 0.0)

    def bounds(self, j: int, level: float) -> tuple[float, float]:
        """Anytime-valid bounds on the value, in outcome units."""
        low, high = self._scale[j]
        alpha = (1.0 - level) / 2
        below = _bound(_column(self._lower, j), self._shift(j), 1.0, alpha)
        above = 1.0 - _bound(_column(self._mirror, j), self._shift(j), 1.0, alpha)
        return low + (high - low) * below, low + (high - low) * above

    def difference_bounds(self, other: "BoundedTerms", j: int, level: float) -> tuple[float, float]:
        """Anytime-valid bounds on v - v', paired row by row, in outcome units."""
        low, high = self._scale[j]
        alpha, shift = (1.0 - level) / 2, self._shift(j) + other._shift(j)
        ours = _bound(_column(self._lower, j) + _column(other._mirror, j), shift, 2.0, alpha)
        theirs = _bound(_column(self._mirror, j) + _column(other._lower, j), shift, 2.0, alpha)
        return (high - low) * (ours - 1.0), (high - low) * (1.0 - theirs)

    def _shift(self, j: int) -> float:
        return float(self._reach[j]) if self._with_model else 0.0


def _terms(rows: Rows, rule: Estimator, unit: Floats, logged: Floats | None, direct: Floats | None) -> Floats:
    made = rule.terms(
        Rows(
            weight=rows.weight,
            outcome=unit,
            observation=rows.observation,
            logged=logged,
            direct=direct,
            weight_bound=rows.weight_bound,
        )
    )
    return made.weighted if made.direct is None else made.weighted + made.direct


def _column(blocks: list[Floats], j: int) -> Floats:
    return np.concatenate([block[:, j] for block in blocks])


def _bound(terms: Floats, shift: float, top: float, alpha: float) -> float:
    """Lower bound on the mean, in [0, top], of terms that are at least -shift."""
    scale = top + shift
    return float(np.clip(betting_lower_bound((terms + shift) / scale, alpha) * scale - shift, 0.0, top))
