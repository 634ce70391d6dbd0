"""Running, anytime-valid bounds: cheap enough to keep beside live traffic.

The state is three numbers a side. With S_t = sum y_i, V_t = sum (y_i - m_{i-1})^2 for m_{i-1} a guess in [0, 1] made
before y_i >= 0 came (here the running mean), and psi(b) = -log(1 - b) - b,

    sum_l prior_l exp(b_l (S_t - t v_t) - psi(b_l) V_t)

is a non-negative supermartingale from one when v_t is the average of the conditional means up to t. Solving for the v
at which it meets 1/alpha gives a lower bound on that running average, valid at every t at once, with no upper bound on
y and no stationarity. Newton from the best single stake stays on the rejected side, so every step of it is a valid
bound.
Sources: Howard, Ramdas, McAuliffe & Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence sequences",
theorem 4 (the empirical Bernstein supermartingale); Waudby-Smith et al. (2022), section 3, for policy values.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats
from armwise.evaluation.intervals.betting import LOG_PRIOR, STAKES

_PSI = -np.log1p(-STAKES) - STAKES
_NEWTON_STEPS = 3
_PIECE = 4096


@dataclass(kw_only=True)
class _Side:
    """Sufficient statistics of one lower bound."""

    count: int = 0
    total: float = 0.0
    scatter: float = 0.0

    def extend(self, terms: Floats) -> tuple[Floats, Floats, Floats]:
        """Add terms [b]; returns count, total and scatter after each."""
        counts = self.count + np.arange(1, len(terms) + 1)
        totals = self.total + np.cumsum(terms)
        before = np.concatenate([[self.total], totals[:-1]])
        guess = np.minimum((before + 0.5) / counts, 1.0)
        scatters = self.scatter + np.cumsum((terms - guess) ** 2)
        self.count, self.total, self.scatter = int(counts[-1]), float(totals[-1]), float(scatters[-1])
        return counts.astype(np.float64), totals, scatters

    def push(self, term: float) -> None:
        """Add one term, as ``extend`` would."""
        self.count += 1
        guess = min((self.total + 0.5) / self.count, 1.0)
        self.total += term
        self.scatter += (term - guess) ** 2

    def bound(self, alpha: float) -> float:
        if self.count == 0:
            return 0.0
        return float(_solve(np.array([self.count]), np.array([self.total]), np.array([self.scatter]), alpha)[0])


def _bounds(count: Floats, total: Floats, scatter: Floats, alpha: float) -> Floats:
    """``_solve`` in pieces that stay in the cache."""
    pieces = [slice(start, start + _PIECE) for start in range(0, len(count), _PIECE)]
    return np.concatenate([_solve(count[cut], total[cut], scatter[cut], alpha) for cut in pieces])


def _solve(count: Floats, total: Floats, scatter: Floats, alpha: float) -> Floats:
    """[t] lower bounds on the running mean, within [0, 1]."""
    need = -np.log(alpha)
    cost = _PSI * scatter[:, None]
    bound = ((total[:, None] - (cost + need - LOG_PRIOR) / STAKES) / count[:, None]).max(axis=1)
    for _ in range(_NEWTON_STEPS):
        exponent = STAKES * (total - count * bound)[:, None] - cost + LOG_PRIOR
        top = exponent.max(axis=1, keepdims=True)
        share = np.exp(exponent - top)
        mass = share.sum(axis=1)
        height = top[:, 0] + np.log(mass) - need
        slope = count * (share @ STAKES) / mass
        bound = bound + np.maximum(height, 0.0) / slope
    return np.asarray(np.clip(bound, 0.0, 1.0))


def _unit(outcome: ArrayLike, bounds: tuple[float, float]) -> Floats:
    low, high = bounds
    values: Floats = (np.atleast_1d(np.asarray(outcome, dtype=np.float64)) - low) / (high - low)
    if not ((values >= 0) & (values <= 1)).all():
        raise BadInput(f"an outcome lies outside its bounds [{low:g}, {high:g}] or is NaN: drop what was not observed")
    return np.asarray(values)


def _weights(weight: ArrayLike, n: int) -> Floats:
    values = np.broadcast_to(np.asarray(weight, dtype=np.float64), (n,))
    if not bool((np.isfinite(values) & (values >= 0)).all()):
        raise BadInput("an importance weight is negative or not finite")
    return values


@dataclass(kw_only=True)
class RunningMean:
    """Bounds on the running mean outcome of a policy, on or off policy, that may be looked at after every row.

    ``update`` costs some microseconds whatever came before. For outcomes seen with a known probability, or another
    policy's choices, pass weight = pi(a|x) / p / P(observed), and outcome rows of weight 0 for unseen ones.

    Attributes:
        level: confidence, over all times at once.
        bounds: (lowest, highest) possible outcome.
    """

    level: float = 0.95
    bounds: tuple[float, float] = (0.0, 1.0)
    _below: _Side = field(default_factory=_Side, init=False, repr=False)
    _above: _Side = field(default_factory=_Side, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_level(self.level)
        if not self.bounds[0] < self.bounds[1]:
            raise BadInput(f"bounds {self.bounds}: lowest must be under highest")

    def update(self, outcome: float | ArrayLike, weight: float | ArrayLike = 1.0) -> None:
        """Add one row or [b] rows, in order."""
        if isinstance(outcome, float) and isinstance(weight, float):  # one row: no arrays
            low, high = self.bounds
            value = (outcome - low) / (high - low)
            if 0.0 <= value <= 1.0 and 0.0 <= weight < float("inf"):
                self._below.push(weight * value)
                self._above.push(weight * (1.0 - value))
                return
        values = _unit(outcome, self.bounds)
        weights = _weights(weight, len(values))
        self._below.extend(weights * values)
        self._above.extend(weights * (1.0 - values))

    @property
    def count(self) -> int:
        """Rows seen."""
        return self._below.count

    @property
    def mean(self) -> float:
        """The importance-weighted mean; NaN before the first row."""
        low, high = self.bounds
        return low + (high - low) * self._below.total / self.count if self.count else float("nan")

    @property
    def lower(self) -> float:
        """Anytime-valid lower bound."""
        low, high = self.bounds
        return low + (high - low) * self._below.bound((1 - self.level) / 2)

    @property
    def upper(self) -> float:
        """Anytime-valid upper bound."""
        low, high = self.bounds
        return high - (high - low) * self._above.bound((1 - self.level) / 2)


def confidence_sequence(
    outcome: ArrayLike, weight: ArrayLike = 1.0, *, level: float = 0.95, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[Floats, Floats]:
    """([n], [n]) lower and upper bounds after every row; what ``RunningMean`` would have said, in one pass."""
    _check_level(level)
    values = _unit(outcome, bounds)
    weights = _weights(weight, len(values))
    alpha, (low, high) = (1 - level) / 2, bounds
    below = _bounds(*_Side().extend(weights * values), alpha)
    above = _bounds(*_Side().extend(weights * (1.0 - values)), alpha)
    return low + (high - low) * below, high - (high - low) * above


@dataclass(kw_only=True)
class SequentialComparison:
    """Is the candidate better than ``factor`` times the baseline by more than ``margin``? May be asked after every row.

    Tests H0: V(candidate) - factor V(baseline) <= margin, outcomes scaled to [0, 1]. Promotion: factor 1, margin 0 (or
    minus a tolerance, for non-inferiority). Quality floor: factor f, margin 0, the reference arm as baseline. Terms are
    (w_c r + f w_b (1 - r)) / (1 + f) >= 0 with mean (V_c - f V_b + f) / (1 + f): no bound on the weights is needed
    (Waudby-Smith et al. 2022, section 4). ``e_value`` is the betting capital; ``reject`` says that it has once reached
    1 / (1 - level), and stays true. ``lower`` and ``upper`` bound the running average difference.
    """

    level: float = 0.95
    factor: float = 1.0
    margin: float = 0.0
    bounds: tuple[float, float] = (0.0, 1.0)
    _growth: Floats = field(default_factory=lambda: np.zeros(len(STAKES)), init=False, repr=False)
    _best: float = field(default=0.0, init=False, repr=False)
    _below: _Side = field(default_factory=_Side, init=False, repr=False)
    _above: _Side = field(default_factory=_Side, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_level(self.level)
        if not self.factor > 0:
            raise BadInput(f"factor is {self.factor}; allowed: over 0")
        if not 0 <= self._null <= 1:
            raise BadInput(f"margin {self.margin} cannot be exceeded or missed; allowed: -{self.factor:g} to 1")

    @property
    def _null(self) -> float:
        return (self.margin + self.factor) / (1.0 + self.factor)

    def update(self, outcome: ArrayLike, candidate_weight: ArrayLike, baseline_weight: ArrayLike = 1.0) -> None:
        """Add one row or [b] rows; weights are pi(a|x) / p (1 for the logging policy), times 1 / P(observed)."""
        values = _unit(outcome, self.bounds)
        ours, theirs = _weights(candidate_weight, len(values)), self.factor * _weights(baseline_weight, len(values))
        scale = 1.0 + self.factor
        for_us = (ours * values + theirs * (1.0 - values)) / scale
        path = self._growth + np.cumsum(np.log1p(STAKES * (for_us - self._null)[:, None]), axis=0)
        self._best = max(self._best, float((np.logaddexp.reduce(path, axis=1) + LOG_PRIOR).max()))
        self._growth = path[-1]
        self._below.extend(for_us)
        self._above.extend((ours * (1.0 - values) + theirs * values) / scale)

    @property
    def count(self) -> int:
        """Rows seen."""
        return self._below.count

    @property
    def e_value(self) -> float:
        """Capital won so far by betting against H0."""
        return float(np.exp(np.logaddexp.reduce(self._growth) + LOG_PRIOR))

    @property
    def p_value(self) -> float:
        """Anytime-valid: 1 / the largest capital so far."""
        return float(np.exp(-self._best))

    @property
    def reject(self) -> bool:
        """H0 is rejected: the candidate has been shown to be better."""
        return self.p_value <= 1.0 - self.level

    @property
    def difference(self) -> float:
        """Importance-weighted mean of V(candidate) - factor V(baseline), in units of the [0, 1] scale."""
        return self._unscaled(self._below.total / self.count) if self.count else float("nan")

    @property
    def lower(self) -> float:
        """Anytime-valid lower bound on the difference."""
        return self._unscaled(self._below.bound((1 - self.level) / 2))

    @property
    def upper(self) -> float:
        """Anytime-valid upper bound on the difference."""
        # The mirrored terms have mean (V(1 - r; candidate) + f V(baseline)) / (1 + f) = (1 - (V_c - f V_b)) / (1 + f).
        return 1.0 - (1.0 + self.factor) * self._above.bound((1 - self.level) / 2)

    def state(self) -> dict[str, Any]:
        """All that was seen, to go on from later."""
        sides = {name: asdict(getattr(self, name)) for name in ("_below", "_above")}
        return {"growth": self._growth.copy(), "best": self._best, **sides}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._growth = np.asarray(state["growth"]).copy()
        self._best = float(state["best"])
        self._below, self._above = _Side(**state["_below"]), _Side(**state["_above"])

    def _unscaled(self, mean: float) -> float:
        return (1.0 + self.factor) * mean - self.factor


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise BadInput(f"level is {level}; allowed: between 0 and 1, such as 0.95")
