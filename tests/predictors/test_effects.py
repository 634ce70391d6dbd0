"""The compiled kernel and its numpy twin do the same arithmetic."""

from __future__ import annotations

import os

import numpy as np
import pytest

from armwise.predictors import effects

needs_kernel = pytest.mark.skipif(
    not effects.COMPILED and "CI" not in os.environ, reason="armwise was installed without a compiler"
)


def some(count: int, dimension: int, arms: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Effects, loadings of arms and a context."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(count, dimension, dimension))
    covariance = roots @ roots.transpose(0, 2, 1)
    loading = rng.normal(size=(arms, count))
    return rng.normal(size=(count, dimension)), covariance, loading, loading**2, rng.normal(size=dimension)


@needs_kernel
@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 5, 7, 8, 68])
@pytest.mark.parametrize(("count", "arms"), [(1, 1), (5, 3)])
def test_scores(count: int, arms: int, dimension: int) -> None:
    given = some(count, dimension, arms)
    for ours, theirs in zip(effects.scores(*given), effects.scores_by_numpy(*given), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@needs_kernel
@pytest.mark.parametrize("dimension", [1, 3, 4, 6, 68])
@pytest.mark.parametrize("shrink", [0.0, 0.3])
def test_a_lesson(dimension: int, shrink: float) -> None:
    mean, covariance, _, _, x = some(5, dimension, 1)
    of, strengths = np.array([0, 3, 4]), np.array([1.0, -0.7, 2.0])
    score, variance, gained = effects.gains(mean, covariance, of, strengths, x)
    by_numpy = effects.gains_by_numpy(mean, covariance, of, strengths, x)
    np.testing.assert_allclose((score, variance), by_numpy[:2], rtol=1e-10)
    np.testing.assert_allclose(gained, by_numpy[2], rtol=1e-10, atol=1e-12)
    ours, theirs = (mean.copy(), covariance.copy()), (mean.copy(), covariance.copy())
    effects.absorb(*ours, of, gained, shrink, 0.2)
    effects.absorb_by_numpy(*theirs, of, gained, shrink, 0.2)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    assert (ours[1][1] == covariance[1]).all()  # of no effect of this lesson


@needs_kernel
def test_the_kernel_refuses_what_does_not_fit() -> None:
    mean, covariance, loading, squared, x = some(3, 4, 2)
    out = np.empty((2, 2))
    with pytest.raises(ValueError, match="go together"):
        effects.kernel.scores(mean, covariance, loading, squared, x[:3], out)
    with pytest.raises(ValueError, match="go together"):
        effects.kernel.scores(mean.astype(np.float32), covariance, loading, squared, x, out)
    for of in ([3], [-1]):
        with pytest.raises(ValueError, match="places of effects"):
            effects.kernel.gains(mean, covariance, np.array(of), np.ones(1), x, np.empty((1, 4)))
        with pytest.raises(ValueError, match="places of effects"):
            effects.kernel.absorb(mean, covariance, np.array(of), np.ones((1, 4)), 0.1, 0.1)
    with pytest.raises((ValueError, BufferError)):
        effects.kernel.scores(mean, covariance.transpose(0, 2, 1)[:, ::2], loading, squared, x, out)
