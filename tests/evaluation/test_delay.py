"""Delayed rewards."""

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.evaluation import LoggedFeedback, arrival_probability, evaluate


def test_kaplan_meier_by_hand():
    # Delays 1, 2 seen; one row aged 1.5 still waits: S(1) = 2/3, S(2) = 2/3 * (1 - 1/1) = 0.
    found = arrival_probability(age=np.array([5.0, 5.0, 1.5]), delay=np.array([1.0, 2.0, np.nan]))
    np.testing.assert_allclose(found, [1.0, 1.0, 1 / 3])


def test_recovers_the_delay_and_the_mean():
    """Young rows are missing more often; weighting by arrival keeps the mean, zeros would lose most of it."""
    rng = np.random.default_rng(12)
    n = 20_000
    age, delay = rng.uniform(0.0, 10.0, n), rng.exponential(3.0, n)
    outcome = (rng.random(n) < np.where(age > 5, 0.3, 0.7)).astype(float)
    seen = delay <= age
    chance = arrival_probability(age=age, delay=np.where(seen, delay, np.nan))
    old = ~np.isnan(chance)
    np.testing.assert_allclose(chance[old], 1 - np.exp(-age[old] / 3), atol=0.02)
    log = LoggedFeedback(
        arms=("a", "b"),
        arm=rng.integers(0, 2, n)[old],
        propensity=np.full(n, 0.5)[old],
        outcomes={"r": np.where(seen, outcome, np.nan)[old]},
        observation_probability={"r": chance[old]},
    )
    result = evaluate(log, {"t": np.zeros(int(old.sum()), dtype=int)}, estimator="snips").estimate("t")
    assert result.value == pytest.approx(0.5, abs=0.03)
    assert np.nanmean(outcome[seen]) < 0.46


def test_bad_ages():
    with pytest.raises(BadInput, match="longer than the decision is old"):
        arrival_probability(age=[1.0], delay=[2.0])
    with pytest.raises(BadInput, match="nothing is known"):
        arrival_probability(age=[1.0], delay=[np.nan])
