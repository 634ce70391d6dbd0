"""Variances from the logged probabilities."""

import numpy as np
import pytest

from armwise.evaluation import ESTIMATORS, LoggedFeedback, TargetPolicy, evaluate
from armwise.evaluation.design import DesignMoments
from armwise.evaluation.estimators import Rows, Tunable, estimator_named
from armwise.evaluation.intervals import normal_radius
from armwise.evaluation.slope import REFERENCE_ROWS, Tuner, Tuning


def test_second_moment_by_hand():
    """One column, w y: two arms of 1/4 and 3/4 on every row, a target that wants the first."""
    n = 4000
    table = np.tile([0.25, 0.75], (n, 1))
    weights = np.tile([4.0, 0.0], (n, 1))
    arm = np.r_[np.zeros(1000, dtype=int), np.ones(n - 1000, dtype=int)]
    y = np.where(np.arange(n) % 2, 3.0, 1.0)
    drawn = weights[np.arange(n), arm]
    design = DesignMoments(arms=2, group=np.array([0]))
    design.add((drawn * y)[:, None], drawn[:, None], arm, table, [weights])
    exact = 0.25 * 4.0**2 * 5.0  # p w^2 E[y^2]
    assert design.correction()[0, 0] + np.mean((drawn * y) ** 2) == pytest.approx(exact)
    assert design.effective_rows[0] == pytest.approx(n / 4)


def test_a_tail_that_was_not_drawn_is_in_the_standard_error():
    """The target's arm comes up in one row of 2,000 on a tenth of the traffic: most logs hold not one such row."""
    n, p = 2000, np.array([[0.5, 0.5], [1 / 2000, 1 - 1 / 2000]])
    errors, sampled, known, ess = [], [], [], []
    for seed in range(60):
        rng = np.random.default_rng([seed, 4])
        table = p[(rng.random(n) < 0.1).astype(int)]
        arm = (rng.random(n) >= table[:, 0]).astype(int)
        reward = (rng.random(n) < 0.5).astype(float)
        parts = {"arms": ("a", "b"), "arm": arm, "propensity": table[np.arange(n), arm], "outcomes": {"r": reward}}
        target = {"t": np.zeros(n, dtype=int)}
        bare = evaluate(LoggedFeedback(**parts), target, estimator="ips", force=True)
        whole = evaluate(LoggedFeedback(**parts, logging_probabilities=table), target, estimator="ips", force=True)
        assert bare.value[0, 0] == whole.value[0, 0]
        errors.append(whole.value[0, 0] - 0.5)
        sampled.append(bare.estimate("t").standard_error)
        known.append(whole.estimate("t").standard_error)
        ess.append(whole.diagnosis["t"].weights["r"].effective_sample_size)
        assert ess[-1] <= bare.diagnosis["t"].weights["r"].effective_sample_size
    truth = np.sqrt(((0.9 * 2 + 0.1 * 2000) * 0.5 - 0.25) / n)
    assert np.median(known) == pytest.approx(truth, rel=0.25)
    assert np.std(known) / np.mean(known) < 0.3
    assert np.median(sampled) < 0.2 * truth
    assert max(ess) < 30  # 2,000 rows promise about ten


def test_errors_are_normal_on_the_scale_of_the_standard_error():
    """A floor of 1% under the target's arm, outcome models without features: a log worth 60 rows of 1,500."""
    n, scaled, bare = 1500, {}, {}
    for seed in range(100):
        rng = np.random.default_rng([seed, 5])
        x = rng.random(n)
        table = np.column_stack([np.maximum(0.01, 0.6 * x**2), np.zeros(n)])
        table[:, 1] = 1 - table[:, 0]
        arm = (rng.random(n) >= table[:, 0]).astype(int)
        quality = np.array([0.7, 0.4])[arm] + 0.2 * (x - 0.5)
        parts = {
            "arms": ("a", "b"),
            "arm": arm,
            "propensity": table[np.arange(n), arm],
            "outcomes": {"r": (rng.random(n) < quality).astype(float)},
        }
        for found, log in (
            (scaled, LoggedFeedback(**parts, logging_probabilities=table)),
            (bare, LoggedFeedback(**parts)),
        ):
            for name in ("ips", "snips", "dr", "mrdr"):
                e = evaluate(log, {"t": np.zeros(n, dtype=int)}, estimator=name, force=True).estimate("t")
                found.setdefault(name, []).append((e.value - 0.7) / e.standard_error)
    for name, z in scaled.items():
        assert np.mean(np.abs(z) < 1.96) >= 0.89, name  # 95% less three standard errors of 100 runs
        assert np.mean(np.square(z)) < np.mean(np.square(bare[name])), name


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - {"replay", "dm"}))
def test_terms_are_the_weights_times_something_light(name):
    rng = np.random.default_rng(0)
    rule = estimator_named(name)
    if isinstance(rule, Tunable):
        rule = rule.at(0.5)
    weight, outcome, logged = rng.exponential(size=50), rng.random((50, 1)), rng.random((50, 1))
    rows = Rows(weight=weight, outcome=outcome, observation=np.ones((1, 1)), logged=logged, direct=logged)
    light = outcome - logged if rule.uses_model else outcome
    np.testing.assert_allclose(rule.terms(rows).weighted, rule.weigh(weight)[:, None] * light)


