"""Logged feedback: accepted rounds are those that the policy would have met by itself."""

import numpy as np
import pytest

from armwise.contracts import Outcome
from armwise.errors import BadInput
from armwise.simulation import parse_study, replay
from armwise.simulation.sweep import run_cells
from armwise.simulation.worlds import LoggedWorld, SyntheticWorld
from logged_service import make_router, serve

WORLD = SyntheticWorld(rounds=6_000, arms=3, dimension=4)


def logged(policy, *, rounds=6_000):
    """What a policy left behind: its decisions, each with the outcome of its arm alone."""
    episode = WORLD.episode(0)
    kept = []

    def keep(t, decision):
        k = episode.arms.index(decision.arm)
        kept.append((decision, Outcome(quality=float(episode.score[t, k]), cost_usd=float(episode.cost_usd[t, k]))))

    replay(episode, policy=policy, on_round=keep)
    return episode, kept[:rounds]


def test_uniform_logging_accepts_one_in_k_and_shows_the_learner_as_it_is():
    episode, kept = logged("uniform")
    run = replay(LoggedWorld.of(kept, episode.models), policy="thompson", seed=1)
    assert run.offered == 6_000
    assert len(run) / 6_000 == pytest.approx(1 / 3, abs=0.03)
    truth = [replay(SyntheticWorld(rounds=len(run), arms=3, dimension=4), seed=s).mean_quality for s in range(4)]
    assert run.quality.mean() == pytest.approx(np.mean(truth), abs=0.04)
    value, low, high = run.off_policy
    assert low < value < high
    assert value == pytest.approx(run.quality.mean(), abs=0.05)


def test_a_log_that_is_not_uniform_gives_an_unbiased_answer():
    episode, kept = logged({"name": "epsilon", "epsilon": 0.4})
    run = replay(LoggedWorld.of(kept, episode.models), policy="uniform", seed=2)
    shares = np.bincount(run.arm, minlength=3) / len(run)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.08)
    assert run.quality.mean() == pytest.approx(episode.score.mean(), abs=0.06)
    value, low, high = run.off_policy  # from every row: nearer
    assert value == pytest.approx(episode.score.mean(), abs=0.03)
    assert low < episode.score.mean() < high


def test_estimated_means_of_arms_are_those_of_the_world():
    episode, kept = logged({"name": "epsilon", "epsilon": 0.4})
    again = LoggedWorld.of(kept, episode.models).episode(0)
    for estimated, true in zip(again.arm_means(), episode.arm_means(), strict=True):
        np.testing.assert_allclose(estimated, true, rtol=0.2)


def test_a_service_log_is_a_world_of_a_study(tmp_path):
    with make_router(tmp_path / "log.duckdb") as router:
        serve(router, 600)
    study = parse_study(
        {
            "worlds": [{"name": "mine", "kind": "log", "path": "log.duckdb"}],
            "policies": ["uniform", {"label": "large", "name": "fixed", "arm": "large"}],
            "cost_weights": [0.1],
            "seeds": 2,
        },
        folder=tmp_path,
    )
    rows = run_cells(study, tmp_path / "out", backend="sequential").to_pylist()
    assert {row["offered"] for row in rows} == {600}
    assert all(0 < row["rounds"] < 600 for row in rows)
    for row in rows:
        value, low, high = row["off_policy"]
        assert low < value < high
    large = [row["off_policy"][0] for row in rows if row["policy"] == "large"]
    assert large[0] == pytest.approx(large[1])  # acceptance is luck, the estimate is not
    assert large[0] == pytest.approx(0.85, abs=0.06)


def test_what_a_log_cannot_answer_is_refused():
    episode, kept = logged("uniform", rounds=50)
    with pytest.raises(BadInput, match="no judged decision"):
        LoggedWorld.of([(d, Outcome()) for d, _ in kept], episode.models)
    with pytest.raises(BadInput, match="certain"):
        LoggedWorld.of([(d._replace(propensity=1.0), o) for d, o in kept], episode.models)
    with pytest.raises(BadInput, match="above 0"):
        LoggedWorld.of([(d._replace(propensity=0.0), o) for d, o in kept], episode.models)
    with pytest.raises(BadInput, match="mixes feature versions"):
        LoggedWorld.of([*kept, (kept[0][0]._replace(feature_version="other"), kept[0][1])], episode.models)
