"""Each policy against its paper: probabilities by hand on beliefs that are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armwise.contracts import Arm, Experience, Posterior
from armwise.errors import BadInput
from armwise.policies import (
    BootstrappedBag,
    ExploreThenCommit,
    FastCB,
    FeelGoodThompson,
    Fixed,
    LinUCB,
    Softmax,
    VWReduction,
    make_policy,
)
from armwise.policies.bag import _poisson
from armwise.policies.vw import REDUCTIONS
from armwise.predictors import LinearModel
from helpers import contexts, model

ALL = np.arange(3, dtype=np.intp)
NOTHING = np.zeros(3)
X = np.array([1.0, 0.0])


class Believed:
    """An engine that believes what it was told."""

    dimension = 2

    def __init__(self, mean: Any, deviation: Any = 0.0, lessons: int = 0) -> None:
        self.mean = np.array(mean, dtype=float)
        self.deviation = np.broadcast_to(np.array(deviation, dtype=float), self.mean.shape)
        self.lessons = lessons
        self.spec: dict[str, Any] = {}
        self.learned: list[Experience] = []

    def predict(self, vector: Any, slots: Any) -> Any:
        return self.mean[slots]

    def posterior(self, vector: Any, slots: Any) -> Posterior:
        return Posterior(self.mean[slots], self.deviation[slots], False)

    def learn(self, experience: Experience) -> None:
        self.learned.append(experience)
        self.lessons += 1


def probabilities(policy: Any, penalty: Any = NOTHING) -> Any:
    return policy.choose(X, ALL, np.asarray(penalty, dtype=float), seed=1).probabilities


def test_fastcb_weighs_gaps_by_the_best_arms_loss() -> None:
    policy = FastCB(Believed([0.9, 0.7, 0.5]), gamma=10.0, exponent=0.0)  # losses .1 .3 .5
    second, third = 0.1 / (3 * 0.1 + 10 * 0.2), 0.1 / (3 * 0.1 + 10 * 0.4)
    np.testing.assert_allclose(probabilities(policy), [1 - second - third, second, third])


def test_fastcb_explores_less_where_the_best_arm_hardly_errs() -> None:
    sure, unsure = FastCB(Believed([0.99, 0.8, 0.8])), FastCB(Believed([0.6, 0.41, 0.41]))
    assert probabilities(sure)[1] < 0.2 * probabilities(unsure)[1]
    assert probabilities(FastCB(Believed([1.0, 1.0, 0.5])))[2] < 1e-5  # no loss: no exploration, and no division by it


def test_softmax_is_the_boltzmann_distribution_and_cools() -> None:
    weights = np.exp(np.array([0.9, 0.7, 0.5]) / 0.1)
    np.testing.assert_allclose(probabilities(Softmax(Believed([0.9, 0.7, 0.5]))), weights / weights.sum())
    cool = Softmax(Believed([0.9, 0.7, 0.5], lessons=600), horizon=200.0)
    np.testing.assert_allclose(probabilities(cool), weights**2 / (weights**2).sum())
    assert probabilities(Softmax(Believed([0.9, 0.7, 0.5]), temperature=1e-300)) == pytest.approx([1.0, 0.0, 0.0])


def test_linucb_takes_the_highest_bound_less_the_penalty_but_for_the_floor() -> None:
    policy = LinUCB(Believed([0.6, 0.5, 0.4], [0.0, 0.3, 0.3]), alpha=1.0, floor=0.03)  # bounds .6 .8 .7
    np.testing.assert_allclose(probabilities(policy), [0.01, 0.98, 0.01])
    np.testing.assert_allclose(probabilities(policy, [0.0, 0.25, 0.0]), [0.01, 0.01, 0.98])
    level = LinUCB(Believed([0.5, 0.25, 0.0], 0.25), alpha=2.0)
    np.testing.assert_allclose(probabilities(level, [0.5, 0.25, 0.0]), [1 / 3] * 3)  # ties are split


def test_linucb_on_ridge_is_the_textbooks() -> None:
    policy = make_policy("linucb", 3, alpha=0.7, floor=0.0, model={"slope_precision": 1.0, "intercept_precision": 1.0})
    rng = np.random.default_rng(0)
    for k in range(2):
        policy.add_arm(Arm.of(model(f"m{k}", quality_prior=0.5)))
    gram, moment = np.stack([np.eye(3)] * 2), np.zeros((2, 3))
    for x in contexts(60, 1, 3):
        slot, quality = int(rng.integers(2)), float(rng.random())
        policy.learn(Experience(x, slot, quality))
        gram[slot] += np.outer(x, x)
        moment[slot] += (quality - 0.5 * x[0]) * x  # the prior mean is .5 at the intercept
    for x in contexts(20, 2, 3):
        inverse = np.linalg.inv(gram)
        bound = 0.5 * x[0] + np.einsum("kij,kj,i->k", inverse, moment, x)
        bound += 0.7 * np.sqrt(np.einsum("i,kij,j->k", x, inverse, x))
        assert policy.choose(x, ALL[:2], NOTHING[:2], seed=0).probabilities.argmax() == bound.argmax()


def test_explore_then_commit_counts_lessons_and_newcomers() -> None:
    policy = ExploreThenCommit(LinearModel(2), lessons_per_arm=2)
    for k in range(3):
        policy.add_arm(Arm.of(model(f"m{k}")))
    for k in range(6):
        np.testing.assert_allclose(probabilities(policy, [0.0, 5.0, 5.0]), [1 / 3] * 3)
        policy.learn(Experience(X, k % 3, float(k % 3 == 1)))
    assert probabilities(policy).tolist() == [0.0, 1.0, 0.0]
    policy.add_arm(Arm.of(model("late")))
    assert policy.exploring


def test_fixed_shares_survive_exclusion() -> None:
    policy = Fixed(LinearModel(2), shares={"m0": 3, "m2": 1})
    for k in range(4):
        policy.add_arm(Arm.of(model(f"m{k}", quality_prior=0.9 if k == 3 else 0.5)))

    def over(*slots: int) -> list[float]:
        return policy.choose(X, np.array(slots, dtype=np.intp), np.zeros(len(slots)), seed=0).probabilities.tolist()

    assert over(0, 1, 2, 3) == [0.75, 0.0, 0.25, 0.0]
    assert over(1, 2) == [0.0, 1.0]
    assert over(1, 3) == [0.0, 1.0]  # none that is named: the best predicted answers


def test_fixed_refuses_an_arm_that_nobody_knows() -> None:
    policy = Fixed(LinearModel(2), arm="larg")
    policy.add_arm(Arm.of(model("large")))
    with pytest.raises(BadInput, match="unknown arm 'larg'; did you mean 'large'"):
        policy.choose(X, ALL[:1], NOTHING[:1], seed=0)


def test_the_bag_votes() -> None:
    voters = [
        Believed([0.9, 0.1, 0.5]),
        Believed([0.1, 0.9, 0.5]),
        Believed([0.9, 0.1, 0.5]),
        Believed([0.9, 0.9, 0.5]),
    ]
    policy = BootstrappedBag(Believed([0.5, 0.5, 0.5]), voters, floor=0.1)
    np.testing.assert_allclose(probabilities(policy), 0.9 * np.array([2.5, 1.5, 0]) / 4 + 0.1 / 3)
    np.testing.assert_allclose(probabilities(policy, [1.0, 1.0, 0.0]), [0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3])


def test_the_bags_resampling_is_poisson_and_repeats() -> None:
    times = [_poisson(number) for number in range(20_000)]
    assert np.mean(times) == pytest.approx(1.0, abs=0.03)
    assert np.var(times) == pytest.approx(1.0, abs=0.05)
    voters = [Believed([0.5]), Believed([0.5])]
    policy = BootstrappedBag(Believed([0.5]), voters)
    for _ in range(200):
        policy.learn(Experience(X, 0, 1.0))
    weights = [{lesson.weight for lesson in voter.learned} for voter in voters]
    assert all({1.0, 2.0, 3.0} <= kept for kept in weights)
    assert len(voters[0].learned) < 160
    assert [e.weight for e in voters[0].learned] != [e.weight for e in voters[1].learned]
    policy.learn(Experience(X, 0, 0.3, replaces=1.0))
    assert all(voter.learned[-1].replaces == 1.0 and voter.learned[-1].weight == 1.0 for voter in voters)


def test_feel_good_adds_a_linear_term_to_the_log_posterior() -> None:
    """With the linear engine: mean = plain mean + covariance @ (sum of bonus * x over lessons where it was best)."""
    engine, plain = LinearModel(3), LinearModel(3)
    policy = FeelGoodThompson(engine, bonus=0.2)
    for k in range(3):
        policy.add_arm(Arm.of(model(f"m{k}")))
        plain.add_arm(Arm.of(model(f"m{k}")))
    rng = np.random.default_rng(3)
    leaning = np.zeros((3, 3))
    for number, x in enumerate(contexts(50, 4, 3), 1):
        lesson = Experience(x, int(rng.integers(3)), float(rng.random()))
        plain.learn(lesson)
        then = plain._mean + np.einsum("kij,kj->ki", plain._covariance, leaning)
        leaning[np.clip(then @ x, 0.0, 1.0).argmax()] += x * 0.2 / np.sqrt(1 + number / 100)
        policy.learn(lesson)
    leant = plain._mean + np.einsum("kij,kj->ki", plain._covariance, leaning)
    np.testing.assert_allclose(engine._mean, leant, rtol=1e-9)
    assert np.abs(engine._mean - plain._mean).max() > 0.01
    assert engine.lessons == 50


@pytest.mark.parametrize("reduction", ["squarecb", "softmax", "cover", "bag"])
def test_a_penalty_reaches_vw_at_once_and_is_not_learned(reduction: str) -> None:
    """The same penalty on all changes nothing; a large one on the favourite moves the choice, with nothing learned."""
    policy = make_policy("vw", 3, reduction=reduction)
    twin = make_policy("vw", 3, reduction=reduction)
    for k in range(3):
        policy.add_arm(Arm.of(model(f"m{k}"))), twin.add_arm(Arm.of(model(f"m{k}")))
    for number, x in enumerate(contexts(600, 4, 3)):
        slot = number % 3
        policy.learn(Experience(x, slot, [0.9, 0.6, 0.2][slot], 1 / 3, penalty=0.0))
        twin.learn(Experience(x, slot, [0.9, 0.6, 0.2][slot], 1 / 3, penalty=0.4))
    x = contexts(1, 9, 3)[0]

    def chances(one: Any, *penalty: float) -> Any:
        return one.choose(x, ALL, np.array(penalty), seed=0).probabilities

    assert chances(policy, 0, 0, 0).tobytes() == chances(twin, 0, 0, 0).tobytes()
    np.testing.assert_allclose(chances(policy, 0.3, 0.3, 0.3), chances(policy, 0, 0, 0), atol=2e-3)
    assert chances(policy, 0, 0, 0).argmax() == 0
    assert chances(policy, 0.6, 0, 0).argmax() == 1
    assert chances(policy, 1.0, 1.0, 0).argmax() == 2


def test_vw_learns_over_the_action_set_that_the_arm_was_drawn_from() -> None:
    """IPS counts what was not drawn as costless: an arm that could not be drawn must not profit."""
    fair, unfair = (make_policy("vw", 2, reduction="softmax", cb_type="ips", learning_rate=0.1) for _ in range(2))
    for policy in (fair, unfair):
        for k in range(3):
            policy.add_arm(Arm.of(model(f"m{k}")))
    for number in range(400):
        lesson = Experience(X, number % 2, 0.6, 0.5)
        fair.learn(lesson._replace(actions=(0, 1)))
        unfair.learn(lesson)
    assert probabilities(unfair)[2] > probabilities(fair)[2] + 0.1


@pytest.mark.parametrize("reduction", ["bag", "rnd"])
@pytest.mark.parametrize("count", [499, 500, 620])
def test_vw_goes_on_from_a_snapshot_whatever_it_does_not_save(reduction: str, count: int) -> None:
    policy, twin = make_policy("vw", 3, reduction=reduction), make_policy("vw", 3, reduction=reduction)
    for k in range(3):
        policy.add_arm(Arm.of(model(f"m{k}")))

    def teach(one: Any, lessons: int, seed: int) -> None:
        for number, x in enumerate(contexts(lessons, seed, 3)):
            actions = (0, 1, 2) if number % 2 else (2, 0)  # sets of different sizes, which VW counts
            one.learn(Experience(x, actions[number % len(actions)], number % 5 / 5, 0.4, actions=actions))

    teach(policy, count, 1)
    twin.restore(policy.state())
    for one in (policy, twin):
        teach(one, 30, 2)
    for x in contexts(10, 3, 3):
        assert probabilities_at(policy, x).tobytes() == probabilities_at(twin, x).tobytes()


def test_vw_has_room_for_so_many_arms() -> None:
    policy = make_policy("vw", 100, bits=10)
    for k in range(9):
        policy.add_arm(Arm.of(model(f"m{k}")))
    with pytest.raises(BadInput, match="room for 9 arms of 100 features with 10 bits"):
        policy.add_arm(Arm.of(model("one too many")))


@pytest.mark.parametrize("bandit", ["linucb", "ucb"])
def test_river_is_ranked_as_river_ranks(bandit: str) -> None:
    policy = make_policy("river", 4, bandit=bandit, floor=0.0)
    for k in range(3):
        policy.add_arm(Arm.of(model(f"m{k}")))
    rng = np.random.default_rng(0)
    for number, x in enumerate(contexts(90, 1)):
        policy.learn(Experience(x, number % 3, float(rng.random() < [0.3, 0.6, 0.5][number % 3])))
    peer = policy._peer.river
    for x in contexts(15, 2):
        given = () if bandit == "ucb" else ({f"x{i}": float(v) for i, v in enumerate(x)},)
        assert probabilities_at(policy, x).argmax() == peer.pull([0, 1, 2], *given)


def probabilities_at(policy: Any, x: Any) -> Any:
    return policy.choose(x, ALL, NOTHING, seed=0).probabilities


def test_rivers_thompson_learns_from_partial_quality() -> None:
    """River counts any quality above 0 as a success; the policy gives it coins instead."""
    policy = make_policy("river", 4, bandit="thompson")
    for k in range(2):
        policy.add_arm(Arm.of(model(f"m{k}")))
    for x in contexts(400, 1):
        policy.learn(Experience(x, 0, 0.25))
    wins, losses = policy._peer.state(2)["beliefs"][0]
    assert wins / (wins + losses) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "fastcb", "gamma": -1}, "fastcb needs gamma > 0"),
        ({"name": "softmax", "temperature": 0}, "temperature > 0"),
        ({"name": "linucb", "alpha": -1}, "linucb needs alpha >= 0"),
        ({"name": "linucb", "floor": 1.5}, r"linucb needs floor in \[0, 1\], got 1.5"),
        ({"name": "linucb", "engine": "vw"}, "policy 'linucb' needs an engine with a posterior"),
        ({"name": "knn", "model": {"neighbours": 0}}, "neighbours must be a whole number from 1"),
        ({"name": "knn", "model": {"memory": 2.5}}, "memory must be a whole number"),
        ({"name": "performance", "model": {"patience": 0}}, "patience > 0"),
        ({"name": "bag", "replicates": 0}, "replicates from 1 to 1000, got 0"),
        ({"name": "bag", "horizon": 0}, "horizon > 0"),
        ({"name": "bag", "votes": 3}, "policy 'bag'.*votes"),
        ({"name": "feelgood", "bonus": 2}, r"bonus in \[0, 1\], got 2"),
        ({"name": "explore_commit", "lessons_per_arm": -1}, "lessons_per_arm >= 0, got -1"),
        ({"name": "fixed"}, "exactly one of arm and shares"),
        ({"name": "fixed", "arm": "a", "shares": {"a": 1}}, "exactly one of arm and shares"),
        ({"name": "fixed", "shares": {"a": -1}}, "shares of at least 0"),
        ({"name": "fixed", "shares": {"a": 0}}, "not all 0"),
        ({"name": "fixed", "shares": {}}, "not all 0"),
        ({"name": "vw", "reduction": "squarcb"}, "unknown reduction 'squarcb'; did you mean 'squarecb'"),
        ({"name": "vw", "cb_type": "dr"}, "reduction 'squarecb' takes cb_type mtr, got 'dr'"),
        ({"name": "vw", "reduction": "bag", "size": 0}, "whole number size from 1 to 64"),
        ({"name": "vw", "bits": 40}, "whole number bits from 1 to 28"),
        ({"name": "vw", "learning_rate": 0}, "learning_rate > 0"),
        ({"name": "vw", "arguments": "--nonsense 3"}, "VW does not take '--squarecb .*--nonsense 3'"),
        ({"name": "river", "bandit": "linucbb"}, "unknown bandit 'linucbb'; did you mean 'linucb'"),
        ({"name": "river", "delta": -1}, "delta >= 0"),
    ],
)
def test_wrong_settings_say_what_is_wrong(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make_policy(dimension=2, **settings)


def test_every_reduction_is_vws() -> None:
    assert set(REDUCTIONS) == {"squarecb", "bag", "cover", "softmax", "regcb", "rnd"}
    assert isinstance(make_policy("vw", 2), VWReduction)
