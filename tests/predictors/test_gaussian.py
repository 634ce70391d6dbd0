"""The two numpy engines against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.arrays import sigmoid
from armwise.contracts import Arm, Experience
from armwise.errors import BadInput, SnapshotError
from armwise.predictors import LinearModel, LogisticModel
from helpers import contexts, model

D = 6
ALL = np.arange(2, dtype=np.intp)


def two_arms(kind: type, **parameters: float) -> LinearModel | LogisticModel:
    engine = kind(D, **parameters)
    for name in ("a", "b"):
        engine.add_arm(Arm.of(model(name)))
    return engine


def test_linear_learning_one_by_one_is_batch_ridge() -> None:
    engine = two_arms(LinearModel, slope_precision=3.0, intercept_precision=0.5, prior_quality=0.6)
    x = contexts(200, 4, D)
    y = np.random.default_rng(4).random(200)
    for row, quality in zip(x, y, strict=True):
        engine.learn(Experience(row, 1, quality))
    precision = np.diag([0.5, *[3.0] * (D - 1)])
    prior = np.array([0.6, *[0.0] * (D - 1)])
    weights = prior + np.linalg.solve(precision + x.T @ x, x.T @ (y - x @ prior))
    state = engine.state()
    np.testing.assert_allclose(state["mean"][1], weights, atol=1e-11)
    np.testing.assert_allclose(state["covariance"][1], np.linalg.inv(precision + x.T @ x), atol=1e-12)
    np.testing.assert_array_equal(state["mean"][0], prior)  # the other arm learned nothing


def test_linear_order_does_not_matter() -> None:
    x, y = contexts(50, 1, D), np.random.default_rng(1).random(50)
    means = []
    for order in (range(50), reversed(range(50))):
        engine = two_arms(LinearModel)
        for i in order:
            engine.learn(Experience(x[i], 0, y[i]))
        means.append(engine.state()["mean"])
    np.testing.assert_allclose(means[0], means[1], atol=1e-12)


def test_linear_weight_is_repetition() -> None:
    once, twice = two_arms(LinearModel), two_arms(LinearModel)
    x = contexts(1, 1, D)[0]
    once.learn(Experience(x, 0, 0.3, weight=2.0))
    twice.learn(Experience(x, 0, 0.3))
    twice.learn(Experience(x, 0, 0.3))
    np.testing.assert_allclose(once.state()["mean"], twice.state()["mean"], atol=1e-12)
    np.testing.assert_allclose(once.state()["covariance"], twice.state()["covariance"], atol=1e-12)


def test_linear_correction_is_exact_however_late() -> None:
    x, y = contexts(30, 2, D), np.random.default_rng(2).random(30)
    corrected, right = two_arms(LinearModel), two_arms(LinearModel)
    for i, row in enumerate(x):
        corrected.learn(Experience(row, 0, 0.0 if i == 3 else y[i]))
        right.learn(Experience(row, 0, y[i]))
    corrected.learn(Experience(x[3], 0, y[3], replaces=0.0))
    np.testing.assert_allclose(corrected.state()["mean"], right.state()["mean"], atol=1e-12)
    assert corrected.lessons == right.lessons == 30


def test_logistic_first_lesson_is_a_hand_sized_newton_step() -> None:
    engine = LogisticModel(2, slope_precision=4.0, intercept_precision=1.0, prior_quality=0.5)
    engine.add_arm(Arm.of(model("a")))
    engine.learn(Experience(np.array([1.0, 2.0]), 0, 1.0))
    # prior mean 0, p = 1/2, curvature 1/4; H = diag(1, 4) + x x' / 4 = [[1.25, 0.5], [0.5, 5]], g = x / 2
    hessian = np.array([[1.25, 0.5], [0.5, 5.0]])
    np.testing.assert_allclose(engine.state()["mean"][0], np.linalg.solve(hessian, [0.5, 1.0]), atol=1e-15)
    np.testing.assert_allclose(engine.state()["covariance"][0], np.linalg.inv(hessian), atol=1e-15)
    np.testing.assert_allclose(engine.state()["mean"][0], [1 / 3, 1 / 6])


def test_logistic_recovers_the_weights_that_made_the_data() -> None:
    engine = two_arms(LogisticModel, slope_precision=1.0)
    weights = np.array([0.5, 1.0, -1.0, 0.0, 0.5, 0.0])
    x = contexts(4_000, 3, D)
    for row, quality in zip(x, sigmoid(x @ weights), strict=True):
        engine.learn(Experience(row, 0, float(quality)))
    assert np.abs(engine.state()["mean"][0] - weights).max() < 0.08


def test_logistic_correction_moves_towards_the_truth() -> None:
    x, y = contexts(40, 2, D), np.random.default_rng(2).random(40)
    wrong, corrected, right = (two_arms(LogisticModel) for _ in range(3))
    for i, row in enumerate(x):
        for engine in (wrong, corrected):
            engine.learn(Experience(row, 0, 0.0 if i == 39 else y[i]))
        right.learn(Experience(row, 0, y[i]))
    corrected.learn(Experience(x[39], 0, y[39], replaces=0.0))
    distance = [np.linalg.norm(e.state()["mean"] - right.state()["mean"]) for e in (corrected, wrong)]
    assert distance[0] < 0.15 * distance[1]


@pytest.mark.parametrize("kind", [LinearModel, LogisticModel])
def test_predictions_are_qualities_and_posteriors_shrink(kind: type) -> None:
    engine = two_arms(kind)
    x = contexts(100, 5, D)
    first = engine.posterior(x[0], ALL).deviation
    for row in x:
        engine.learn(Experience(row, 0, 1.0))
        assert (engine.predict(row, ALL) >= 0).all()
        assert (engine.predict(row, ALL) <= 1).all()
    last = engine.posterior(x[0], ALL).deviation
    assert last[0] < 0.6 * first[0]
    assert last[1] == first[1]


@pytest.mark.parametrize("kind", [LinearModel, LogisticModel])
def test_forgetting_follows_a_change_and_stays_within_the_prior(kind: type) -> None:
    steady, forgetful = two_arms(kind), two_arms(kind, forgetting=0.97)
    x = contexts(600, 6, D)
    for engine in (steady, forgetful):
        for i, row in enumerate(x):
            engine.learn(Experience(row, 0, 0.9 if i < 400 else 0.2))
    middle = np.eye(D)[0]
    assert abs(forgetful.predict(middle, ALL)[0] - 0.2) < 0.1
    assert forgetful.predict(middle, ALL)[0] < steady.predict(middle, ALL)[0] - 0.1
    prior = two_arms(kind).state()["covariance"][0]
    assert (np.diagonal(forgetful.state()["covariance"][0]) <= np.diagonal(prior) * (1 + 1e-12)).all()


@pytest.mark.parametrize("kind", [LinearModel, LogisticModel])
def test_the_prior_of_a_model_is_its_first_prediction(kind: type) -> None:
    engine = kind(D, prior_quality=0.7)
    engine.add_arm(Arm.of(model("plain")))
    engine.add_arm(Arm.of(model("known", quality_prior=0.4)))
    np.testing.assert_allclose(engine.predict(np.eye(D)[0], ALL), [0.7, 0.4])


def test_twenty_thousand_updates_do_not_drift() -> None:
    engine = LinearModel(3)
    engine.add_arm(Arm.of(model("a")))
    x = contexts(20_000, 7, 3)
    for row in x:
        engine.learn(Experience(row, 0, 0.5))
    exact = np.linalg.inv(np.diag([0.7, 2.0, 2.0]) + x.T @ x)
    np.testing.assert_allclose(engine.state()["covariance"][0], exact, rtol=1e-7, atol=1e-12)


def test_a_state_of_another_dimension_is_refused() -> None:
    with pytest.raises(SnapshotError, match="6 features per arm, this model has 4"):
        LogisticModel(4).restore(two_arms(LogisticModel).state())


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"forgetting": 1.1}, "forgetting"),
        ({"slope_precision": 0.0}, "precisions must be positive"),
        ({"prior_quality": 1.0}, "prior_quality"),
    ],
)
def test_parameters_out_of_range(parameters: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        LogisticModel(4, **parameters)
    with pytest.raises(BadInput, match="dimension"):
        LogisticModel(0)


@pytest.mark.parametrize(("weight", "replaced"), [(1.0, 1.0), (0.9, 0.35), (0.2, 0.8), (0.0, 0.6)])
def test_linear_correction_of_quality_and_weight_is_exact_however_late(weight: float, replaced: float) -> None:
    x, y = contexts(30, 2, D), np.random.default_rng(2).random(30)
    corrected, right = two_arms(LinearModel), two_arms(LinearModel)
    for i, row in enumerate(x):
        corrected.learn(Experience(row, 0, 0.1 if i == 3 else y[i], weight=replaced if i == 3 else 1.0))
        if i != 3 or weight:
            right.learn(Experience(row, 0, y[i], weight=weight if i == 3 else 1.0))
    corrected.learn(Experience(x[3], 0, y[3], weight=weight, replaces=0.1, replaced_weight=replaced))
    for name in ("mean", "covariance"):
        np.testing.assert_allclose(corrected.state()[name], right.state()[name], atol=1e-12)
    assert corrected.lessons == right.lessons


@pytest.mark.parametrize("kind", [LinearModel, LogisticModel])
def test_what_is_taken_back_a_hundred_times_leaves_a_belief(kind: type) -> None:
    engine = two_arms(kind)
    x = contexts(100, 3, D)
    for row in x:
        engine.learn(Experience(row, 0, 1.0))
    for row in x:
        engine.learn(Experience(row, 0, 1.0, weight=0.0, replaces=1.0))
    assert engine.lessons == 0
    state, prior = engine.state(), two_arms(kind).state()
    assert np.linalg.eigvalsh(state["covariance"][0]).min() > 0
    if kind is LinearModel:
        np.testing.assert_allclose(state["mean"][0], prior["mean"][0], atol=1e-10)
        np.testing.assert_allclose(state["covariance"][0], prior["covariance"][0], atol=1e-10)
