"""The judge is watched: shifts are found, noise is not, and its new ways are measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from armwise.errors import BadInput, ConfigError
from armwise.judging import DriftGuard, Finding, LengthBias, Phase, PositionBias, load_anchors


class Grader:
    """Grades known qualities with a bias and noise."""

    def __init__(self, seed: int, *, bias: float = 0.05, noise: float = 0.15, anchors: int = 30) -> None:
        self.rng = np.random.default_rng(seed)
        self.quality = self.rng.uniform(0.1, 0.8, anchors)
        self.bias, self.noise = bias, noise

    def __call__(self, anchor: int) -> tuple[int, float, float]:
        grade = self.quality[anchor] + self.bias + self.noise * self.rng.normal()
        return anchor, float(np.clip(grade, 0, 1)), float(self.quality[anchor])


def learned(seed: int, **settings: float) -> tuple[DriftGuard, Grader, float]:
    """A guard that knows its judge, and the bias that it found."""
    grader, guard = Grader(seed, **settings), DriftGuard(30)  # type: ignore[arg-type]
    while True:
        finding = guard.graded(*grader(guard.next_anchor))
        if finding is not None:
            assert not finding.alarm
            assert guard.phase is Phase.WATCHING
            return guard, grader, finding.shift


def until_alarm(guard: DriftGuard, grader: Grader, most: int) -> int | None:
    for count in range(1, most + 1):
        finding = guard.graded(*grader(guard.next_anchor))
        if finding is not None:
            assert finding.alarm
            return count
    return None


@pytest.mark.parametrize("shift", [0.15, -0.15])
def test_a_shift_is_found_within_a_hundred_anchors_and_measured_anew(shift: float) -> None:
    delays = []
    for seed in range(20):
        guard, grader, bias = learned(seed)
        assert bias == pytest.approx(0.05, abs=0.06)
        assert until_alarm(guard, grader, 50) is None
        grader.bias += shift
        delay = until_alarm(guard, grader, 400)
        assert delay is not None
        delays.append(delay)
        assert guard.phase is Phase.SUSPENDED
        while (finding := guard.graded(*grader(guard.next_anchor))) is None:
            pass
        assert not finding.alarm
        assert guard.phase is Phase.WATCHING
        assert finding.shift == pytest.approx(0.05 + shift, abs=0.06)
        assert finding.low < finding.shift < finding.high
    assert np.quantile(delays, 0.95) <= 100


def test_a_judge_that_compresses_the_scale_is_read_along_a_line() -> None:
    rng, guard = np.random.default_rng(3), DriftGuard(30)
    quality = rng.random(30)
    finding = None
    while finding is None:
        place = guard.next_anchor
        finding = guard.graded(place, 0.2 + 0.5 * quality[place] + 0.05 * rng.normal(), float(quality[place]))
    assert finding.slope == pytest.approx(2.0, rel=0.1)
    assert finding.slope * (0.2 + 0.5 * 0.6) + finding.offset == pytest.approx(0.6, abs=0.03)
    assert finding.noise == pytest.approx(0.1, rel=0.2)


def test_anchors_of_one_quality_tell_no_scale() -> None:
    rng, guard, finding = np.random.default_rng(3), DriftGuard(10), None
    while finding is None:
        finding = guard.graded(guard.next_anchor, 0.6 + 0.1 * rng.normal(), 0.5)
    assert finding.slope == pytest.approx(1.0)
    assert finding.offset == pytest.approx(-0.1, abs=0.05)


def until_finding(guard: DriftGuard, grader: Grader, *, liking: float) -> Finding:
    """The next finding where the judge likes every other anchor."""
    while True:
        place, grade, quality = grader(guard.next_anchor)
        finding = guard.graded(place, grade + liking * (place % 2), quality)
        if finding is not None:
            return finding


def test_a_judge_that_comes_to_like_some_answers_stays_out_until_it_is_as_it_was() -> None:
    for seed in range(5):
        guard, grader, _ = learned(seed)
        assert until_finding(guard, grader, liking=0.3).alarm
        finding = until_finding(guard, grader, liking=0.3)
        assert finding.uneven
        assert guard.uneven
        assert guard.phase is Phase.SUSPENDED
        finding = until_finding(guard, grader, liking=0.0)
        assert not finding.uneven
        assert guard.phase is Phase.WATCHING
        assert finding.shift == pytest.approx(0.05, abs=0.06)


def test_twenty_thousand_anchors_raise_no_alarm() -> None:
    guard, grader, _ = learned(7)
    assert until_alarm(guard, grader, 20_000) is None


def test_a_judge_that_never_varies_is_watched_too() -> None:
    guard, grader, _ = learned(1, noise=0.0)
    assert until_alarm(guard, grader, 500) is None
    grader.bias += 0.1
    delay = until_alarm(guard, grader, 40)
    assert delay is not None


@pytest.mark.parametrize("settings", [{"anchors": 1}, {"anchors": 5, "rounds": 0}, {"anchors": 5, "threshold": 0}])
def test_settings_out_of_range(settings: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="a drift guard needs 2 anchors"):
        DriftGuard(**settings)


def test_anchors_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    rows = [{"question": "6 x 7?", "answer": "42", "quality": 1.0, "metadata": {"reference": 42}}] * 2
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    anchors = load_anchors(path)
    assert len(anchors) == 2
    assert anchors[0].case.reference == "42"
    for text, says in (
        ("[1]", "line 1: an anchor is an object"),
        ('{"question": "a", "answer": "b"}', "line 1: an anchor is an object"),
        ('{"question": "a", "answer": "b", "quality": 2}', "quality must be a number between 0 and 1, got 2"),
        (json.dumps(rows[0]), "at least two anchors"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=says):
            load_anchors(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_anchors(tmp_path / "none")


def test_a_liking_for_length_is_measured_and_taken_out() -> None:
    rng = np.random.default_rng(0)
    bias = LengthBias()
    assert bias.correct(100, 0.7) == 0.7
    lengths = np.exp(rng.normal(6.0, 1.0, 2_000)).astype(int)
    quality = rng.uniform(0.3, 0.6, 2_000)
    grades = quality + 0.05 * (np.log(np.maximum(lengths, 1)) - 6.0) + 0.1 * rng.normal(size=2_000)
    for length, grade, expected in zip(lengths, grades, quality, strict=True):
        bias.learn(int(length), float(grade), float(expected))
    slope = bias.slope
    assert slope.plain
    assert slope.value == pytest.approx(0.05, abs=4 * slope.error)
    assert slope.error < 0.005
    corrected = np.array([bias.correct(int(n), float(g)) for n, g in zip(lengths, grades, strict=True)])
    before = np.corrcoef(np.log(np.maximum(lengths, 1)), grades - quality)[0, 1]
    after = np.corrcoef(np.log(np.maximum(lengths, 1)), corrected - quality)[0, 1]
    assert abs(after) < 0.05 < before


def test_without_such_a_liking_grades_stay_as_they_are() -> None:
    rng = np.random.default_rng(1)
    bias = LengthBias()
    for _ in range(300):
        bias.learn(int(rng.integers(1, 5_000)), float(rng.random()), 0.5)
    assert bias.correct(10_000, 0.4) == 0.4


def test_a_liking_for_a_place_is_measured() -> None:
    rng = np.random.default_rng(2)
    place = PositionBias()
    assert not place.preference.plain
    for _ in range(400):
        place.learn(float(rng.choice([0.0, 0.5, 1.0], p=[0.1, 0.5, 0.4])))
    assert place.preference.plain
    assert place.preference.value == pytest.approx(0.15, abs=0.05)
