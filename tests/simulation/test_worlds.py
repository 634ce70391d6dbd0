"""Worlds and nuisances: each does to an episode what it says, and nothing else."""

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.simulation import replay
from armwise.simulation.worlds import (
    NUISANCES,
    Drift,
    HeavyTail,
    Judge,
    NewArm,
    Outage,
    PriceChange,
    Season,
    SyntheticWorld,
    TroubledWorld,
)

WORLD = SyntheticWorld(rounds=2_000, arms=4, dimension=6)


def troubled(*nuisances):
    return TroubledWorld(world=WORLD, nuisances=nuisances, name="troubled")


def episodes(nuisance, seed=3):
    return WORLD.episode(seed), troubled(nuisance).episode(seed)


@pytest.mark.parametrize("kind", sorted(NUISANCES))
def test_the_same_seed_gives_the_same_episode_and_the_calm_one_stays_as_it_was(kind):
    world = troubled(NUISANCES[kind]())
    calm = WORLD.episode(1)
    kept = calm.score.copy(), calm.cost_usd.copy(), calm.judged.copy()
    a, b = world.episode(1), world.episode(1)
    for name in ("score", "judged", "cost_usd", "delay"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    NUISANCES[kind]().apply(calm, np.random.default_rng(0))
    for before, after in zip(kept, (calm.score, calm.cost_usd, calm.judged), strict=True):
        np.testing.assert_array_equal(before, after)
    run = replay(world, cost_weight=0.1, seed=1)
    assert len(run) == WORLD.rounds


def test_dearer_arms_are_better_on_average():
    episode = SyntheticWorld(rounds=20_000).episode(0)
    assert (np.diff(episode.cost_usd.mean(axis=0)) > 0).all()
    assert episode.score.mean(axis=0)[-1] > episode.score.mean(axis=0)[0] + 0.2


def test_seeds_share_the_problem_but_not_the_luck():
    a, b = (SyntheticWorld(rounds=20_000).episode(seed) for seed in (0, 1))
    assert not np.array_equal(a.score, b.score)
    np.testing.assert_allclose(a.score.mean(axis=0), b.score.mean(axis=0), atol=0.02)


def test_drift_spoils_one_arm_from_its_time_on():
    calm, drifted = episodes(Drift(arm="arm-2", at=0.25, loss=0.5))
    np.testing.assert_array_equal(drifted.score[:500], calm.score[:500])
    np.testing.assert_array_equal(np.delete(drifted.score, 2, axis=1), np.delete(calm.score, 2, axis=1))
    assert drifted.score[500:, 2].mean() == pytest.approx(0.5 * calm.score[500:, 2].mean(), rel=0.1)
    np.testing.assert_array_equal(drifted.judged, drifted.score)


def test_price_change_changes_bills_and_tells_the_pool():
    calm, changed = episodes(PriceChange(arm="arm-3", at=0.5, factor=0.1))
    np.testing.assert_allclose(changed.cost_usd[1000:, 3], 0.1 * calm.cost_usd[1000:, 3])
    np.testing.assert_array_equal(changed.cost_usd[:1000], calm.cost_usd[:1000])
    (change,) = changed.changes[1000]
    assert change.arm.models[0].input_usd_per_mtok == pytest.approx(0.1 * calm.models[3].input_usd_per_mtok)


def test_a_price_cut_is_taken_up_at_once():
    """Nothing has to be relearned: the share of the arm jumps within a few rounds of the cut."""
    run = replay(troubled(PriceChange(arm="arm-3", at=0.5, factor=0.02)), cost_weight=0.4, seed=0)
    before, after = (run.arm[900:1000] == 3).mean(), (run.arm[1000:1100] == 3).mean()
    assert after > before + 0.2


def test_an_arm_that_is_out_is_never_drawn_and_comes_back():
    run = replay(troubled(Outage(arm="arm-3", start=0.4, stop=0.6)), seed=0)
    used = run.arm == 3
    assert used[:800].any()
    assert not used[800:1200].any()
    assert used[1200:].any()


def test_a_new_arm_is_drawn_only_once_it_has_joined():
    run = replay(troubled(NewArm(arm="arm-3", at=0.5)), seed=0)
    used = run.arm == 3
    assert not used[:1000].any()
    assert used[1000:].mean() > 0.1


def test_the_judge_misses_delays_and_errs_but_truth_stays():
    calm, judged = episodes(Judge(missing=0.3, delay=20, noise=0.1, bias={"arm-0": 0.5}))
    np.testing.assert_array_equal(judged.score, calm.score)
    missing = np.isnan(judged.judged).all(axis=1)
    assert missing.mean() == pytest.approx(0.3, abs=0.05)
    assert np.isnan(judged.judged).any(axis=1).sum() == missing.sum()
    assert judged.delay.mean() == pytest.approx(20, rel=0.15)
    seen = judged.judged[~missing]
    assert (seen >= 0).all()
    assert (seen <= 1).all()
    assert seen[:, 0].mean() > calm.score[~missing, 0].mean() + 0.15


def test_a_judge_that_never_speaks_teaches_no_quality():
    """No feedback is not a quality of zero: with nothing judged, the policy stays at its prior."""
    run = replay(
        troubled(Judge(missing=1.0)), policy={"name": "thompson", "engine": "logistic", "horizon": 1e9}, seed=0
    )
    shares = list(run.shares.values())
    assert min(shares) > 0.15


def test_heavy_tails_keep_the_mean_and_stretch_the_top():
    calm, tailed = episodes(HeavyTail(sigma=1.0))
    assert tailed.cost_usd.mean() == pytest.approx(calm.cost_usd.mean(), rel=0.15)
    assert tailed.cost_usd.max() > 2 * calm.cost_usd.max()


def test_seasons_reorder_and_lose_nothing():
    calm, waves = episodes(Season(cycles=2, strength=1.0))
    order = np.lexsort(calm.score.T), np.lexsort(waves.score.T)
    np.testing.assert_array_equal(calm.score[order[0]], waves.score[order[1]])
    day = np.array([context.task == "day" for context in waves.contexts])
    quarters = day.reshape(8, -1).mean(axis=1)
    assert quarters.max() - quarters.min() > 0.4


def test_seasons_must_come_first():
    with pytest.raises(BadInput, match="declare it before"):
        troubled(Outage(), Season()).episode(0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Drift(loss=1.5), "Drift.loss must be between 0 and 1, got 1.5"),
        (lambda: Outage(start=0.5, stop=0.5), "Outage.stop must be after start"),
        (lambda: PriceChange(factor=0.0), "PriceChange.factor must be above 0"),
        (lambda: Judge(delay=-1), "at least 0"),
        (lambda: SyntheticWorld(rounds=0), "rounds >= 1"),
        (lambda: troubled(Drift(arm="arm-9")).episode(0), "'arm-9'"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(BadInput, match=words):
        make()
