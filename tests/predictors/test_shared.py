"""The engine that shares between arms: its algebra, what kin teach, and how honest a newcomer's doubt is."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.arrays import sigmoid
from armwise.contracts import Arm, Experience, Model
from armwise.errors import BadInput, SnapshotError
from armwise.predictors import LogisticModel, SharedModel, make_quality_model
from helpers import assert_same_state, contexts

D = 4


def arm(name: str, family: str | None = None, price: float = 0.5, **settings: object) -> Arm:
    return Arm.of(Model(name, family=family, input_usd_per_mtok=price, output_usd_per_mtok=price, **settings))


def slots(*which: int) -> np.ndarray:
    return np.array(which, dtype=np.intp)


def test_without_kinship_it_is_the_disjoint_logistic_engine() -> None:
    settings = {"slope_precision": 5.0, "intercept_precision": 0.7, "prior_quality": 0.8}
    for forgetting in (1.0, 0.98):
        shared = SharedModel(D, spread=None, kinship=0.0, level_kinship=0.0, kin=(), forgetting=forgetting, **settings)
        disjoint = LogisticModel(D, forgetting=forgetting, **settings)
        rng = np.random.default_rng(1)
        for name in ("a", "b"):
            shared.add_arm(arm(name))
            disjoint.add_arm(arm(name))
        for number, x in enumerate(contexts(80, 2)):
            lesson = Experience(x, number % 2, float(rng.random()), weight=0.5 + 0.5 * float(rng.random()))
            if number % 10 == 9:
                lesson = lesson._replace(replaces=0.4, replaced_weight=0.7)
            shared.learn(lesson)
            disjoint.learn(lesson)
        for x in contexts(10, 3):
            left, right = shared.posterior(x, slots(0, 1)), disjoint.posterior(x, slots(0, 1))
            np.testing.assert_allclose(left.mean, right.mean, rtol=1e-9)
            np.testing.assert_allclose(left.deviation, right.deviation, rtol=1e-7)
        assert shared.lessons == disjoint.lessons


def test_a_lesson_is_the_joint_newton_step_with_the_blocks_kept() -> None:
    """Against one dense belief over all effects, built by hand: the first lesson from the prior."""
    engine = SharedModel(
        D,
        spread=None,
        kin=("family",),
        kinship=0.6,
        level_kinship=0.6,
        common=0.5,
        slope_precision=2.0,
        intercept_precision=0.7,
        prior_quality=0.88,
    )
    engine.add_arm(arm("a", "x"))
    engine.add_arm(arm("b", "x"))
    assert engine.effects == ("common", "family:x", "arm:0", "arm:1")
    x = contexts(1, 5)[0]
    variance = np.array([1 / 0.7, 0.5, 0.5, 0.5])
    parts = np.array([0.3, 0.3, 0.4])  # of common, family and own
    dense = np.diag(np.concatenate([part * variance for part in parts]))
    design = np.concatenate([x, x, x])
    fitted = sigmoid(np.array([np.log(0.88 / 0.12)]))[0]
    gain = dense @ design / (1 / (fitted * (1 - fitted)) + design @ dense @ design)
    step = gain * (0.2 - fitted) / (fitted * (1 - fitted))
    posterior = dense - np.outer(gain, design @ dense)
    engine.learn(Experience(x, 0, 0.2))
    state = engine.state()
    mean = state["mean"].copy()
    mean[0, 0] -= np.log(0.88 / 0.12)
    np.testing.assert_allclose(mean[:3].ravel(), step, rtol=1e-9)
    for place in range(3):
        block = slice(place * D, (place + 1) * D)
        np.testing.assert_allclose(state["covariance"][place], posterior[block, block], rtol=1e-9)
    assert not mean[3].any()  # the sibling's own deviation was not touched
    np.testing.assert_allclose(state["covariance"][3], np.diag(0.4 * variance))


def test_what_one_arm_teaches_its_kin_learn_most() -> None:
    engine = SharedModel(D, spread=None, kin=("family",), common=0.5, slope_precision=2.0)
    for name, family in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        engine.add_arm(arm(name, family))
    for x in contexts(300, 1):
        engine.learn(Experience(x, 0, float(x[1] > 0)))
    up, down = np.array([1.0, 2, 0, 0]), np.array([1.0, -2, 0, 0])
    slope = engine.predict(up, slots(0, 1, 2)) - engine.predict(down, slots(0, 1, 2))
    assert slope[0] > slope[1] > slope[2] > 0.05


def test_the_price_tells_of_an_arm_that_was_never_tried() -> None:
    engine = SharedModel(D, spread=None, kin=("price",), level_kinship=0.7, common=0.5)
    for name, price in (("cheap", 0.05), ("dear", 5.0), ("dearest", 20.0)):
        engine.add_arm(arm(name, price=price))
    for x in contexts(400, 1):
        engine.learn(Experience(x, 0, 0.3))
        engine.learn(Experience(x, 1, 0.8))
    x = np.array([1.0, 0, 0, 0])
    assert engine.predict(x, slots(2))[0] > 0.7
    assert engine.add_arm(arm("as cheap", price=0.05)) == 3
    assert engine.predict(x, slots(3))[0] < 0.6


def test_a_newcomer_starts_from_its_kin_with_honest_doubt() -> None:
    """Worlds drawn from the prior: newcomers' true scores lie within two deviations about as often as they should."""
    inside, distance, naive = [], [], []
    for world in range(30):
        rng = np.random.default_rng(world)
        variance = np.concatenate(([1 / 0.7], np.full(D - 1, 1 / 2.0)))
        common, family, own = (
            rng.normal(size=(count, D)) * np.sqrt(part * variance) for count, part in ((1, 0.3), (3, 0.3), (12, 0.4))
        )
        weights = common + family.repeat(4, axis=0) + own
        engine = SharedModel(
            D,
            spread=None,
            kin=("family",),
            kinship=0.6,
            level_kinship=0.6,
            common=0.5,
            slope_precision=2.0,
            intercept_precision=0.7,
            prior_quality=0.5,
        )
        for k in range(11):
            engine.add_arm(arm(f"m{k}", f"f{k // 4}"))
        for x in contexts(800, world + 100):
            k = int(rng.integers(11))
            engine.learn(Experience(x, k, float(rng.random() < sigmoid(np.array([weights[k] @ x]))[0])))
        engine.add_arm(arm("newcomer", "f2"))
        for x in contexts(5, world + 900):
            belief = engine.posterior(x, slots(11))
            gap = float(weights[11] @ x - belief.mean[0])
            inside.append(abs(gap) < 2 * belief.deviation[0])
            distance.append(gap**2)
            naive.append(float(weights[11] @ x) ** 2)
    assert np.mean(inside) > 0.88  # 0.95 if nothing were approximate
    assert np.mean(distance) < 0.8 * np.mean(naive)


