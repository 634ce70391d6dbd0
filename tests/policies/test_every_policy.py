"""What every policy owes, over every engine that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from armwise.contracts import Arm, Experience, Policy
from armwise.errors import BadInput
from armwise.policies import POLICIES, draw, make_policy
from armwise.policies.batch import choose_many
from armwise.policies.vw import REDUCTIONS
from armwise.predictors import ENGINES
from helpers import assert_same_state, contexts, model

D = 5
NO_MIND = {"uniform", "fixed"}
"""Policies that prefer no arm for what they have learned."""


class Setting(NamedTuple):
    """A policy, its engine, and parameters that it cannot do without or that a test is too short for."""

    name: str
    engine: str
    parameters: Mapping[str, Any] = {}

    @property
    def label(self) -> str:
        return "-".join(map(str, (self.name, self.engine, *self.parameters.values())))

    @property
    def blind(self) -> bool:
        """Whether it learns, but not from the context."""
        return self.name == "performance" or self.parameters.get("bandit") in ("ucb", "thompson")


_NEEDED: dict[str, dict[str, Any]] = {"fixed": {"arm": "m0"}, "explore_commit": {"lessons_per_arm": 5}}
FITTING = [
    Setting(name, engine, _NEEDED.get(name, {}))
    for name, policy in POLICIES.items()
    for engine in ENGINES
    if ENGINES[engine].knowledge >= policy.needs and (engine == policy.engine or name in ("thompson", "squarecb"))
]
"""Every policy on its own engine, and every engine under a policy of either need."""
FITTING += [
    Setting("vw", "logistic", {"reduction": reduction, "cb_type": cb_type})
    for reduction, (_, cb_types) in REDUCTIONS.items()
    for cb_type in cb_types
    if reduction != "squarecb"
]
FITTING += [Setting("river", "logistic", {"bandit": bandit}) for bandit in ("ucb", "thompson")]
SEED = 7


@pytest.fixture(params=FITTING, ids=[setting.label for setting in FITTING])
def setting(request: pytest.FixtureRequest) -> Setting:
    return request.param


def bare(setting: Setting, **settings: Any) -> Policy:
    return make_policy(setting.name, D, engine=setting.engine, **setting.parameters, **settings)


def build(setting: Setting, arms: int = 3) -> Policy:
    policy = bare(setting)
    for i in range(arms):
        assert policy.add_arm(Arm.of(model(f"m{i}"))) == i
    return policy


def slots(*which: int) -> Any:
    return np.array(which, dtype=np.intp)


def teach(policy: Policy, count: int, arms: int = 3, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    for x in contexts(count, seed, D):
        slot = int(rng.integers(arms))
        policy.learn(Experience(x, slot, float(rng.random()), 1.0 / arms, 0.05))


def check(probabilities: Any, count: int) -> None:
    assert probabilities.shape == (count,)
    assert probabilities.dtype == np.float64
    assert np.isfinite(probabilities).all()
    assert (probabilities >= 0).all()
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("lessons", [0, 1, 50])
def test_probabilities_are_over_the_action_set_alone(setting: Setting, lessons: int) -> None:
    policy = build(setting, 4)
    teach(policy, lessons, 4)
    for chosen in (slots(0, 1, 2, 3), slots(1, 3), slots(2)):
        for x in contexts(5, 3, D):
            choice = policy.choose(x, chosen, np.full(len(chosen), 0.1), seed=SEED)
            check(choice.probabilities, len(chosen))
            assert choice.quality.shape == (len(chosen),)
            assert ((choice.quality >= 0) & (choice.quality <= 1)).all()
            assert choice.method.partition(":")[0] in ("exact", "quadrature", "draws")


def test_a_partial_set_predicts_what_the_whole_set_does(setting: Setting) -> None:
    policy = build(setting, 4)
    teach(policy, 60, 4)
    x = contexts(1, 9, D)[0]
    whole = policy.choose(x, slots(0, 1, 2, 3), np.zeros(4), seed=SEED).quality
    part = policy.choose(x, slots(1, 3), np.zeros(2), seed=SEED).quality
    np.testing.assert_allclose(part, whole[[1, 3]], rtol=1e-6, atol=1e-9)


def test_the_same_seed_repeats_and_choosing_changes_nothing(setting: Setting) -> None:
    policy, twin = build(setting), build(setting)
    teach(policy, 30)
    teach(twin, 30)
    x, penalty = contexts(1, 2, D)[0], np.array([0.1, 0.0, 0.3])
    before = policy.state()
    first = policy.choose(x, slots(0, 1, 2), penalty, seed=SEED)
    for _ in range(20):
        again = policy.choose(x, slots(0, 1, 2), penalty, seed=SEED)
        assert again.probabilities.tobytes() == first.probabilities.tobytes()
    if "vw" not in (setting.name, setting.engine):  # VW counts its predictions inside its serialised bytes
        assert_same_state(policy.state(), before)
    teach(policy, 30, seed=5)  # the choices between must leave no trace in what is learned after
    teach(twin, 30, seed=5)
    assert (
        policy.choose(x, slots(0, 1, 2), penalty, seed=1).probabilities.tobytes()
        == twin.choose(x, slots(0, 1, 2), penalty, seed=1).probabilities.tobytes()
    )


def test_a_restored_policy_goes_on_as_if_nothing_had_happened(setting: Setting) -> None:
    policy = build(setting)
    teach(policy, 40)
    twin = bare(setting)
    twin.restore(policy.state())
    for seed in (1, 2):
        for x in contexts(5, seed, D):
            left = policy.choose(x, slots(0, 1, 2), np.zeros(3), seed=SEED)
            right = twin.choose(x, slots(0, 1, 2), np.zeros(3), seed=SEED)
            assert left.probabilities.tobytes() == right.probabilities.tobytes()
            assert left.quality.tobytes() == right.quality.tobytes()
        teach(policy, 40, seed=seed)
        teach(twin, 40, seed=seed)
        assert policy.add_arm(Arm.of(model(f"late{seed}"))) == twin.add_arm(Arm.of(model(f"late{seed}")))


def test_a_state_is_plain_data_and_a_copy(setting: Setting) -> None:
    def leaves(tree: Any) -> Any:
        if isinstance(tree, dict):
            assert all(isinstance(key, str) for key in tree)
            for value in tree.values():
                yield from leaves(value)
        elif isinstance(tree, list):
            for value in tree:
                yield from leaves(value)
        else:
            yield tree

    policy = build(setting)
    teach(policy, 10)
    saved = policy.state()
    for leaf in leaves(saved):
        assert leaf is None or isinstance(leaf, (str, int, float, bool, np.ndarray))
        assert not isinstance(leaf, np.ndarray) or leaf.dtype != object
    frozen = [leaf.tobytes() for leaf in leaves(saved) if isinstance(leaf, np.ndarray)]
    teach(policy, 10, seed=4)
    assert frozen == [leaf.tobytes() for leaf in leaves(saved) if isinstance(leaf, np.ndarray)]


def test_inputs_are_left_alone(setting: Setting) -> None:
    policy = build(setting)
    x, chosen, penalty = contexts(1, 2, D)[0], slots(0, 1, 2), np.array([0.1, 0.2, 0.0])
    for array in (x, chosen, penalty):
        array.flags.writeable = False
    policy.choose(x, chosen, penalty, seed=SEED)
    policy.learn(Experience(x, 1, 0.5))
    policy.learn(Experience(x, 1, 0.7, replaces=0.5))


def test_what_is_corrected_and_taken_back_leaves_a_policy_that_decides(setting: Setting) -> None:
    policy = build(setting)
    for x in contexts(20, 2, D):
        policy.learn(Experience(x, 1, 0.5, weight=0.4))
        policy.learn(Experience(x, 1, 0.7, weight=0.9, replaces=0.5, replaced_weight=0.4))
        policy.learn(Experience(x, 1, 0.7, weight=0.0, replaces=0.7, replaced_weight=0.9))
        choice = policy.choose(x, slots(0, 1, 2), np.zeros(3), seed=SEED)
        assert choice.probabilities.sum() == pytest.approx(1.0)
        assert ((choice.probabilities >= 0) & (choice.quality >= 0) & (choice.quality <= 1)).all()


@pytest.mark.parametrize("quality", [float("nan"), float("inf"), -0.1, 1.5])
def test_a_quality_that_is_none_is_refused_and_teaches_nothing(setting: Setting, quality: float) -> None:
    policy = build(setting)
    teach(policy, 5)
    before = policy.state()
    with pytest.raises(BadInput, match=r"must be in \[0, 1\], got"):
        policy.learn(Experience(contexts(1, 2, D)[0], 1, quality))
    assert_same_state(policy.state(), before)


def test_one_arm_is_certain(setting: Setting) -> None:
    policy = build(setting, 1)
    choice = policy.choose(contexts(1, 0, D)[0], slots(0), np.array([0.3]), seed=SEED)
    assert choice.probabilities.tolist() == [1.0]


def test_two_hundred_arms(setting: Setting) -> None:
    policy = build(setting, 200)
    teach(policy, 400, 200)
    choice = policy.choose(contexts(1, 0, D)[0], np.arange(200, dtype=np.intp), np.linspace(0, 1, 200), seed=SEED)
    check(choice.probabilities, 200)


def test_equal_arms_get_equal_chances(setting: Setting) -> None:
    policy = build(setting, 4)
    probabilities = policy.choose(contexts(1, 0, D)[0], slots(0, 1, 2, 3), np.zeros(4), seed=SEED).probabilities
    check(probabilities, 4)
    if setting.parameters.get("bandit") == "thompson":  # by draws
        assert np.ptp(probabilities) < 0.2
        return
    if setting.parameters.get("reduction") == "rnd":  # its noise is of the arm
        return
    if setting.name in ("epsilon", "fixed", "vw"):  # one of them has to be taken
        probabilities = np.sort(probabilities)[:-1]
    assert np.ptp(probabilities) < 1e-9


@pytest.mark.parametrize("size", [1.0, 1e3, 1e12, 1e300])
def test_a_huge_penalty_is_only_a_reason_not_to_choose(setting: Setting, size: float) -> None:
    policy = build(setting)
    teach(policy, 20)
    probabilities = policy.choose(contexts(1, 0, D)[0], slots(0, 1, 2), np.array([size, 0.0, size]), seed=1)
    check(probabilities.probabilities, 3)
    if setting.name not in NO_MIND:
        best = probabilities.probabilities
        assert best[1] == best.max()
    check(policy.choose(contexts(1, 0, D)[0], slots(0, 1, 2), np.full(3, size), seed=1).probabilities, 3)


def test_vectors_of_any_size_never_give_nan(setting: Setting) -> None:
    policy = build(setting)
    with np.errstate(over="ignore"):
        for power in (4, 8, 15):
            for x in contexts(4, 0, D) * 10.0**power:
                check(policy.choose(x, slots(0, 1, 2), np.zeros(3), seed=1).probabilities, 3)
                policy.learn(Experience(x, 1, 1.0))
                check(policy.choose(x, slots(0, 1, 2), np.zeros(3), seed=1).probabilities, 3)


def test_an_arm_can_join_later(setting: Setting) -> None:
    policy = build(setting, 2)
    teach(policy, 50, 2)
    x = contexts(1, 3, D)[0]
    before = policy.choose(x, slots(0, 1), np.zeros(2), seed=1).quality
    assert policy.add_arm(Arm.of(model("late"))) == 2
    after = policy.choose(x, slots(0, 1, 2), np.zeros(3), seed=1)
    check(after.probabilities, 3)
    np.testing.assert_array_equal(after.quality[:2], before)
    policy.learn(Experience(x, 2, 1.0))


def test_learning_moves_towards_the_better_arm(setting: Setting) -> None:
    if setting.name in NO_MIND or setting.blind:
        pytest.skip("never prefers an arm for its context")
    policy = build(setting)
    rng = np.random.default_rng(11)
    chosen, hits = slots(0, 1, 2), []
    for i, x in enumerate(contexts(1_500, 12, D)):
        choice = policy.choose(x, chosen, np.zeros(3), seed=i)
        position, propensity = draw(choice.probabilities, int(rng.integers(1 << 62)))
        best = 0 if x[1] > 0 else 2
        policy.learn(Experience(x, position, 0.9 if position == best else 0.3, propensity))
        hits.append(choice.probabilities[best])
    assert np.mean(hits[-300:]) > max(0.5, np.mean(hits[:50]))


def test_the_spec_builds_its_like_and_tells_engines_and_parameters_apart(setting: Setting) -> None:
    spec = build(setting).spec
    assert spec["name"] == setting.name
    assert spec == bare(setting).spec
    others = [bare(other).spec for other in FITTING if other != setting]
    assert spec not in others
    if setting.engine in ("linear", "logistic", "means"):
        assert spec != bare(setting, model={"forgetting": 0.99}).spec


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "tompson"}, "did you mean 'thompson'"),
        ({"name": "thompson", "engine": "vw"}, "needs an engine with a posterior .logistic, linear.*got 'vw'"),
        ({"name": "thompson", "engine": "logistik"}, "did you mean 'logistic'"),
        ({"name": "thompson", "gamma": 3}, "policy 'thompson'.*gamma"),
        ({"name": "squarecb", "gamma": 0}, "gamma > 0"),
        ({"name": "squarecb", "exponent": 2}, "exponent"),
        ({"name": "epsilon", "epsilon": 1.5}, "epsilon must be in"),
        ({"name": "thompson", "nodes": 2}, "nodes >= 8"),
        ({"name": "thompson", "scale": -1}, "scale >= 0"),
        ({"name": "uniform", "model": {"forgetting": 0}}, "forgetting"),
        ({"name": "uniform", "model": {"prior": 0.5}}, "engine 'logistic'.*prior"),
    ],
)
def test_wrong_settings_say_what_is_wrong(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make_policy(dimension=D, **settings)


def test_many_at_once_is_one_by_one(setting: Setting) -> None:
    policy = build(setting, 4)
    teach(policy, 60, 4)
    vectors = contexts(7, 11, D)
    seeds = np.arange(7, dtype=np.uint64)
    for chosen in (slots(0, 1, 2, 3), slots(1, 3)):
        penalties = np.random.default_rng(2).random((7, len(chosen))) * 0.1
        many = choose_many(policy, vectors, chosen, penalties, seeds)
        one_by_one = [
            policy.choose(x, chosen, penalty, seed=i).probabilities
            for i, (x, penalty) in enumerate(zip(vectors, penalties, strict=True))
        ]
        np.testing.assert_allclose(many, one_by_one, atol=1e-9)
        np.testing.assert_allclose(many.sum(axis=1), 1.0, atol=1e-9)
