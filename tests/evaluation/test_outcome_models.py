"""Outcome models and cross-fitting."""

import dataclasses

import numpy as np
import pytest

from armwise.errors import BadInput, UnknownName
from armwise.evaluation import RidgeOutcome, TargetPolicy, VWOutcome, cross_fit, evaluate


def test_ridge_recovers_linear_arms(rng):
    x = rng.normal(size=(5000, 3))
    arm = rng.integers(0, 2, 5000)
    truth = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])
    y = (x * truth[arm]).sum(axis=1) + 0.7 * arm
    table = RidgeOutcome(l2=1e-3).fit(x, arm, y, None, 2).predict(x[:5])
    np.testing.assert_allclose(table, x[:5] @ truth.T + [0.0, 0.7], atol=1e-3)


def test_ridge_gives_an_unseen_arm_the_pooled_fit(rng):
    x = rng.normal(size=(400, 1))
    fitted = RidgeOutcome().fit(x, np.zeros(400, dtype=int), x[:, 0], None, 2)
    table = fitted.predict(np.array([[1.0]]))
    assert table[0, 1] == pytest.approx(1.0, abs=0.1)


def test_row_weights_equal_repeated_rows(rng):
    x, arm, y = rng.normal(size=(60, 2)), rng.integers(0, 2, 60), rng.random(60)
    twice = np.r_[np.arange(60), np.arange(20)]
    weight = np.r_[np.full(20, 2.0), np.ones(40)]
    repeated = RidgeOutcome(l2=1e-6).fit(x[twice], arm[twice], y[twice], None, 2).predict(x)
    weighted = RidgeOutcome(l2=1e-6).fit(x, arm, y, weight, 2).predict(x)
    np.testing.assert_allclose(weighted, repeated, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_blocks_fit_as_all_rows_at_once(rng, weighted):
    """Beside the normal equations of the rows themselves."""
    n, arms, l2 = 700, 3, 10.0
    x = np.column_stack([np.ones(n), 1e3 + 1e-2 * rng.normal(size=n), rng.normal(size=(n, 3)) * [1.0, 1e-4, 1e4]])
    arm, y = rng.choice(4, n, p=[0.6, 0.3, 0.1, 0.0]), rng.normal(size=n)
    weight = rng.exponential(size=n) * (rng.random(n) < 0.7) if weighted else None
    parts = []
    for rows in np.split(np.arange(n), [1, 50, 51, 400]):
        parts.append(RidgeOutcome(l2=l2).sums(arms + 1))
        parts[-1].add(x[rows], arm[rows], y[rows], None if weight is None else weight[rows])
    table = parts[0].fit(parts[1:]).predict(x)

    w = np.ones(n) if weight is None else weight * n / weight.sum()
    spread = x.std(axis=0)
    design = np.column_stack([np.ones(n), (x - x.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)])

    def solved(rows, target, penalty):
        scaled = design[rows] * w[rows, None]
        return np.linalg.solve(scaled.T @ design[rows] + np.diag(penalty), scaled.T @ target[rows])

    pooled = solved(np.arange(n), y, np.r_[1e-9, np.full(5, l2)])
    for a in range(arms):
        own = pooled + solved(np.flatnonzero(arm == a), y - design @ pooled, np.full(6, l2))
        np.testing.assert_allclose(table[:, a], design @ own, atol=1e-8)
    np.testing.assert_allclose(table[:, arms], design @ pooled, atol=1e-8)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_row_never_informs_its_own_prediction(world, rng, progressive):
    feedback, target = world.draw(400, rng)
    policy = TargetPolicy(name="t", probabilities=target)
    before = cross_fit(feedback, [policy], RidgeOutcome(), progressive=progressive)
    changed = dict(feedback.outcomes)
    changed["quality"] = changed["quality"].copy()
    changed["quality"][250] = 1.0 - changed["quality"][250]
    after = cross_fit(
        dataclasses.replace(feedback, outcomes=changed), [policy], RidgeOutcome(), progressive=progressive
    )
    moved = np.flatnonzero((before.direct != after.direct).any(axis=(1, 2)))
    assert moved.size > 0
    assert 250 not in moved
    if progressive:
        assert moved.min() > 250
    assert after.direct[..., 0].min() >= 0.0
    assert after.direct[..., 0].max() <= 1.0


def test_mrdr_fits_a_model_per_target(world, rng):
    feedback, target = world.draw(400, rng)
    policies = [TargetPolicy(name="t", probabilities=target), TargetPolicy(name="u", probabilities=target[:, ::-1])]
    assert cross_fit(feedback, policies, RidgeOutcome(), variance_weights=True).logged.shape == (400, 2, 2)


def test_vw_learns(world, rng):
    pytest.importorskip("vowpal_wabbit_next")
    feedback, target = world.draw(1500, rng)
    result = evaluate(feedback, {"t": target}, outcome_model="vw", folds=2)
    ips = evaluate(feedback, {"t": target}, estimator="ips")
    assert result.estimate("t", "cost_usd").standard_error < 0.8 * ips.estimate("t", "cost_usd").standard_error
    with pytest.raises(BadInput, match="NaN"):
        VWOutcome().fit(np.array([[np.nan]]), np.array([0]), np.array([1.0]), None, 2)


def test_names(world, rng):
    feedback, target = world.draw(100, rng)
    with pytest.raises(UnknownName, match="did you mean 'ridge'"):
        evaluate(feedback, {"t": target}, outcome_model="rigde")
    with pytest.raises(BadInput, match="folds is 1"):
        evaluate(feedback, {"t": target}, folds=1)
    with pytest.raises(
        BadInput, match="rows to judge by: 100; a model of outcomes needs at least 101, one for each fold"
    ):
        evaluate(feedback, {"t": target}, folds=101)
