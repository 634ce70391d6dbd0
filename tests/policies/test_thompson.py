"""The marginals of Thompson sampling, against the sampling itself."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import pytest
from scipy import stats

from armwise.arrays import sigmoid
from armwise.contracts import Arm, Experience, Model, Policy, Posterior
from armwise.errors import BadInput
from armwise.policies import make_policy, marginals
from armwise.policies.batch import choose_many
from armwise.policies.marginals import best_arm_probabilities, by_numpy

NODES = 64


def monte_carlo(belief: Posterior, penalty: np.ndarray, draws: int = 200_000) -> np.ndarray:
    scores = np.random.default_rng(0).normal(belief.mean, belief.deviation, (draws, len(penalty)))
    utility = (sigmoid(scores) if belief.logit else scores) - penalty
    return np.bincount(utility.argmax(axis=1), minlength=len(penalty)) / draws


@pytest.mark.parametrize("logit", [True, False])
@pytest.mark.parametrize("arms", [2, 3, 10, 40])
@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_marginals_agree_with_sampling(arms: int, logit: bool, spread: float) -> None:
    rng = np.random.default_rng(arms)
    for _ in range(3):
        deviation = spread * rng.uniform(0.5, 2.0, arms)
        belief = Posterior(rng.normal(1.0, 2 * spread, arms), deviation, logit)
        penalty = rng.uniform(0, spread / 4, arms)
        got = best_arm_probabilities(belief, penalty, NODES)
        assert got.sum() == pytest.approx(1.0)
        assert np.abs(got - monte_carlo(belief, penalty)).max() < 0.012


def test_marginals_where_deviations_differ_tenfold() -> None:
    belief = Posterior(np.array([1.0, 1.05, 0.9]), np.array([0.03, 0.3, 0.1]), False)
    expected = monte_carlo(belief, np.zeros(3))
    assert np.abs(best_arm_probabilities(belief, np.zeros(3), NODES) - expected).max() < 0.02


def test_two_arms_have_a_closed_form() -> None:
    belief = Posterior(np.array([0.6, 0.5]), np.array([0.1, 0.15]), False)
    expected = stats.norm.cdf((0.6 - 0.5) / np.hypot(0.1, 0.15))
    assert best_arm_probabilities(belief, np.zeros(2), NODES)[0] == pytest.approx(expected, abs=0.003)


def test_certainty_takes_all() -> None:
    belief = Posterior(np.array([0.2, 0.9, 0.5]), np.zeros(3), False)
    assert best_arm_probabilities(belief, np.zeros(3), NODES).tolist() == [0.0, 1.0, 0.0]
    assert best_arm_probabilities(belief, np.array([0.0, 0.8, 0.0]), NODES).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.skipif(not marginals.COMPILED, reason="the compiled kernel was not built: no compiler at installation")
@pytest.mark.parametrize("logit", [True, False])
@pytest.mark.parametrize("arms", [1, 2, 12, 200])
def test_the_compiled_kernel_and_numpy_agree(arms: int, logit: bool) -> None:
    rng = np.random.default_rng(arms)
    for _ in range(50):
        deviation = np.where(rng.random(arms) < 0.2, 0.0, rng.lognormal(-1.0, 1.0, arms))
        belief = Posterior(rng.normal(1.0, 2.0, arms), deviation, logit)
        penalty = rng.exponential(0.2, arms)
        compiled = best_arm_probabilities(belief, penalty, NODES)
        np.testing.assert_allclose(compiled, by_numpy(belief, penalty, NODES), atol=1e-7)


def test_the_compiled_kernel_is_there_where_it_must_be() -> None:
    assert marginals.COMPILED or "CI" not in os.environ


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one length|broadcast"):
        best_arm_probabilities(Posterior(np.zeros(3), np.ones(2), False), np.zeros(3), NODES)


def test_a_floor_keeps_every_arm_answerable() -> None:
    policy = make_policy("thompson", dimension=2, floor=0.05, scale=0.0, engine="logistic")
    for name, quality in (("good", 0.95), ("poor", 0.05)):
        policy.add_arm(Arm.of(Model(name, input_usd_per_mtok=1.0, output_usd_per_mtok=1.0, quality_prior=quality)))
    vector, slots, penalty = np.array([1.0, 0.0]), np.arange(2), np.zeros(2)
    choice = policy.choose(vector, slots, penalty, seed=1)
    np.testing.assert_allclose(choice.probabilities, [0.975, 0.025])
    many = choose_many(policy, vector[None], slots, penalty[None], seeds=np.array([1], dtype=np.uint64))
    np.testing.assert_allclose(many[0], choice.probabilities)


def test_a_share_explores_and_the_rest_takes_the_likeliest_arm() -> None:
    choices = []
    for explored in (1.0, 0.1):
        policy = make_policy("thompson", dimension=2, explored=explored, horizon=1.0, engine="logistic")
        for name in ("a", "b", "c"):
            policy.add_arm(Arm.of(Model(name, input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)))
        policy.learn(Experience(vector=np.array([1.0, 0.1]), slot=1, quality=0.7))
        vectors, slots, penalties = np.array([[1.0, 0.3], [1.0, 0.0]]), np.arange(3), np.array([[0.0, 0.1, 0.2]] * 2)
        seeds = np.array([1, 2], dtype=np.uint64)
        choices.append(choose_many(policy, vectors, slots, penalties, seeds=seeds))
        one = policy.choose(vectors[0], slots, penalties[0], seed=1).probabilities
        np.testing.assert_allclose(choices[-1][0], one)
    full, spared = choices
    np.testing.assert_allclose(spared, 0.1 * full + 0.9 * np.array([1.0, 0.0, 0.0]))


def settled(arms: int, **parameters: Any) -> Policy:
    """After 300 lessons of arm 0, which did well, and a few of each other, which did not."""
    policy = make_policy("thompson", dimension=2, engine="logistic", **parameters)
    for k in range(arms):
        policy.add_arm(Arm.of(Model(f"m{k}", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)))
        for _ in range(4):
            policy.learn(Experience(vector=np.array([1.0, 0.0]), slot=k, quality=0.2))
    for turn in range(300):
        policy.learn(Experience(vector=np.array([1.0, 0.0]), slot=0, quality=float(turn % 10 < 7)))
    return policy


def chosen(policy: Policy, penalty: np.ndarray) -> np.ndarray:
    """Probabilities of a choice, the same one by one and many at once."""
    vector, slots = np.array([1.0, 0.0]), np.arange(len(penalty))
    one = policy.choose(vector, slots, penalty, seed=1).probabilities
    many = choose_many(policy, vector[None], slots, penalty[None], seeds=np.array([1], dtype=np.uint64))
    np.testing.assert_allclose(many[0], one)
    return one


@pytest.mark.parametrize(("arms", "horizon"), [(3, 100.0), (5, 100.0), (8, 160.0), (12, 240.0), (30, 240.0)])
def test_the_horizon_may_grow_with_the_arms_up_to_twelve(arms: int, horizon: float) -> None:
    growing, told = settled(arms, per_arm=20.0), settled(arms, horizon=horizon)
    np.testing.assert_array_equal(chosen(growing, np.zeros(arms)), chosen(told, np.zeros(arms)))


def test_where_a_budget_lies_idle_dearer_arms_are_tried_on() -> None:
    policy = settled(3)
    busy, idle = (chosen(policy, price * np.array([0.2, 0.1, 1.0])) for price in (0.021, 0.019))
    assert busy[2] < 0.01
    assert idle[2] > 10 * busy[2]
    assert idle[1] < 2 * busy[1]  # it is cheaper than the favourite: nothing is to be found out with idle money
    free = chosen(policy, np.zeros(3))
    assert free[2] < idle[2] / 10  # money has no price at all: none lies idle


def test_many_choices_at_once_look_at_each_ones_own_penalties() -> None:
    policy, slots = settled(3), np.arange(3)
    penalties = np.array([[0.002, 0.001, 0.01], [0.2, 0.1, 1.0], [0.0, 0.0, 0.0]])
    vectors, seeds = np.array([[1.0, 0.0]] * 3), np.arange(3, dtype=np.uint64)
    many = choose_many(policy, vectors, slots, penalties, seeds=seeds)
    for row, penalty in zip(many, penalties, strict=True):
        np.testing.assert_allclose(row, policy.choose(vectors[0], slots, penalty, seed=1).probabilities)


@pytest.mark.parametrize("wrong", [{"per_arm": -1.0}, {"horizon": 0.0}, {"scale": -0.1}, {"nodes": 7}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"per_arm >= 0.*{re.escape(str(next(iter(wrong.values()))))}"):
        make_policy("thompson", dimension=2, **wrong)


def test_a_floor_is_a_share() -> None:
    with pytest.raises(BadInput, match=r"floor in \[0, 1\]"):
        make_policy("thompson", dimension=2, floor=1.5)
