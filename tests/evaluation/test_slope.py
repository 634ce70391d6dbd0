"""The choice of a threshold."""

import numpy as np

from armwise.evaluation import LoggedFeedback, evaluate
from armwise.evaluation.slope import paired_slope, slope


def test_goes_on_while_intervals_meet():
    assert slope(np.array([1.0, 1.1, 0.9]), np.array([0.5, 0.3, 0.1])) == 2
    assert slope(np.array([1.0, 1.1, 9.0]), np.array([0.5, 0.3, 0.1])) == 1
    assert slope(np.array([1.0, 5.0, 1.0]), np.array([0.1, 0.1, 0.1])) == 0


def test_stops_exactly_at_the_published_margin():
    margin = 0.1 + (np.sqrt(6) - 1) * 0.5
    assert slope(np.array([0.0, margin - 1e-9]), np.array([0.5, 0.1])) == 1
    assert slope(np.array([0.0, margin + 1e-9]), np.array([0.5, 0.1])) == 0


def test_paired_widths_see_the_bias_of_candidates_that_move_together():
    estimates, covariance = np.array([1.0, 0.9]), np.array([[1.0, 0.999], [0.999, 1.0]])
    assert slope(estimates, 1.96 * np.sqrt(np.diag(covariance))) == 1
    assert paired_slope(estimates, covariance) == 0
    assert paired_slope(estimates, np.eye(2)) == 1


def test_tuned_clipping_beats_ips_under_heavy_weights():
    """Rare logging of the target's arm: clipping trades a little bias for much variance."""
    errors = {"ips": [], "clipped_ips": [], "dr_os": [], "switch_dr": []}
    for seed in range(40):
        rng = np.random.default_rng([seed, 9])
        n = 400
        p = rng.beta(0.4, 2.0, n).clip(1e-3, 1 - 1e-3)
        arm = (rng.random(n) < p).astype(int)
        log = LoggedFeedback(
            arms=("a", "b"),
            arm=arm,
            propensity=np.where(arm == 1, p, 1 - p),
            outcomes={"r": (rng.random(n) < 0.5 + 0.2 * arm).astype(float)},
        )
        for name, found in errors.items():
            found.append(evaluate(log, {"t": np.ones(n, dtype=int)}, estimator=name, force=True).value[0, 0] - 0.7)
    rmse = {name: float(np.sqrt(np.mean(np.square(found)))) for name, found in errors.items()}
    assert rmse["clipped_ips"] < rmse["ips"]
    assert rmse["dr_os"] < rmse["ips"]
    assert rmse["switch_dr"] < rmse["ips"]
