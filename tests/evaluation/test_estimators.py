"""Each estimator by hand, then on a world whose truth is known."""

import numpy as np
import pytest

from armwise.errors import BadInput, UnknownName
from armwise.evaluation import (
    ESTIMATORS,
    ClippedIPS,
    DROptimisticShrinkage,
    LoggedFeedback,
    OutcomePredictions,
    SubGaussianIPS,
    SwitchDR,
    evaluate,
)
from armwise.evaluation.estimators import Rows, estimator_named

# Four rows, weights 2, 1/2, 0, 4; q at the logged arm and under the target.
ROWS = Rows(
    weight=np.array([2.0, 0.5, 0.0, 4.0]),
    outcome=np.array([[1.0], [0.0], [1.0], [0.5]]),
    observation=np.ones((1, 1)),
    logged=np.array([[0.5], [0.5], [0.5], [0.5]]),
    direct=np.array([[0.6], [0.4], [0.2], [0.8]]),
    weight_bound=4.0,
    uniform=np.array([0.4, 0.2, 0.0, 0.9]),
)


def value(estimator, rows=ROWS):
    terms = estimator.terms(rows)
    below = 1.0 if terms.normaliser is None else terms.normaliser.mean(axis=0)
    direct = 0.0 if terms.direct is None else terms.direct.mean(axis=0)
    return float(np.ravel(direct + terms.weighted.mean(axis=0) / below)[0])


@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        (estimator_named("ips"), (2 + 2) / 4),
        (estimator_named("snips"), 4 / 6.5),
        (ClippedIPS(threshold=1.0), (1 + 0.5) / 4),
        (SubGaussianIPS(threshold=0.5), (2 / 1.5 + 0.5 * 4 / 2.5) / 4),
        (estimator_named("dm"), 0.5),
        (estimator_named("dr"), 0.5 + (1.0 - 0.25) / 4),
        (estimator_named("mrdr"), 0.5 + (1.0 - 0.25) / 4),
        (estimator_named("sndr"), 0.5 + (1.0 - 0.25) / 6.5),
        (SwitchDR(threshold=1.0), 0.5 - 0.25 / 4),
        (DROptimisticShrinkage(threshold=1.0), 0.5 + (2 / 5 * 0.5 - 0.5 / 1.25 * 0.5) / 4),
        (estimator_named("replay"), (1 + 0.5) / 2),  # accepted: w > 4u, that is the first and the last
    ],
)
def test_by_hand(estimator, by_hand):
    assert value(estimator) == pytest.approx(by_hand)


def test_thresholds_reach_their_limits():
    assert value(ClippedIPS(threshold=1e9)) == pytest.approx(value(estimator_named("ips")))
    assert value(SubGaussianIPS(threshold=0.0)) == pytest.approx(value(estimator_named("ips")))
    assert value(SubGaussianIPS(threshold=1e-9)) == pytest.approx(value(estimator_named("ips")))
    for kind in (SwitchDR, DROptimisticShrinkage):
        assert value(kind(threshold=1e12)) == pytest.approx(value(estimator_named("dr")))
    assert value(DROptimisticShrinkage(threshold=0.0)) == pytest.approx(value(estimator_named("dm")))


def test_li_replay_keeps_agreeing_rows_of_a_uniform_log(rng):
    arm = np.array([0, 1] * 100)
    outcome = rng.random(200)
    feedback = LoggedFeedback(arms=("a", "b"), arm=arm, propensity=np.full(200, 0.5), outcomes={"r": outcome})
    result = evaluate(feedback, {"first": np.zeros(200, dtype=int)}, estimator="replay", rng=rng)
    assert result.estimate("first").value == pytest.approx(outcome[arm == 0].mean())


def test_unknown_name_suggests():
    with pytest.raises(UnknownName, match="did you mean 'snips'"):
        estimator_named("snps")


UNBIASED = ("replay", "ips", "snips", "dr", "sndr", "mrdr")


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_close_to_the_truth_over_many_logs(world, name):
    errors, spread = [], []
    for seed in range(40):
        rng = np.random.default_rng([seed, 1])
        feedback, target = world.draw(800, rng)
        result = evaluate(feedback, {"t": target}, estimator=name, rng=rng)
        errors.append(result.value[0] - [world.truth(world.target, "quality"), world.truth(world.target, "cost_usd")])
        spread.append(result.estimate("t", "quality").standard_error)
    mean, error = np.mean(errors, axis=0), np.std(errors, axis=0) / np.sqrt(40)
    slack = 0.0 if name in UNBIASED else np.array([0.06, 0.15])  # tuned ones and the model may keep some bias
    assert (np.abs(mean) < 4 * error + slack).all()
    if name in UNBIASED:  # the standard error says how much the estimate really varies
        assert np.mean(spread) == pytest.approx(np.std(errors, axis=0)[0], rel=0.35)


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "sndr", "mrdr"])
def test_judged_subset(world, name):
    """Judging depends on context and arm; weighting by its probability undoes it, and zeros would not."""
    judged = np.linspace(0.2, 0.9, 30).reshape(10, 3)
    values, naive = [], []
    for seed in range(40):
        feedback, target = world.draw(800, np.random.default_rng([seed, 2]), judged=judged)
        result = evaluate(feedback, {"t": target}, estimator=name)
        values.append([result.estimate(who, "quality").value for who in ("t", "logging")])
        naive.append(np.nan_to_num(feedback.outcomes["quality"]).mean())
    truth = [world.truth(world.target, "quality"), world.truth(world.logging, "quality")]
    error = np.std(values, axis=0) / np.sqrt(40)
    assert (np.abs(np.mean(values, axis=0) - truth) < 4 * error).all()
    assert abs(np.mean(naive) - truth[1]) > 0.1


def test_a_right_model_shrinks_the_error(world, rng):
    feedback, target = world.draw(3000, rng)
    ips = evaluate(feedback, {"t": target}, estimator="ips").estimate("t", "cost_usd")
    dr = evaluate(feedback, {"t": target}, estimator="dr").estimate("t", "cost_usd")
    assert dr.standard_error < 0.6 * ips.standard_error


def test_given_predictions_equal_their_contraction(world, rng):
    feedback, target = world.draw(500, rng)
    table = rng.random((500, 3, 2))
    first = evaluate(feedback, {"t": target}, predictions=table)
    direct = np.einsum("nk,nkm->nm", target, table)[:, None]
    logged = table[np.arange(500), feedback.arm][:, None]
    second = evaluate(feedback, {"t": target}, predictions=OutcomePredictions(logged=logged, direct=direct))
    np.testing.assert_allclose(first.value, second.value)
    with pytest.raises(BadInput, match="cover 1 outcome"):
        evaluate(feedback, {"t": target}, predictions=table[:, :, 0])
