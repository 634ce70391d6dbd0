"""Bounds that are watched at every step."""

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.evaluation import RunningMean, SequentialComparison, confidence_sequence


def test_one_pass_equals_row_by_row(rng):
    outcome, weight = rng.random(200), rng.exponential(1.0, 200)
    lower, upper = confidence_sequence(outcome, weight)
    running = RunningMean()
    for i in range(200):
        running.update(float(outcome[i]), float(weight[i]))
        if i % 37 == 0:
            assert running.lower == pytest.approx(lower[i])
            assert running.upper == pytest.approx(upper[i])
    batched = RunningMean()
    for block in np.array_split(np.arange(200), 7):
        batched.update(outcome[block], weight[block])
    assert (batched.lower, batched.upper) == pytest.approx((running.lower, running.upper))
    assert batched.mean == pytest.approx((outcome * weight).mean())


def test_never_wrong_at_any_step():
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 5])
        p = rng.uniform(0.05, 1.0, 1000)
        weight = (rng.random(1000) < p) / p
        lower, upper = confidence_sequence((rng.random(1000) < 0.3).astype(float), weight)
        wrong += bool(((lower > 0.3) | (upper < 0.3)).any())
    assert wrong <= 10


def test_follows_a_drifting_mean():
    """The bound is on the running average, so a change half-way does not break it."""
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 6])
        mean = np.r_[np.full(400, 0.8), np.full(400, 0.3)]
        lower, upper = confidence_sequence((rng.random(800) < mean).astype(float))
        average = np.cumsum(mean) / np.arange(1, 801)
        wrong += bool(((lower > average) | (upper < average)).any())
    assert wrong <= 5
    assert (upper - lower)[-1] < 0.2


def test_bounds_rescale(rng):
    outcome = rng.random(300)
    lower, upper = confidence_sequence(outcome)
    wide_lower, wide_upper = confidence_sequence(10 * outcome - 5, bounds=(-5.0, 5.0))
    np.testing.assert_allclose(wide_lower, 10 * lower - 5, atol=1e-9)
    np.testing.assert_allclose(wide_upper, 10 * upper - 5, atol=1e-9)


def stream(rng, n, candidate, baseline):
    """Two arms at even odds; candidate always takes the first, the baseline the second."""
    first = rng.random(n) < 0.5
    outcome = (rng.random(n) < np.where(first, candidate, baseline)).astype(float)
    return outcome, 2.0 * first, 2.0 * ~first


def test_no_false_promotion_under_the_null():
    rejected = 0
    for seed in range(200):
        test = SequentialComparison(level=0.95)
        for _ in range(10):
            test.update(*stream(np.random.default_rng([seed, 7, test.count]), 200, 0.6, 0.6))
        rejected += test.reject
    assert rejected <= 16


def test_a_better_candidate_is_found(rng):
    test = SequentialComparison()
    test.update(*stream(rng, 4000, 0.8, 0.5))
    assert test.reject
    assert test.e_value > 20
    assert 0 < test.lower < 0.3 < test.upper
    assert test.difference == pytest.approx(0.3, abs=0.08)


def test_quality_floor(rng):
    """0.58 holds 90 % of 0.6 and does not hold 105 % of it."""
    holds, fails = SequentialComparison(factor=0.8), SequentialComparison(factor=1.2)
    rows = stream(rng, 20_000, 0.58, 0.6)
    holds.update(*rows)
    fails.update(*rows)
    assert holds.reject
    assert not fails.reject
    assert fails.upper < 0


def test_bad_rows_are_refused():
    with pytest.raises(BadInput, match="outside its bounds"):
        RunningMean().update(1.5)
    with pytest.raises(BadInput, match="NaN"):
        RunningMean().update(np.nan)
    with pytest.raises(BadInput, match="negative"):
        RunningMean().update(0.5, -1.0)
    with pytest.raises(BadInput, match="between 0 and 1"):
        RunningMean(level=95)
    with pytest.raises(BadInput, match="margin"):
        SequentialComparison(margin=2.0)
