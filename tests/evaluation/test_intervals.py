"""Intervals: by hand, against brute force, and by their coverage."""

import numpy as np
import pytest

from armwise.errors import BadInput, UnknownName
from armwise.evaluation import evaluate
from armwise.evaluation.intervals import betting_lower_bound, empirical_bernstein_radius
from armwise.evaluation.intervals.betting import STAKES, log_capital
from armwise.evaluation.moments import MAX_BATCHES, Layout, Moments


def test_capital_is_the_mixture_of_products(rng):
    y = rng.gamma(0.5, 1.0, 77)
    direct = np.log(np.mean([np.prod(1 + stake * (y - 0.4)) for stake in STAKES]))
    assert log_capital(y, 0.4) == pytest.approx(direct)


def test_betting_bound_is_where_capital_meets_the_level(rng):
    y = rng.random(500)
    bound = betting_lower_bound(y, 0.025, tolerance=1e-9)
    assert log_capital(y, bound) == pytest.approx(np.log(1 / 0.025), abs=1e-3)
    assert bound < 0.5
    assert betting_lower_bound(y[:2], 0.025) == 0.0


def test_betting_bound_survives_a_heavy_tail():
    misses = 0
    for seed in range(200):
        y = np.random.default_rng(seed).pareto(1.5, 300) * 0.25  # mean 0.5, infinite variance
        misses += betting_lower_bound(y, 0.05) > 0.5
    assert misses <= 10


def test_empirical_bernstein_by_hand():
    log_term = np.log(80.0)
    want = np.sqrt(2 * 0.25 * log_term / 100) + 7 * 2 * log_term / (3 * 99)
    assert empirical_bernstein_radius(np.array(0.25), 2.0, 100, 0.95) == pytest.approx(want)


def test_moments_do_not_depend_on_the_blocks(rng):
    rows = rng.normal(5.0, 1.0, (10_007, 3))
    whole, parts = Moments(columns=3), Moments(columns=3)
    whole.add(rows)
    for block in np.array_split(rows, [3, 500, 501, 4096, 9000]):
        parts.add(block)
    np.testing.assert_allclose(parts.mean, rows.mean(axis=0))
    np.testing.assert_allclose(parts.covariance, np.cov(rows.T))
    assert parts.batch_size == whole.batch_size
    np.testing.assert_allclose(parts.batch_sums, whole.batch_sums)
    np.testing.assert_allclose(parts.batch_sums[3], rows[24:32].sum(axis=0))
    assert MAX_BATCHES / 2 < len(parts.batch_sums) <= MAX_BATCHES
    assert parts.batch_counts.sum() == 10_007


def test_delta_method_gradient(rng):
    layout = Layout(columns=4, weighted=np.array([0, 1]), direct=np.array([2, -1]), normaliser=np.array([3, -1]))
    means = rng.uniform(0.5, 2.0, 4)
    np.testing.assert_allclose(layout.values(means), [means[2] + means[0] / means[3], means[1]])
    step = 1e-6 * np.eye(4)
    numeric = (layout.values(means + step) - layout.values(means - step)).T / 2e-6
    np.testing.assert_allclose(layout.gradient(means), numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["snips", "dr"])
def test_bootstrap_resamples_the_normaliser(world, rng, name):
    feedback, target = world.draw(4000, rng)
    result = evaluate(feedback, {"t": target}, estimator=name, interval="bootstrap", rng=rng)
    estimate = result.estimate("t", "quality")
    assert (estimate.upper - estimate.lower) / (2 * 1.96 * estimate.standard_error) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "sndr"])
@pytest.mark.parametrize("interval", ["normal", "bootstrap"])
def test_coverage(world, name, interval):
    hits = []
    for seed in range(150):
        rng = np.random.default_rng([seed, 3])
        feedback, target = world.draw(1500, rng)
        result = evaluate(feedback, {"t": target}, estimator=name, interval=interval, resamples=300, rng=rng)
        truths = [world.truth(world.target, outcome) for outcome in result.outcomes]
        gap = truths[0] - world.truth(world.logging, "quality")
        difference = result.difference("t", outcome="quality")
        hits.append(
            [*((result.lower[0] <= truths) & (truths <= result.upper[0])), difference.lower <= gap <= difference.upper]
        )
    rates = np.mean(hits, axis=0)
    assert (rates > 0.90).all(), rates
    assert (rates < 0.995).all(), rates


@pytest.mark.parametrize("name", ["clipped_ips", "sub_gaussian_ips", "switch_dr", "dr_os"])
def test_tuned_intervals_allow_for_their_bias(world, name):
    truth = world.truth(world.target, "quality")
    hits = 0
    for seed in range(100):
        feedback, target = world.draw(1000, np.random.default_rng([seed, 10]))
        estimate = evaluate(feedback, {"t": target}, estimator=name).estimate("t", "quality")
        hits += estimate.lower <= truth <= estimate.upper
    assert hits >= 90


@pytest.mark.parametrize("name", ["ips", "dr"])
@pytest.mark.parametrize("interval", ["empirical_bernstein", "betting"])
def test_finite_sample_intervals_cover(world, name, interval):
    hits, width = 0, []
    for seed in range(60):
        feedback, target = world.draw(600, np.random.default_rng([seed, 4]))
        result = evaluate(feedback, {"t": target}, estimator=name, interval=interval)
        estimate, gap = result.estimate("t", "quality"), result.difference("t", outcome="quality")
        truth = world.truth(world.target, "quality")
        hits += estimate.lower <= truth <= estimate.upper
        hits += gap.lower <= truth - world.truth(world.logging, "quality") <= gap.upper
        width.append(estimate.upper - estimate.lower)
    assert hits >= 117
    assert np.mean(width) < (0.6 if interval == "betting" else 0.95)


def test_betting_beats_empirical_bernstein(world, rng):
    feedback, target = world.draw(4000, rng)
    widths = []
    for interval in ("normal", "betting", "empirical_bernstein"):
        estimate = evaluate(feedback, {"t": target}, estimator="ips", interval=interval).estimate("t", "quality")
        widths.append(estimate.upper - estimate.lower)
    assert widths[0] < widths[1] < widths[2]


def test_what_an_interval_cannot_do_is_said(world, rng):
    feedback, target = world.draw(500, rng)
    with pytest.raises(BadInput, match="no finite-sample bound"):
        evaluate(feedback, {"t": target}, estimator="snips", interval="betting")
    with pytest.raises(BadInput, match="voids the betting bound"):
        evaluate(feedback, {"t": target}, estimator="clipped_ips", interval="betting")
    with pytest.raises(BadInput, match="leaves out the bias"):
        evaluate(feedback, {"t": target}, estimator="clipped_ips", interval="empirical_bernstein")
    with pytest.raises(BadInput, match="default_rng"):
        evaluate(feedback, {"t": target}, interval="bootstrap")
    with pytest.raises(UnknownName, match="did you mean 'bootstrap'"):
        evaluate(feedback, {"t": target}, interval="bootstap")
    with pytest.raises(BadInput, match="with_combined"):
        evaluate(feedback, {"t": target}, interval="betting").combine({"quality": 1.0}, "t")
