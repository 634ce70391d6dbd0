"""How much of the log speaks for a target, and how heavy the tail of its weights is."""

from dataclasses import dataclass, field

import numpy as np

from armwise.evaluation.feedback import Floats


@dataclass(frozen=True, kw_only=True)
class WeightDiagnostics:
    """Of the weights of one target (times 1 / P(observed) where the outcome was censored).

    Attributes:
        effective_sample_size: (sum w)^2 / sum w^2 (Kish 1965): as many on-policy rows would say as much. Where whole
            distributions were logged, no more than their probabilities promise: a tail that was not drawn counts too.
        share: of the rows.
        largest: the largest weight.
        largest_share: its part of the sum.
        pareto_k: shape of a generalised Pareto tail; over 0.5 the variance is in doubt, over 0.7 the estimate
            (Vehtari et al. 2024). None when the tail ends in many equal weights, hence is bounded, or has too few
            points to tell.
        mean: of w itself; should be 1 when the propensities are true and the target is supported.
        mean_z: its distance from 1 in standard errors.
    """

    effective_sample_size: float
    share: float
    largest: float
    largest_share: float
    pareto_k: float | None
    mean: float
    mean_z: float


@dataclass(kw_only=True)
class WeightSums:
    """Running sums over blocks; keeps the largest weights for the tail."""

    keep: int = 10_000
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    plain_total: float = 0.0
    plain_squares: float = 0.0
    _top: Floats = field(default_factory=lambda: np.zeros(0), init=False, repr=False)

    def add(self, weight: Floats, plain: Floats | None = None) -> None:
        """Add weights [b] as the estimator uses them; ``plain`` are they as they were, if it shrinks them."""
        plain = weight if plain is None else plain
        self.count += len(weight)
        self.plain_total += float(plain.sum())
        self.plain_squares += float(plain @ plain)
        self.total += float(weight.sum())
        self.squares += float(weight @ weight)
        if len(self._top) >= self.keep:
            weight = weight[weight > self._top.min()]
        top = np.concatenate([self._top, weight])
        self._top = np.partition(top, len(top) - self.keep)[-self.keep :] if len(top) > self.keep else top

    def diagnostics(self, promised: float = np.inf) -> WeightDiagnostics:
        """What the sums say; ``promised`` is the effective sample size by the logged distributions."""
        n, largest = self.count, float(self._top.max(initial=0.0))
        ess = self.total**2 / self.squares if self.squares > 0 else 0.0
        ess = float(np.fmin(ess, promised))
        mean = self.plain_total / n
        variance = max(self.plain_squares / n - mean * mean, 0.0)
        tail = min(n // 5, int(3 * np.sqrt(n)), len(self._top) - 1)
        return WeightDiagnostics(
            effective_sample_size=ess,
            share=ess / n,
            largest=largest,
            largest_share=largest / self.total if self.total > 0 else 1.0,
            pareto_k=pareto_k(self._top, tail),
            mean=mean,
            mean_z=float((mean - 1.0) / np.sqrt(variance / n)) if variance > 1e-12 else 0.0,
        )


def pareto_k(weight: Floats, tail: int) -> float | None:
    """Shape of a generalised Pareto distribution fitted to the ``tail`` largest weights; None if they do not vary.

    Source: Zhang & Stephens (2009), with the weak prior of Vehtari, Simpson, Gelman, Yao & Gabry (2024), appendix C.
    """
    if tail < 5:
        return None
    ordered = np.sort(weight)
    cut = ordered[-tail - 1]
    if np.count_nonzero(ordered[-tail:] >= ordered[-1] * (1.0 - 1e-6)) >= max(5, tail // 20):
        return None  # many rows share the largest weight: the tail ends there, however it began
    x = ordered[-tail:] - cut
    x = x[x > 1e-9 * max(1.0, float(ordered[-1]))]
    if len(x) < 5 or x[-1] - x[0] < 1e-9 * x[-1]:
        return None
    n, grid = len(x), 30 + int(np.sqrt(len(x)))
    b = (1.0 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3.0 * x[int(n / 4 + 0.5) - 1]) + 1.0 / x[-1]
    b = b[np.abs(b) * x[-1] > 1e-9]  # at 0 the likelihood is a limit, and its neighbours say as much
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    height = n * (np.log(-b / k) - k - 1.0)
    share = np.exp(height - height.max())
    best = float(b @ (share / share.sum()))
    shape = float(np.log1p(-best * x).mean())
    return (n * shape + 5.0) / (n + 10.0)