def test_a_prior_of_the_arms_own_is_where_it_starts() -> None:
    engine = SharedModel(D, spread=None)
    engine.add_arm(arm("a", "x"))
    for x in contexts(100, 1):
        engine.learn(Experience(x, 0, 0.2))
    engine.add_arm(arm("b", "x", quality_prior=0.9))
    assert engine.predict(np.array([1.0, 0, 0, 0]), slots(1))[0] == pytest.approx(0.9)


def test_an_arm_that_joins_leaves_the_others_as_they_were() -> None:
    engine = SharedModel(D, spread=None)
    engine.add_arm(arm("a", "x"))
    for x in contexts(50, 1):
        engine.learn(Experience(x, 0, 0.7))
    before = engine.predict(contexts(1, 2)[0], slots(0))
    engine.add_arm(arm("b", "y", 9.0, profile={"mmlu": 0.9}))
    np.testing.assert_array_equal(engine.predict(contexts(1, 2)[0], slots(0)), before)
    twin = SharedModel(D, spread=None)
    twin.restore(engine.state())
    twin.learn(Experience(contexts(1, 3)[0], 1, 0.4))
    engine.learn(Experience(contexts(1, 3)[0], 1, 0.4))
    assert_same_state(engine.state(), twin.state())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kin": ["familly"]}, "unknown kind of trait 'familly'; did you mean 'family'"),
        ({"kinship": 1.0}, r"kinship and level_kinship must be in \[0, 1\)"),
        ({"level_kinship": 1.0}, r"kinship and level_kinship must be in \[0, 1\)"),
        ({"common": 0.0}, r"common in \(0, 1\]"),
        ({"level_common": 1.5}, r"level_common in \(0, 1\], got .* and 1.5"),
        ({"slope_precision": 0}, "precisions must be positive"),
        ({"prior_quality": 1.0}, "between 0 and 1, both excluded"),
        ({"doubt": 0.0}, "doubt must be positive"),
        ({"forgetting": 0.0}, "forgetting"),
        ({"kind": "family"}, "engine 'shared'.*kind"),
    ],
)
def test_wrong_settings_say_what_is_wrong(settings: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make_quality_model("shared", D, **settings)


def test_a_foreign_state_is_refused() -> None:
    engine = SharedModel(D, spread=None)
    engine.add_arm(arm("a"))
    with pytest.raises(SnapshotError, match="4 features per arm, this model has 3"):
        SharedModel(3).restore(engine.state())


def test_a_batch_is_the_same_as_one_by_one() -> None:
    engine = SharedModel(D, spread=None, slope_precision=2.0)
    for name in ("gpt-4", "mistral-7b", "unknown"):
        engine.add_arm(arm(name))
    for number, x in enumerate(contexts(60, 1)):
        engine.learn(Experience(x, number % 3, float(number % 2)))
    many, chosen = contexts(7, 2), slots(2, 0)
    belief = engine.posterior_many(many, chosen)
    for i, x in enumerate(many):
        one = engine.posterior(x, chosen)
        np.testing.assert_allclose(belief.mean[i], one.mean, rtol=1e-12)
        np.testing.assert_allclose(belief.deviation[i], one.deviation, rtol=1e-9)
        np.testing.assert_allclose(engine.predict_many(many, chosen)[i], engine.predict(x, chosen), rtol=1e-12)


def test_what_is_published_is_where_arms_start_and_the_traffic_corrects_it() -> None:
    engine = SharedModel(D, spread=None)
    for name in ("gpt-4", "mistral-7b", "gemma-2b"):
        engine.add_arm(arm(name))
    x = np.array([1.0, 0, 0, 0])
    start = engine.predict(x, slots(0, 1, 2))
    assert start[0] > start[1] + 0.1 > start[2]
    for y in contexts(300, 1):
        engine.learn(Experience(y, 0, 0.3))
        engine.learn(Experience(y, 2, 0.9))
    end = engine.predict(x, slots(0, 2))
    np.testing.assert_allclose(end, [0.3, 0.9], atol=0.08)


def test_the_scale_of_the_contexts_does_not_matter_for_long() -> None:
    """The same traffic in other units, and off centre, is learned alike."""
    plain, other = SharedModel(D), SharedModel(D)
    for engine in (plain, other):
        engine.add_arm(arm("a"))
        engine.add_arm(arm("b"))
    units, shift = np.array([1.0, 0.5, 3.0, 1.0]), np.array([0.0, 2.0, -1.0, 0.0])
    rng = np.random.default_rng(3)
    for x in contexts(1_500, 1):
        k = int(rng.integers(2))
        quality = float(sigmoid(np.array([(1 - 2 * k) * x[1]]))[0])
        plain.learn(Experience(x, k, quality))
        other.learn(Experience(x * units + shift, k, quality))
    for x in contexts(10, 2):
        left = plain.predict(x, slots(0, 1))
        right = other.predict(x * units + shift, slots(0, 1))
        np.testing.assert_allclose(left, right, atol=0.05)


def test_a_guess_is_doubted_more_than_what_is_published() -> None:
    engine = SharedModel(D)
    for name in ("gpt-4", "nobody", "nobody-70b"):
        engine.add_arm(arm(name))
    engine.add_arm(arm("somebody", profile={"mmlu": 0.7}))
    known, priced, sized, told = engine.state()["covariance"][
        [engine.effects.index(f"arm:{k}") for k in range(4)], 0, 0
    ]
    assert known == told
    assert priced == sized == pytest.approx(2.5 * known)


def test_levels_may_have_another_share_in_common_than_slopes() -> None:
    engine = SharedModel(D, spread=None, intercept_precision=0.5, slope_precision=2.0, common=0.6, level_common=0.9)
    engine.add_arm(Arm.of(Model("gpt-4", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)))
    covariance = dict(zip(engine.effects, engine.state()["covariance"], strict=True))
    assert covariance["common"][0, 0] == pytest.approx(0.9 * 0.917 / 0.5)
    assert covariance["common"][1, 1] == pytest.approx(0.6 * 0.82 / 2.0)
    assert covariance["ability"][0, 0] == pytest.approx(0.1 * 0.917 / 0.5)
    assert covariance["ability"][1, 1] == pytest.approx(0.4 * 0.82 / 2.0)
