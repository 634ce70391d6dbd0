"""Baselines by hand-sized cases, and those of the packaged table by what is known of it."""

import math

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.simulation import baselines, spend_saved_at


def saved(quality, spend):
    return spend_saved_at(quality, spend, best_quality=1.0, best_spend_usd=10.0, fraction=0.8)


def test_spend_saved_is_interpolated_between_neighbours():
    assert saved([0.6, 1.0], [2.0, 6.0]) == pytest.approx(60.0)


def test_spend_saved_takes_settings_in_any_order_and_the_cheapest_that_suffices():
    assert saved([1.0, 0.9, 0.6, 0.7], [6.0, 3.0, 2.0, 4.0]) == pytest.approx(100 - 10 * (2 + 2 / 3))
    assert saved([0.85, 0.9], [1.0, 2.0]) == pytest.approx(90.0)


def test_spend_saved_is_nan_where_the_quality_is_never_reached():
    assert math.isnan(saved([0.1, 0.79], [1.0, 20.0]))


def test_spend_saved_refuses_what_is_no_frontier():
    with pytest.raises(BadInput, match="as many qualities as spends"):
        saved([0.1], [1.0, 2.0])
    with pytest.raises(BadInput, match="at least one"):
        saved([], [])


def test_hull_has_only_corners_that_no_mix_beats(packaged):
    hull = baselines.hull(packaged)
    quality, spend = packaged.score.mean(axis=0), packaged.cost_usd.mean(axis=0)
    assert (np.diff(hull.spend_usd) > 0).all()
    slopes = np.diff(hull.quality) / np.diff(hull.spend_usd)
    assert (slopes > 0).all()
    assert (np.diff(slopes) < 0).all()
    assert (quality <= np.interp(spend, hull.spend_usd, hull.quality) + 1e-12).all()


def test_known_figures_of_the_packaged_table(packaged):
    assert baselines.hull(packaged).saved_at(packaged) == pytest.approx(52.9, abs=0.1)
    assert baselines.known_cost_null(packaged).saved_at(packaged) == pytest.approx(40.7, abs=2.0)
    assert baselines.best_fixed(packaged).saved_at(packaged, 1.0) == pytest.approx(0.0)
    assert math.isnan(baselines.uniform(packaged).saved_at(packaged))
    assert baselines.oracle(packaged).saved_at(packaged) > 90


def test_running_mean_never_sees_its_own_row():
    values = np.array([[1.0], [0.0], [1.0], [1.0]])
    np.testing.assert_allclose(baselines.running_mean(values, prior=0.5)[:, 0], [0.5, 0.75, 0.5, 0.625])
    changed = values.copy()
    changed[2] = 7.0
    np.testing.assert_array_equal(
        baselines.running_mean(changed, prior=0.5)[:3], baselines.running_mean(values, prior=0.5)[:3]
    )


def test_task_mean_is_prequential(table):
    """Outcomes of the last prompt cannot change what was chosen before it."""
    other = table.take(np.arange(len(table)))
    other.score[-1] = 1 - other.score[-1]
    a, b = baselines.task_mean(table), baselines.task_mean(other)
    assert np.abs(a.quality - b.quality).max() <= 1 / len(table) + 1e-12


def test_a_policy_told_the_task_finds_the_answer(table):
    """Hard prompts to the dear arm, easy ones to the cheap arm: full quality for less."""
    assert baselines.oracle(table).saved_at(table, 1.0) == pytest.approx(
        baselines.task_mean(table).saved_at(table), abs=15
    )
    assert baselines.task_mean(table).saved_at(table) > baselines.hull(table).saved_at(table) + 20


def test_prompt_length_spans_from_the_cheap_to_the_best_arm(table):
    front = baselines.prompt_length(table)
    assert front.quality[0] == pytest.approx(table.score[:, 0].mean())
    assert front.quality[-1] == pytest.approx(table.score[:, table.best].mean())
