"""Contexts on one scale."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.predictors.standardise import Standardiser


def test_features_end_at_the_asked_deviation_and_the_intercept_stays() -> None:
    rng = np.random.default_rng(1)
    contexts = np.column_stack((np.ones(5_000), rng.normal(3.0, 0.1, 5_000), rng.normal(-1.0, 7.0, 5_000)))
    scale = Standardiser(3, 0.25)
    for context in contexts:
        scale.see(context)
    scaled = scale(contexts)
    np.testing.assert_array_equal(scaled[:, 0], 1.0)
    np.testing.assert_allclose(scaled[:, 2].std(), 0.25, rtol=0.05)
    np.testing.assert_allclose(scaled[:, 1].std(), 0.25, rtol=0.15)  # the prior's hundred contexts still show
    np.testing.assert_allclose(scaled[:, 1:].mean(axis=0), 0.0, atol=0.2)
    np.testing.assert_array_equal(scale(contexts[7]), scaled[7])


def test_what_never_varies_grows_tenfold_at_most_and_outliers_are_held() -> None:
    scale = Standardiser(2, 0.25)
    for _ in range(1_000_000 // 100):
        scale.see(np.array([1.0, 5.0]))
    assert abs(scale(np.array([1.0, 5.0]))[1]) <= 0.75
    assert scale(np.array([1.0, 1e300]))[1] == 0.75
    assert scale(np.array([1.0, -1e300]))[1] == -0.75


def test_as_they_come() -> None:
    scale = Standardiser(2, None)
    context = np.array([1.0, 9.0])
    scale.see(context)
    assert scale(context) is context


def test_a_restored_one_goes_on_the_same() -> None:
    scale, twin = Standardiser(3, 0.25), Standardiser(3, 0.25)
    rng = np.random.default_rng(2)
    for context in rng.normal(size=(50, 3)):
        scale.see(context)
    twin.restore(scale.state())
    for context in rng.normal(size=(5, 3)):
        assert scale(context).tobytes() == twin(context).tobytes()
        scale.see(context)
        twin.see(context)


@pytest.mark.parametrize("spread", [0.0, -1.0, float("nan")])
def test_a_spread_is_positive(spread: float) -> None:
    with pytest.raises(BadInput, match="spread must be positive"):
        Standardiser(2, spread)
