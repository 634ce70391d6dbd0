"""The whole: several targets and outcomes, combinations, streams, JSON."""

import json

import numpy as np
import pytest

from armwise.errors import BadInput, UnknownName
from armwise.evaluation import (
    ESTIMATORS,
    SNIPS,
    Blocks,
    DROptimisticShrinkage,
    LoggedFeedback,
    OutcomePredictions,
    StreamingEvaluation,
    TargetPolicy,
    evaluate,
    evaluate_blocks,
)
from armwise.evaluation.intervals import normal_radius
from armwise.evaluation.targets import as_targets


@pytest.mark.parametrize("name", ["snips", "dr"])
@pytest.mark.parametrize("interval", ["normal", "bootstrap"])
def test_a_combination_equals_evaluating_the_combined_outcome(world, rng, name, interval):
    feedback, target = world.draw(2000, rng)
    weights = {"quality": 1.0, "cost_usd": -0.2}
    table = rng.random((2000, 3, 2))
    joint = evaluate(
        feedback, {"t": target}, estimator=name, interval=interval, predictions=table, rng=np.random.default_rng(1)
    ).combine(weights, "t", versus="logging")
    single = LoggedFeedback(
        arms=feedback.arms,
        arm=feedback.arm,
        propensity=feedback.propensity,
        outcomes={"u": feedback.outcomes["quality"] - 0.2 * feedback.outcomes["cost_usd"]},
        logging_probabilities=feedback.logging_probabilities,
    )
    alone = evaluate(
        single,
        {"t": target},
        estimator=name,
        interval=interval,
        predictions=table @ [1.0, -0.2],
        rng=np.random.default_rng(1),
    ).difference("t")
    assert joint.value == pytest.approx(alone.value)
    assert joint.standard_error == pytest.approx(alone.standard_error)
    assert (joint.lower, joint.upper) == pytest.approx((alone.lower, alone.upper))


def test_paired_difference_is_tighter_than_two_intervals(world, rng):
    feedback, target = world.draw(3000, rng)
    nudged = 0.98 * target + 0.02 / 3
    result = evaluate(feedback, {"a": target, "b": nudged}, estimator="snips")
    paired = result.difference("a", "b", "quality").standard_error
    assert paired < 0.1 * result.estimate("a", "quality").standard_error


def test_deterministic_target_in_both_spellings(world, rng):
    feedback, target = world.draw(500, rng)
    chosen = target.argmax(axis=1)
    result = evaluate(
        feedback, [TargetPolicy(name="i", chosen=chosen), TargetPolicy(name="p", probabilities=np.eye(3)[chosen])]
    )
    np.testing.assert_allclose(result.value[0], result.value[1])
    assert result.diagnosis["i"].arms == result.diagnosis["p"].arms


@pytest.mark.parametrize("estimator", ["snips", "dr"])
def test_blocks_equal_the_whole(world, rng, estimator):
    feedback, target = world.draw(3000, rng, judged=np.full((10, 3), 0.5))
    table = rng.random((3000, 3, 2))
    whole = evaluate(feedback, {"t": target}, estimator=estimator, predictions=table)
    stream = StreamingEvaluation(estimator=estimator)
    predictions = OutcomePredictions.from_table(table, feedback, [TargetPolicy(name="t", probabilities=target)])
    for start in range(0, 3000, 700):
        stop = min(start + 700, 3000)
        stream.update(feedback.rows(start, stop), {"t": target[start:stop]}, predictions=predictions.rows(start, stop))
    parts = stream.result()
    np.testing.assert_allclose(parts.value, whole.value)
    np.testing.assert_allclose(parts.covariance, whole.covariance)
    assert parts.diagnosis["t"].verdict == whole.diagnosis["t"].verdict
    assert parts.calibration.p_value == pytest.approx(whole.calibration.p_value)


def test_a_stream_refuses_strange_blocks(world, rng):
    feedback, target = world.draw(100, rng)
    stream = StreamingEvaluation()
    with pytest.raises(BadInput, match="log is empty"):
        stream.result()
    stream.update(feedback, {"t": target})
    with pytest.raises(BadInput, match="those before had"):
        stream.update(feedback, {"other": target})
    with pytest.raises(BadInput, match="threshold"):
        StreamingEvaluation(estimator="dr_os")
    with pytest.raises(BadInput, match="outcome model"):
        StreamingEvaluation(estimator="dr").update(feedback, {"t": target})


