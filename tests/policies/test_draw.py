"""The one place where chance decides."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from armwise.arrays import uniform
from armwise.policies import draw


def test_frequencies_are_the_probabilities() -> None:
    probabilities = np.array([0.5, 0.3, 0.15, 0.0, 0.05])
    seeds = np.random.default_rng(3).integers(1 << 63, size=20_000)
    counts = np.bincount([draw(probabilities, int(seed))[0] for seed in seeds], minlength=5)
    assert counts[3] == 0
    keep = probabilities > 0
    assert stats.chisquare(counts[keep], probabilities[keep] * len(seeds)).pvalue > 0.001


def test_the_seeds_that_the_router_makes_are_as_good_as_random() -> None:
    golden, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1
    for start in (0, 1, 12345):
        values = [uniform((start + i * golden) & mask) for i in range(50_000)]
        assert stats.kstest(values, "uniform").pvalue > 0.001
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02


def test_the_propensity_is_the_very_number_that_was_drawn_from() -> None:
    rng = np.random.default_rng(5)
    for seed in range(500):
        probabilities = rng.dirichlet(np.full(7, 0.3))
        position, propensity = draw(probabilities, seed)
        assert propensity == probabilities[position]
        assert propensity > 0
        assert draw(probabilities, seed) == (position, propensity)


@pytest.mark.parametrize("seed", [0, 1, (1 << 64) - 1])
def test_a_uniform_number_is_in_the_half_open_unit_interval(seed: int) -> None:
    assert 0.0 <= uniform(seed) < 1.0


def test_rounding_never_falls_off_the_end() -> None:
    short = np.array([0.5, 0.5 - 1e-9, 0.0])  # sums to a little less than one
    assert {draw(short, seed)[0] for seed in range(200)} <= {0, 1}
