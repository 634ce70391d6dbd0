"""Logged feedback: accepted rounds are those that the policy would have met by itself."""

import numpy as np
import pytest

from armwise.contracts import Outcome
from armwise.errors import BadInput
from armwise.simulation import replay
from armwise.simulation.logged import replay_logged
from armwise.simulation.worlds import SyntheticWorld

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
    run = replay_logged(kept, episode.models, policy="thompson", seed=1)
    assert run.offered == 6_000
    assert len(run) / 6_000 == pytest.approx(1 / 3, abs=0.03)
    truth = [replay(SyntheticWorld(rounds=len(run), arms=3, dimension=4), seed=s).mean_quality for s in range(4)]
    assert run.quality.mean() == pytest.approx(np.mean(truth), abs=0.04)


def test_a_log_that_is_not_uniform_gives_an_unbiased_answer():
    episode, kept = logged({"name": "epsilon", "epsilon": 0.4})
    run = replay_logged(kept, episode.models, policy="uniform", seed=2)
    shares = np.bincount(run.arm, minlength=3) / len(run)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.08)
    assert run.quality.mean() == pytest.approx(episode.score.mean(), abs=0.06)


def test_what_a_log_cannot_answer_is_refused():
    episode, kept = logged("uniform", rounds=50)
    with pytest.raises(BadInput, match="no judged decision"):
        replay_logged([(d, Outcome()) for d, _ in kept], episode.models)
    with pytest.raises(BadInput, match="certain"):
        replay_logged([(d._replace(propensity=1.0), o) for d, o in kept], episode.models)
    with pytest.raises(BadInput, match="above 0"):
        replay_logged([(d._replace(propensity=0.0), o) for d, o in kept], episode.models)
    with pytest.raises(BadInput, match="mixes feature versions"):
        replay_logged([*kept, (kept[0][0]._replace(feature_version="other"), kept[0][1])], episode.models)