def test_logging_value_is_the_plain_mean(world, rng):
    feedback, target = world.draw(400, rng)
    for estimator in ("ips", "snips", "dr", "clipped_ips", "dm"):
        value = evaluate(feedback, {"t": target}, estimator=estimator).estimate("logging", "quality").value
        assert value == pytest.approx(feedback.outcomes["quality"].mean())


def test_action_sets_that_differ_by_row(rng):
    n = 20_000
    eligible = rng.random((n, 3)) < 0.7
    eligible[~eligible.any(axis=1), 0] = True
    probabilities = eligible / eligible.sum(axis=1, keepdims=True)
    arm = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    mean = np.array([0.2, 0.5, 0.8])
    last = 2 - eligible[:, ::-1].argmax(axis=1)
    feedback = LoggedFeedback(
        arms=("a", "b", "c"),
        arm=arm,
        propensity=probabilities[np.arange(n), arm],
        outcomes={"quality": (rng.random(n) < mean[arm]).astype(float)},
        eligible=eligible,
        logging_probabilities=probabilities,
    )
    result = evaluate(feedback, {"t": last}, estimator="dr").estimate("t")
    assert result.lower < mean[last].mean() < result.upper
    assert result.upper - result.lower < 0.04


def test_seeded_runs_repeat_and_inputs_stay_untouched(world):
    feedback, target = world.draw(500, np.random.default_rng(3))
    before = target.copy()
    runs = [
        evaluate(feedback, {"t": target}, interval="bootstrap", rng=np.random.default_rng(5)).to_dict()
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    np.testing.assert_array_equal(target, before)


def test_json_and_names(world, rng):
    feedback, target = world.draw(500, rng)
    result = evaluate(feedback, {"candidate": target}, estimator=DROptimisticShrinkage())
    report = json.loads(json.dumps(result.to_dict()))
    assert set(report["policies"]) == {"candidate", "logging"}
    assert set(report["policies"]["candidate"]["thresholds"]) == {"quality", "cost_usd"}
    assert "widened for the threshold's bias" in report["guarantee"]
    error = result.estimate("candidate", "quality").standard_error
    radius = normal_radius(np.array(error), 0.95, result.bias_allowance[0, 0])
    assert result.upper[0, 0] - result.centre[0, 0] == pytest.approx(float(radius))
    combined = result.combine({"cost_usd": -2.0}, "candidate")
    assert combined.upper == pytest.approx(-2.0 * result.lower[0, 1])
    with pytest.raises(UnknownName, match="did you mean 'candidate'"):
        result.estimate("candidat", "quality")
    with pytest.raises(BadInput, match="name the outcome"):
        result.estimate("candidate")


def test_comparison_with_the_log(world, rng):
    feedback, target = world.draw(5000, rng)
    result = evaluate(feedback, {"better": target, "same": feedback.logging_probabilities}, estimator=SNIPS())
    assert result.comparison("better", "quality") == "higher"
    assert result.comparison("same", "quality") == "no difference shown"


@pytest.mark.parametrize(
    ("name", "interval"),
    [(name, "normal") for name in sorted(ESTIMATORS)]
    + [("dr_os", "bootstrap"), ("ips", "betting"), ("dr", "betting"), ("mrdr", "empirical_bernstein")],
)
def test_blocks_say_what_the_whole_says(world, rng, name, interval):
    feedback, target = world.draw(1500, rng, judged=np.full((10, 3), 0.8))
    policies = {"t": target} if name == "replay" else {"t": target, "u": target[:, ::-1]}

    def options():
        return {"estimator": name, "interval": interval, "rng": np.random.default_rng(5), "force": True}

    whole = evaluate(feedback, policies, **options())
    checked, starts = as_targets(policies, feedback), range(0, feedback.n, 256)

    def read():
        for start in starts:
            part = feedback.rows(start, start + 256)
            yield part, tuple(one.rows(start, start + 256) for one in checked)

    blocks = evaluate_blocks(Blocks(rows=feedback.n, read=read), **options())
    for ours, theirs in (
        (blocks.value, whole.value),
        (blocks.lower, whole.lower),
        (blocks.upper, whole.upper),
        (blocks.covariance, whole.covariance),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)
    assert blocks.thresholds == pytest.approx(whole.thresholds)
    for policy in policies:
        assert blocks.verdict(policy) == whole.verdict(policy)
