"""Replay: the real decision code over an episode, only the chosen arm revealed, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.features import VectorEncoder
from armwise.log import MemoryLog
from armwise.pacing import Objective
from armwise.policies import POLICIES
from armwise.router import Router
from armwise.simulation import baselines, frontiers, replay, replay_router
from armwise.simulation.worlds import TableWorld


def same(a, b):
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("arm", "propensity", "quality", "cost_usd"))


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_seed_repeats_and_another_does_not(table, policy):
    settings = {"name": policy, **({"shares": {"small": 1, "large": 1}} if policy == "fixed" else {})}
    runs = [replay(table, policy=settings, cost_weight=0.1, seed=seed) for seed in (3, 3, 4)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])
    assert (runs[0].propensity > 0).all()
    assert (runs[0].propensity <= 1).all()


def test_it_learns_who_answers_what(long_table):
    table = long_table
    run = replay(table, cost_weight=0.3, seed=1)
    late = slice(len(run) // 2, None)
    assert run.quality[late].mean() > 0.95
    assert run.cost_usd[late].mean() < 0.8 * table.cost_ref_usd
    assert run.regret[late].sum() < 0


def test_only_the_chosen_arm_is_ever_revealed(table):
    """What the other arms would have scored changes nothing: the bandit cannot have seen it."""
    episode = TableWorld(table).episode(5)
    run = replay(episode, cost_weight=0.1, seed=5)
    every = np.arange(len(run))
    judged, cost = np.full_like(episode.judged, 0.123), np.full_like(episode.cost_usd, 9.9)
    judged[every, run.arm] = episode.judged[every, run.arm]
    cost[every, run.arm] = episode.cost_usd[every, run.arm]
    # the trade's unit is part of the setting, not of what is revealed
    objective = Objective.tradeoff(cost_weight=0.1, cost_ref_usd=episode.cost_ref_usd)
    other = replay(replace(episode, judged=judged, cost_usd=cost), objective=objective, seed=5)
    assert np.array_equal(run.arm, other.arm)
    assert np.array_equal(run.propensity, other.propensity)


def test_propensities_are_the_frequencies_of_the_draws(table):
    run = replay(table, policy="uniform", seed=2)
    np.testing.assert_allclose(run.propensity, 0.5)
    assert abs(run.shares["small"] - 0.5) < 0.1


def test_more_weight_on_cost_spends_less(table):
    spend = [replay(table, cost_weight=w, seed=0).mean_cost_usd for w in (0.0, 0.3, 3.0)]
    assert spend[0] > spend[1] > spend[2]


def test_a_budget_is_kept(table):
    budget = 0.5 * table.cost_ref_usd
    run = replay(table, objective=Objective.max_quality(spend_usd_per_request=budget), seed=0)
    assert run.mean_cost_usd == pytest.approx(budget, rel=0.1)


def test_objective_and_cost_weight_exclude_each_other(table):
    with pytest.raises(BadInput, match="not both"):
        replay(table, objective=Objective.tradeoff(), cost_weight=0.1)


def test_the_router_path_logs_every_round_and_measures_the_same(table):
    log = MemoryLog()
    objective = Objective.tradeoff(cost_weight=0.1, cost_ref_usd=table.cost_ref_usd)
    seen = []
    with Router(table.models, objective=objective, log=log, seed=0, encoder=VectorEncoder(2)) as router:
        run = replay_router(table, router, on_round=lambda *row: seen.append(row))
        events = [event for _, event in log.events()]
    decisions = [e for e in events if hasattr(e, "propensity")]
    assert len(seen) == len(decisions) == len(table)
    np.testing.assert_array_equal(run.propensity, [d.propensity for d in decisions])
    assert sum(getattr(e, "kind", None) == "quality" for e in events) == len(table)
    assert run.quality.sum() == sum(quality for _, _, quality, _ in seen)


def test_router_and_decider_learn_the_same(table):
    """The two paths are the same code: on a world without chance in the choice they agree round by round."""
    policy = {"name": "thompson", "scale": 0.0}
    objective = Objective.tradeoff(cost_weight=0.1, cost_ref_usd=table.cost_ref_usd)
    with Router(table.models, objective=objective, policy=policy, seed=0, encoder=VectorEncoder(2)) as router:
        through_router = replay_router(table, router)
    direct = replay(TableWorld(table).ordered(), policy=policy, objective=objective)
    assert np.array_equal(through_router.arm, direct.arm)


def test_frontiers_come_per_seed_and_in_order(table):
    done = []
    weights = (0.0, 0.3, 3.0)
    parts = frontiers(table, cost_weights=weights, seeds=(0, 1), jobs=1, on_run=lambda *c: done.append(c))
    assert done[-1] == (6, 6)
    assert [len(part.quality) for part in parts] == [3, 3]
    for seed, part in enumerate(parts):
        for weight, quality in zip(weights, part.quality, strict=True):
            assert quality == replay(table, cost_weight=weight, seed=seed).mean_quality
    assert parts[0].saved_at(table) > baselines.hull(table).saved_at(table)


def test_an_empty_grid_is_refused(table):
    with pytest.raises(BadInput, match="at least one"):
        frontiers(table, cost_weights=())