def test_the_critical_value_of_a_bounded_bias():
    """Armstrong & Kolesar (2018), table 1."""
    got = normal_radius(np.ones(4), 0.95, np.array([0.0, 0.1, 0.5, 1.0]))
    np.testing.assert_allclose(got, [1.960, 1.970, 2.181, 2.646], atol=2e-3)
    assert normal_radius(np.array(0.0), 0.95, 0.3) == pytest.approx(0.3)
    assert normal_radius(np.array(0.01), 0.95, 1.0) == pytest.approx(1.0 + 1.6449 * 0.01, rel=1e-4)


def test_the_reference_shrinks_only_what_the_central_limit_cannot_carry(world, rng):
    feedback, target = world.draw(2000, rng)
    table, policy = feedback.logging_probabilities, TargetPolicy(name="t", probabilities=target)
    rule = estimator_named("clipped_ips")
    assert isinstance(rule, Tunable)
    weight = target[np.arange(2000), feedback.arm] / feedback.propensity
    rows = Rows(weight=weight, outcome=feedback.outcomes["quality"][:, None], observation=np.ones((1, 1)))

    def tuned(tuner: Tuner, tail: np.ndarray) -> Tuning:
        while not tuner.settled:
            tuner.look(policy.weights(tail), tail)
            tuner.step()
        tuner.add(rows, policy.weights(tail), tail)
        return tuner.tunings()[0]

    light = Tuner(rule, weight, 1)
    found = tuned(light, table)
    assert found.reference == light.reference == rule.candidates(weight)[0]
    assert found.lost == 0.0
    assert found.bias(0.1, 1.96) == 0.0
    thin = table.copy()
    thin[:5] = [1e-6, 1e-6, 1 - 2e-6]  # five rows whose weights would outweigh all others
    heavy = Tuner(rule, weight, 1, [1e7, *rule.candidates(weight)])
    heavy.look(policy.weights(thin), thin)
    assert heavy.carrying < REFERENCE_ROWS
    found = tuned(Tuner(rule, weight, 1, [1e7, *rule.candidates(weight)]), thin)
    assert found.reference < 1e7
    assert 0 < found.lost < 5 / 2000 + 1e-9


def test_what_the_weights_leave_out_is_said():
    rng = np.random.default_rng(3)
    n = 1000
    table = np.where(rng.random(n)[:, None] < 0.9, [0.5, 0.5], [1e-5, 1 - 1e-5])
    arm = (rng.random(n) >= table[:, 0]).astype(int)
    log = LoggedFeedback(
        arms=("a", "b"),
        arm=arm,
        propensity=table[np.arange(n), arm],
        outcomes={"r": (rng.random(n) < 0.5).astype(float)},
        logging_probabilities=table,
    )
    result = evaluate(log, {"t": np.zeros(n, dtype=int)}, estimator="dr_os")
    assert any("drew too rarely to be weighed" in reason for reason in result.verdict("t").reasons)
    assert result.bias_allowance[0, 0] > 0
    assert evaluate(log, {"t": np.zeros(n, dtype=int)}, estimator="dr").verdict("t").status == "refused"
    dm = evaluate(log, {"t": np.zeros(n, dtype=int)}, estimator="dm", force=True).verdict("t")
    assert any("leaves out the error of the outcome model" in reason for reason in dm.reasons)
