"""The reliability curve: by hand, and at its stated chance level."""

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.evaluation import reliability


def test_by_hand():
    curve = reliability(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0.0, 1.0, 1.0, 1.0]), bins=2)
    np.testing.assert_allclose(curve.predicted, [0.2, 0.8])
    np.testing.assert_allclose(curve.observed, [0.5, 1.0])
    assert curve.count.tolist() == [2, 2]
    assert curve.error == pytest.approx(0.5 * 0.3 + 0.5 * 0.2)
    assert curve.chance == pytest.approx(0.5 * 0.5 / np.sqrt(2) * np.sqrt(2 / np.pi))
    assert curve.brier == pytest.approx((0.04 + 0.64 + 0.04 + 0.04) / 4)
    assert curve.brier_of_mean == pytest.approx(3 / 16)


def test_a_calibrated_predictor_errs_by_chance_alone():
    errors, chances = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.random(2_000)
        curve = reliability(p, (rng.random(2_000) < p).astype(float))
        errors.append(curve.error)
        chances.append(curve.chance)
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.08)


def test_a_predictor_that_is_off_is_found_out(rng):
    p = rng.random(5_000)
    curve = reliability(p, (rng.random(5_000) < 0.5 + (p - 0.5) / 2).astype(float))
    assert curve.error == pytest.approx(0.125, abs=0.02)
    assert curve.observed[0] > curve.predicted[0]
    assert curve.observed[-1] < curve.predicted[-1]


def test_equal_predictions_make_one_bin():
    curve = reliability(np.full(100, 0.7), np.repeat([0.0, 1.0], 50))
    assert len(curve.count) == 1
    assert curve.error == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("predicted", "observed", "says"),
    [
        ([], [], "at least one row"),
        ([0.5], [0.5, 0.5], "two vectors of one length"),
        ([1.2], [0.5], r"predicted must be within \[0, 1\]"),
        ([0.5], [np.nan], r"observed must be within \[0, 1\]"),
    ],
)
def test_bad_input_is_refused(predicted, observed, says):
    with pytest.raises(BadInput, match=says):
        reliability(np.array(predicted), np.array(observed))


def test_bins_must_be_positive():
    with pytest.raises(BadInput, match="bins must be at least 1"):
        reliability(np.array([0.5]), np.array([1.0]), bins=0)
