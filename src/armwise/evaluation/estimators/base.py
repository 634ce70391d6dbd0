"""What an estimator is: a rule that turns weighted rows into terms whose means give the value of a policy.

Every estimator here has the form

    V = mean(direct) + mean(weighted) / mean(normaliser)

with ``direct`` and ``normaliser`` optional. One form means one delta method, one bootstrap and one streaming sum serve
them all, and the bootstrap resamples the normaliser with the rest.

Notation of the docstrings: x context, a the logged arm, r the outcome, p the logged propensity, pi the target policy,
w = pi(a|x) / p the importance weight, q(x, a) a model of the outcome, o = 1/P(observed) where the outcome was observed
and 0 where it was not.

Assumptions shared by all: the log is complete (no decision was dropped for a reason tied to its outcome), decisions do
not affect one another, propensities are true, and pi puts no probability where the logging policy put none.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """n rows seen from one target policy, with m outcomes.

    Attributes:
        weight: [n], w.
        outcome: [n, m], r, with 0 where it was not observed.
        observation: [n, m], or [1, 1] when everything was observed: o.
        logged: [n, m], q(x, a); None without a model.
        direct: [n, m], sum_b pi(b|x) q(x, b); None without a model.
        weight_bound: no weight can exceed it.
        uniform: [n] uniform draws, for estimators that randomise.
    """

    weight: Floats
    outcome: Floats
    observation: Floats
    logged: Floats | None = None
    direct: Floats | None = None
    weight_bound: float = np.inf
    uniform: Floats | None = None

    def part(self, start: int, stop: int) -> "Rows":
        """Rows start..stop as views."""
        cut = slice(start, stop)
        return Rows(
            weight=self.weight[cut],
            outcome=self.outcome[cut],
            observation=self.observation if self.observation.shape[0] == 1 else self.observation[cut],
            logged=None if self.logged is None else self.logged[cut],
            direct=None if self.direct is None else self.direct[cut],
            weight_bound=self.weight_bound,
            uniform=None if self.uniform is None else self.uniform[cut],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """The row terms: weighted [n, m], direct [n, m] or None, normaliser [n, m], [n, 1] (shared) or None."""

    weighted: Floats
    direct: Floats | None = None
    normaliser: Floats | None = None


@runtime_checkable
class Estimator(Protocol):
    """Turns rows into terms.

    ``uses_model``: wants q. ``anytime``: its terms bound the value from below and above in expectation, so betting
    intervals hold. ``randomised``: wants uniform draws.
    """

    name: ClassVar[str]
    uses_model: ClassVar[bool]
    anytime: ClassVar[bool]
    randomised: ClassVar[bool]

    def weigh(self, weight: Floats) -> Floats:
        """The weights that it uses in place of w; any shape."""
        ...

    def terms(self, rows: Rows) -> Terms:
        """The terms of these rows."""
        ...


@runtime_checkable
class Tunable(Estimator, Protocol):
    """An estimator with a threshold between bias and variance. None means: choose by SLOPE."""

    @property
    def threshold(self) -> float | None:
        """The threshold, or None when it is still to be chosen."""
        ...

    def at(self, threshold: float) -> Self:
        """The same estimator with this threshold."""
        ...

    def candidates(self, weight: Floats) -> list[float]:
        """Thresholds worth trying, from least biased to most biased."""
        ...


def importance_terms(rows: Rows, weight: Floats) -> Terms:
    """weighted = w' o r."""
    return Terms(weighted=weight[:, None] * rows.observation * rows.outcome)


def corrected_terms(rows: Rows, weight: Floats, *, self_normalised: bool = False) -> Terms:
    """direct = E_pi q, weighted = w' o (r - q)."""
    logged, direct = model_of(rows)
    scaled = weight[:, None] * rows.observation
    return Terms(
        weighted=scaled * (rows.outcome - logged), direct=direct, normaliser=scaled if self_normalised else None
    )


def model_of(rows: Rows) -> tuple[Floats, Floats]:
    """q at the logged arm and its mean under the target; their presence is the caller's promise."""
    if rows.logged is None or rows.direct is None:
        raise TypeError("this estimator needs an outcome model; evaluate() provides one")
    return rows.logged, rows.direct


def weight_quantiles(weight: Floats, *, count: int = 12) -> list[float]:
    """Thresholds at the largest weight and geometrically down to the mean, in falling order (least clipped first).

    Below the mean weight, about 1, clipping removes signal faster than noise.
    """
    top = float(weight.max())
    low = max(1.0, float(np.median(weight[weight > 0]))) if top > 0 else 1.0
    if top <= low:
        return [max(top, 1e-12)]
    return [float(value) for value in np.geomspace(top, low, count)]
