"""Questions a log cannot answer are refused, and true propensities pass their test at its stated size."""

import dataclasses

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.evaluation import LoggedFeedback, evaluate, pareto_k, propensity_calibration
from armwise.evaluation.diagnostics import WeightSums


def feedback_of(probabilities, rng, **more):
    n, k = probabilities.shape
    arm = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
    return LoggedFeedback(
        arms=tuple("abcdefgh"[:k]),
        arm=arm,
        propensity=probabilities[np.arange(n), arm],
        outcomes={"quality": rng.random(n)},
        **more,
    )


def codes(result, name="t"):
    return {finding.code: finding.status for finding in result.verdict(name).findings}


def test_effective_sample_size_by_hand():
    sums = WeightSums()
    sums.add(np.array([1.0, 1.0]))
    sums.add(np.array([0.0, 2.0]))
    stats = sums.diagnostics()
    assert stats.effective_sample_size == pytest.approx(16 / 6)
    assert (stats.largest, stats.largest_share, stats.mean) == (2.0, 0.5, 1.0)


@pytest.mark.parametrize("shape", [0.3, 0.5, 0.9])
def test_pareto_k_finds_the_shape(shape):
    fits = [pareto_k(np.random.default_rng(seed).pareto(1 / shape, 20_000), 420) for seed in range(10)]
    assert np.mean(fits) == pytest.approx(shape, abs=0.08)


def test_pareto_k_of_a_constant_tail_is_none():
    assert pareto_k(np.repeat([0.0, 5.0], 500), 90) is None


def test_kept_tail_equals_whole_tail(rng):
    weight = rng.pareto(3.0, 5000)
    whole, kept = WeightSums(), WeightSums(keep=400)
    for block in np.array_split(weight, 9):
        whole.add(block)
        kept.add(block)
    assert kept.diagnostics() == whole.diagnostics()


def test_deterministic_logging_is_refused(rng):
    n = 1000
    log = LoggedFeedback(
        arms=("a", "b"), arm=rng.integers(0, 2, n), propensity=np.ones(n), outcomes={"quality": rng.random(n)}
    )
    result = evaluate(log, {"t": np.zeros(n, dtype=int)}, estimator="snips")
    assert codes(result)["deterministic_logging"] == "refused"
    assert np.isnan(result.estimate("t").value)
    assert np.isnan(result.difference("t").lower)
    assert result.comparison("t") == "refused"
    assert np.isfinite(result.estimate("logging").value)
    assert "exploration" in result.verdict("t").reasons[0]
    forced = evaluate(log, {"t": np.zeros(n, dtype=int)}, estimator="snips", force=True)
    assert np.isfinite(forced.estimate("t").value)
    same = evaluate(log, {"t": log.arm}, estimator="snips")  # a target that agrees everywhere needs no exploration
    assert same.verdict("t").status == "answerable"


def test_an_arm_never_logged_is_refused(rng):
    log = feedback_of(np.tile([0.5, 0.5, 0.0], (2000, 1)), rng)
    result = evaluate(log, {"t": np.tile([0.4, 0.4, 0.2], (2000, 1))}, estimator="snips")
    assert codes(result)["no_support"] == "refused"
    assert "never drawn: c" in result.verdict("t").reasons[0]


def test_support_missing_row_by_row_shows_in_its_slice(rng):
    n = 4000
    x = rng.integers(0, 50, n)
    probabilities = np.where((x == 0)[:, None], [1.0, 0.0], [0.5, 0.5])
    known = feedback_of(probabilities, rng, logging_probabilities=probabilities, slices={"rare": x == 0})
    result = evaluate(known, {"t": np.full((n, 2), 0.5)}, estimator="ips")
    share = (x == 0).mean() / 2
    assert result.diagnosis["t"].unsupported == pytest.approx(share)
    assert codes(result)["no_support"] == "warning"
    assert codes(result)["slice_support"] == "warning"
    by_label = {part.label: part.unsupported for part in result.diagnosis["t"].slices}
    assert by_label == {"True": pytest.approx(0.5), "False": 0.0}
    # Known from certain propensities alone, too.
    only_drawn = dataclasses.replace(known, logging_probabilities=None)
    assert evaluate(only_drawn, {"t": np.full((n, 2), 0.5)}, estimator="ips").diagnosis[
        "t"
    ].unsupported == pytest.approx(share)


def test_few_effective_rows_are_refused(rng):
    log = feedback_of(np.tile([0.99, 0.01], (1000, 1)), rng)
    assert codes(evaluate(log, {"t": np.ones(1000, dtype=int)}, estimator="ips"))["effective_sample_size"] == "refused"
    assert codes(evaluate(log, {"t": np.tile([0.93, 0.07], (1000, 1))}, estimator="ips")) == {}


def test_wrong_propensities_show_in_the_mean_weight(rng):
    log = feedback_of(np.tile([0.8, 0.2], (4000, 1)), rng)
    lied = dataclasses.replace(log, propensity=np.full(4000, 0.5))  # 1/K logged for a skewed policy
    result = evaluate(lied, {"t": np.zeros(4000, dtype=int)}, estimator="ips")
    assert codes(result)["mean_weight"] == "warning"


def test_calibration_has_its_stated_size():
    rejections = 0
    for seed in range(400):
        rng = np.random.default_rng([seed, 8])
        probabilities = rng.dirichlet([0.3, 1.0, 2.0, 0.5], 1500)
        log = feedback_of(probabilities, rng, logging_probabilities=probabilities)
        rejections += propensity_calibration(log).p_value < 0.05
    assert 8 <= rejections <= 34  # 20 expected


def test_calibration_finds_a_lie(rng):
    truth = rng.dirichlet([1.0, 1.0, 1.0], 3000)
    arm = feedback_of(truth, rng).arm
    claimed = np.full((3000, 3), 1 / 3)
    log = LoggedFeedback(
        arms=("a", "b", "c"),
        arm=arm,
        propensity=claimed[:, 0],
        outcomes={"q": truth[:, 0]},
        logging_probabilities=claimed,
    )
    # Arm totals agree with 1/3 each; flattened probabilities give themselves away only where they vary.
    flattened = 0.5 * truth + 0.5 / 3
    shaped = LoggedFeedback(
        arms=("a", "b", "c"),
        arm=arm,
        propensity=flattened[np.arange(3000), arm],
        outcomes={"q": truth[:, 0]},
        logging_probabilities=flattened,
    )
    assert propensity_calibration(log).p_value > 1e-4
    assert propensity_calibration(shaped).p_value < 1e-6
    result = evaluate(shaped, {"t": np.zeros(3000, dtype=int)}, estimator="snips")
    assert "calibration" in codes(result)


def test_calibration_needs_the_whole_distribution(rng):
    with pytest.raises(BadInput, match="logging_probabilities"):
        propensity_calibration(feedback_of(np.full((100, 2), 0.5), rng))
