"""Who is judged, and with what probability."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.contracts import Decision, Predictions, Trade
from armwise.errors import BadInput
from armwise.judging import JudgeSampler, drawn, uncertainty
from helpers import context


def decision(probabilities: list[float], seed: int = 0) -> Decision:
    p = np.array(probabilities)
    arms = tuple(f"arm{i}" for i in range(len(p)))
    zeros = np.zeros(len(p))
    return Decision(
        f"d{seed}", 1.0, arms[0], float(p[0]), arms, p, {}, Predictions(zeros, zeros, zeros), Trade(), context(),
        "exact", seed, "p", "f",
    )  # fmt: skip


def test_what_is_explored_is_what_the_policy_is_unsure_of() -> None:
    assert uncertainty(decision([0.25] * 4)) == 0.75
    assert uncertainty(decision([1.0, 0.0, 0.0])) == 0.0
    assert uncertainty(decision([1.0])) == 0.0
    assert uncertainty(decision([0.1, 0.9])) == 0.9


def test_the_budget_is_kept_and_goes_where_the_policy_is_unsure() -> None:
    rng = np.random.default_rng(0)
    sampler = JudgeSampler(0.1, horizon=5_000)
    chances: dict[bool, list[float]] = {True: [], False: []}
    for i in range(20_000):
        sure = bool(rng.random() < 0.7)
        chances[sure].append(sampler.probability(decision([0.99, 0.01] if sure else [0.5, 0.5], seed=i)))
    everything = chances[True] + chances[False]
    assert np.mean(everything) == pytest.approx(0.1, abs=0.005)
    assert np.mean(chances[False][2_000:]) > 2 * np.mean(chances[True][4_000:])
    assert min(everything) > 0.0
    assert max(everything) <= 1.0


def test_part_of_the_budget_is_spent_early_but_not_again_after_a_restart() -> None:
    def first(sampler: JudgeSampler) -> float:
        return float(np.mean([sampler.probability(decision([0.5, 0.5], seed=i)) for i in range(500)]))

    assert first(JudgeSampler(0.1)) > 0.2
    assert first(JudgeSampler(0.1, ahead=0.0)) == pytest.approx(0.1, abs=0.02)
    assert first(JudgeSampler(0.1, decisions=10_000)) == pytest.approx(0.1, abs=0.02)


def test_draws_follow_from_the_seed_and_the_judge_and_happen_as_often_as_they_say() -> None:
    many = [decision([0.5, 0.5], seed=int(s)) for s in np.random.default_rng(1).integers(0, 2**63, 4_000)]
    first = [drawn(one, "judge:a", 0.2) for one in many]
    assert first == [drawn(one, "judge:a", 0.2) for one in many]
    assert np.mean(first) == pytest.approx(0.2, abs=0.02)
    second = [drawn(one, "judge:b", 0.2) for one in many]
    assert np.mean([a and b for a, b in zip(first, second, strict=True)]) == pytest.approx(0.04, abs=0.015)
    assert not any(drawn(one, "judge:a", 0.0) for one in many)
    assert all(drawn(one, "judge:a", 1.0) for one in many)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rate": 1.5}, "rate of judging must be between 0 and 1"),
        ({"rate": 0.1, "floor": 0.0}, "floor in"),
        ({"rate": 0.1, "horizon": 0}, "horizon >= 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        JudgeSampler(**settings)  # type: ignore[arg-type]  # numbers of either kind


def test_a_rate_of_one_judges_all_and_of_zero_nothing() -> None:
    everything = JudgeSampler(1.0)
    assert [everything.probability(decision([1.0])) for _ in range(3)] == [1.0] * 3
    sampler = JudgeSampler(0.0)
    assert [sampler.probability(decision([0.5, 0.5])) for _ in range(10)] == [0.0] * 10
