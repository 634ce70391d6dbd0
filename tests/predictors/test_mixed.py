"""The default engine: two beliefs about how much arms differ, and how the traffic chooses between them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from armwise.arrays import sigmoid
from armwise.contracts import Arm, Experience, Model
from armwise.errors import BadInput, SnapshotError
from armwise.predictors import MixedModel, SharedModel, make_quality_model
from helpers import assert_same_state, contexts

D = 6


def arms(*names: str) -> list[Arm]:
    return [Arm.of(Model(name, input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)) for name in names]


def made(*names: str, **settings: object) -> MixedModel:
    engine = MixedModel(D, spread=None, **settings)
    for arm in arms(*names):
        engine.add_arm(arm)
    return engine


def slots(*which: int) -> np.ndarray:
    return np.array(which, dtype=np.intp)


def taught(differ: float, lessons: int = 1500, seed: int = 0) -> MixedModel:
    """Two arms whose slopes are alike but for ``differ``, in opposite directions."""
    engine, rng = made("gpt-4", "mixtral-8x7b"), np.random.default_rng(seed)
    slope = rng.normal(size=D - 1)
    slope *= differ / np.linalg.norm(slope)
    for number, x in enumerate(0.25 * contexts(lessons, seed + 1, D) + np.eye(D)[0] * 0.75):
        k = number % 2
        score = 0.5 + (1.0 - 2.0 * k) * float(slope @ x[1:])
        engine.learn(Experience(x, k, float(rng.random() < sigmoid(np.array([score]))[0])))
    return engine


def test_the_traffic_chooses_between_the_beliefs() -> None:
    assert made("a", "b").weight == pytest.approx(0.8)
    alike = [taught(0.0, lessons=3000, seed=seed).weight for seed in range(4)]
    unlike = [taught(4.0, seed=seed).weight for seed in range(4)]
    assert max(alike) < 0.5 < 0.95 < min(unlike)


def test_a_weight_is_the_prior_times_the_likelihood_of_each_lesson_before_it() -> None:
    engine = made("a", "b", loose=0.3)
    both = {"spread": None, "level_common": 0.78}
    tight = SharedModel(D, slope_precision=4.35, kinship=0.913, common=0.905, **both)
    loose = SharedModel(D, slope_precision=2.67, kinship=0.76, common=0.67, **both)
    for arm in arms("a", "b"):
        tight.add_arm(arm)
        loose.add_arm(arm)
    odds = math.log(0.3 / 0.7)
    for number, x in enumerate(contexts(40, 3, D)):
        lesson = Experience(x, number % 2, (number % 5) / 4.0, weight=0.5)
        odds += loose.learn_foretold(lesson) - tight.learn_foretold(lesson)
        engine.learn(lesson)
    assert engine.weight == pytest.approx(1.0 / (1.0 + math.exp(-odds)), rel=1e-9)
    assert_same_state(engine.tight.state(), tight.state())
    x, both = contexts(1, 9, D)[0], slots(0, 1)
    one, other, belief = tight.posterior(x, both), loose.posterior(x, both), engine.posterior(x, both)
    w = engine.weight
    np.testing.assert_allclose(belief.mean, (1 - w) * one.mean + w * other.mean, rtol=1e-12)
    contrast = (other.mean - one.mean)[0] - (other.mean - one.mean)[1]
    variance = (1 - w) * one.deviation**2 + w * other.deviation**2 + w * (1 - w) * (contrast / 2) ** 2
    np.testing.assert_allclose(belief.deviation**2, variance, rtol=1e-9)


def test_a_lesson_is_as_likely_as_its_belief_says() -> None:
    """Against the integral over the score that the approximation stands for."""
    engine = SharedModel(D, spread=None, slope_precision=2.0)
    engine.add_arm(arms("a")[0])
    x = contexts(1, 2, D)[0]
    state = engine.state()
    loading = state["loading"][0]
    mean = float(loading @ (state["mean"] @ x))
    variance = float(loading**2 @ [x @ covariance @ x for covariance in state["covariance"]])
    scores = np.random.default_rng(0).normal(mean, math.sqrt(variance), 200_000)
    expected = float(sigmoid(scores).mean())
    assert math.exp(engine.learn_foretold(Experience(x, 0, 1.0))) == pytest.approx(expected, rel=0.02)


def test_a_correction_moves_no_weight_and_a_share_of_a_lesson_its_share() -> None:
    engine = made("a", "b")
    lesson = Experience(contexts(1, 4, D)[0], 0, 1.0)
    engine.learn(lesson)
    before = engine.weight
    engine.learn(lesson._replace(quality=0.0, replaces=1.0, replaced_weight=1.0))
    assert engine.weight == before
    engine.learn(lesson._replace(weight=0.0))
    assert engine.weight == before


def test_no_traffic_is_so_long_that_other_traffic_could_not_turn_it() -> None:
    engine = taught(4.0, lessons=4000)
    assert 0.999 < engine.weight < 1.0 - 1e-5


def test_a_batch_is_the_same_as_one_by_one() -> None:
    for differ in (0.0, 1.5, 4.0):
        engine = taught(differ, lessons=400)
        many, chosen = contexts(7, 2, D), slots(0, 1)
        belief, quality = engine.posterior_many(many, chosen), engine.predict_many(many, chosen)
        for i, x in enumerate(many):
            one = engine.posterior(x, chosen)
            np.testing.assert_allclose(belief.mean[i], one.mean, rtol=1e-9)
            np.testing.assert_allclose(belief.deviation[i], one.deviation, rtol=1e-9)
            np.testing.assert_allclose(quality[i], engine.predict(x, chosen), rtol=1e-9)


def test_it_goes_on_from_its_state_bit_for_bit() -> None:
    engine = MixedModel(D)
    for arm in arms("a", "b", "c"):
        engine.add_arm(arm)
    for number, x in enumerate(contexts(50, 5, D)):
        engine.learn(Experience(x, number % 3, float(number % 2)))
    twin = MixedModel(D)
    twin.restore(engine.state())
    for number, x in enumerate(contexts(20, 6, D)):
        for one in (engine, twin):
            one.learn(Experience(x, number % 3, 0.5))
    assert_same_state(engine.state(), twin.state())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loose": 1.0}, "loose must be between 0 and 1, both excluded, got 1.0"),
        ({"loose_precision": 0.0}, "precisions must be positive"),
        ({"kin": "familly"}, "unknown kind of trait 'familly'; did you mean 'family'"),
        ({"spread": 0.0}, "spread must be positive"),
        ({"lose": 0.5}, "engine 'mixed'.*'lose'.*did you mean 'loose'"),
    ],
)
def test_wrong_settings_say_what_is_wrong(settings: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make_quality_model("mixed", D, **settings)


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(SnapshotError, match="another engine than mixed"):
        MixedModel(D).restore(SharedModel(D).state())
    with pytest.raises(SnapshotError, match="6 features per arm, this model has 3"):
        MixedModel(3).restore(made("a").state())
