"""What is not known is weighed for, whoever was to tell it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.log.reading import Reading
from armwise.offline import LoggedRows, read_rows
from armwise.offline.observing import observe

NAN = float("nan")


@pytest.fixture
def rows(log: Reading) -> LoggedRows:
    """Judged at once, all of them, one row a second."""
    rows = read_rows(log)
    at = np.arange(len(rows), dtype=float)
    return replace(rows, unix_time=at, quality_unix_time=at)


def weighted_mean(rows: LoggedRows, name: str = "quality") -> float:
    """The mean that inverse probabilities give."""
    seen = observe(rows)
    kept = rows.take(seen.keep)
    value = getattr(kept, name)
    chance = seen.probability[name][seen.keep]
    known = ~np.isnan(value)
    return float(np.where(known, np.nan_to_num(value) / chance, 0.0).mean())


def test_nothing_missing_nothing_to_do(rows: LoggedRows) -> None:
    seen = observe(rows)
    assert seen.keep.all()
    assert not seen.probability
    assert seen.outcomes == ("quality", "cost_usd", "latency_ms")
    assert not seen.notes


def test_a_judge_that_looks_at_a_known_share_of_each_arm(rows: LoggedRows) -> None:
    chance = np.array([0.9, 0.5, 0.2])[rows.arm]
    looked = np.random.default_rng(0).random(len(rows)) < chance
    part = replace(
        rows,
        quality=np.where(looked, rows.quality, NAN),
        quality_unix_time=np.where(looked, rows.quality_unix_time, NAN),
        judging_probability=chance,
    )
    naive = float(np.nanmean(part.quality))
    assert abs(weighted_mean(part) - rows.quality.mean()) < 0.06 < abs(naive - rows.quality.mean()) + 0.06
    np.testing.assert_allclose(observe(part).probability["quality"][:1000], chance[:1000], rtol=0.01)


def test_users_who_speak_up_more_about_some_arms(rows: LoggedRows) -> None:
    spoke = np.random.default_rng(1).random(len(rows)) < np.array([0.8, 0.3, 0.3])[rows.arm]
    part = replace(
        rows,
        quality=np.where(spoke, rows.quality, NAN),
        quality_unix_time=np.where(spoke, rows.quality_unix_time, NAN),
    )
    seen = observe(part)
    for k in range(3):
        assert seen.probability["quality"][rows.arm == k].mean() == pytest.approx(spoke[rows.arm == k].mean(), abs=0.02)
    assert any("missing at random given the arm" in note for note in seen.notes)
    assert abs(weighted_mean(part) - rows.quality.mean()) < 0.06


def test_what_has_not_come_yet_is_not_missing(rows: LoggedRows) -> None:
    """Judgements take 200 to 600 rounds: the last 600 rows have few, the last 200 have none."""
    delay = np.random.default_rng(2).uniform(200, 600, len(rows))
    due = rows.unix_time + delay
    come = due <= rows.unix_time[-1]
    part = replace(
        rows,
        quality=np.where(come, rows.quality, NAN),
        quality_unix_time=np.where(come, due, NAN),
        judging_probability=np.ones(len(rows)),
    )
    seen = observe(part)
    assert not seen.keep[-190:].any()
    assert seen.keep[:1_300].all()
    assert any("too young" in note for note in seen.notes)
    assert abs(weighted_mean(part) - rows.quality.mean()) < 0.06


def test_rows_that_no_judge_was_to_see_are_left_out(rows: LoggedRows) -> None:
    chance = np.where(rows.task == "code", 0.0, 1.0)
    part = replace(
        rows,
        quality=np.where(chance > 0, rows.quality, NAN),
        quality_unix_time=np.where(chance > 0, rows.quality_unix_time, NAN),
        judging_probability=chance,
    )
    seen = observe(part)
    np.testing.assert_array_equal(seen.keep, chance > 0)
    assert any("no judge was to look at" in note for note in seen.notes)


def test_bills_that_are_missing_and_measures_that_never_came(rows: LoggedRows) -> None:
    lost = (rows.arm == 0) & (np.arange(len(rows)) % 2 == 0)
    part = replace(rows, cost_usd=np.where(lost, NAN, rows.cost_usd), latency_ms=np.full(len(rows), NAN))
    seen = observe(part)
    assert seen.outcomes == ("quality", "cost_usd")
    assert seen.probability["cost_usd"][rows.arm == 0] == pytest.approx(1 - lost[rows.arm == 0].mean())
    assert (seen.probability["cost_usd"][rows.arm != 0] == 1).all()
    assert any("latency_ms was never logged" in note for note in seen.notes)


def test_a_log_that_was_never_judged_is_refused(rows: LoggedRows) -> None:
    with pytest.raises(BadInput, match="no decision of the log has a known quality"):
        observe(replace(rows, quality=np.full(len(rows), NAN)))
