"""The quality floor: the lowest cost at a quality that is held, from a safe start."""

from __future__ import annotations

import math

import numpy as np
import pytest

from armwise.contracts import Arm, Budget, Decision, JudgeDraw, Outcome, PoolChange, Request
from armwise.decider import Decider
from armwise.pacing import FloorReport, Objective, QualityFloor
from armwise.pacing.floor import Correction
from helpers import assert_same_state, context, contexts, decider, model

NOTHING = Outcome()


def floored(fraction: float = 0.95, **settings: object) -> Decider:
    return decider(
        {"name": "thompson"},
        Objective.min_cost(quality_fraction=fraction, reference="large", **settings),  # type: ignore[arg-type]
    )


def floor(one: Decider) -> QualityFloor:
    base = one.pacer.base
    assert isinstance(base, QualityFloor)
    return base


def serve(
    one: Decider, count: int, quality: dict[str, float], *, seed: int = 0, judged: float = 1.0
) -> tuple[list[Decision], list[float]]:
    """Decide ``count`` requests; outcomes are 0 or 1 with a mean by arm. Judges look at a share of them."""
    rng = np.random.default_rng(seed)
    made, outcomes = [], []
    for i, x in enumerate(contexts(count, seed)):
        decision = one.decide(Request(), context(x, input_tokens=500), id=f"{seed}-{i}", at=float(i), seed=seed + i)
        one.decided(decision)
        outcome = float(rng.random() < quality[decision.arm])
        looked = rng.random() < judged
        if judged < 1:
            one.pacer.drawn(JudgeDraw(decision_id=decision.id, judge="j", probability=judged, drawn=looked))
        if looked:
            one.learn(decision, Outcome(quality=outcome, cost_usd=1e-3), NOTHING)
        made.append(decision)
        outcomes.append(quality[decision.arm])
    return made, outcomes


def test_the_start_is_safe() -> None:
    one = floored()
    made, _ = serve(one, 50, {"small": 0.1, "middle": 0.2, "large": 0.9})
    assert made[0].probabilities["large"] >= 0.98
    assert np.mean([decision.probabilities["large"] for decision in made]) > 0.9
    for decision in made:
        assert sum(decision.probabilities.values()) == pytest.approx(1.0)
        assert decision.propensity == decision.probabilities[decision.arm]
        assert min(decision.probabilities.values()) >= 0.0


def test_savings_begin_where_judgements_allow_and_the_floor_holds() -> None:
    kept = []
    for seed in range(3):
        one = floored()
        made, outcomes = serve(one, 2_500, {"small": 0.1, "middle": 0.79, "large": 0.8}, seed=seed)
        assert np.mean([decision.arm == "middle" for decision in made[1_500:]]) > 0.6
        assert all(decision.probabilities["large"] >= floor(one).exploration - 1e-12 for decision in made)
        kept.append(np.mean(outcomes[1_000:]))
    assert np.mean(kept) >= 0.95 * 0.8


def test_where_nothing_else_is_good_enough_the_reference_keeps_the_traffic() -> None:
    one = floored(0.99)
    _, outcomes = serve(one, 2_000, {"small": 0.1, "middle": 0.3, "large": 0.9})
    assert np.mean(outcomes[1_000:]) >= 0.97 * 0.9


def report(one: Decider) -> FloorReport:
    return floor(one).report()


def test_what_judgements_prove_is_said_and_bounds_hold_at_any_time() -> None:
    one = floored(0.5)
    assert report(one).verdict == "unproven"
    assert math.isnan(report(one).difference)
    serve(one, 1_500, {"small": 0.9, "middle": 0.9, "large": 0.9})
    found = report(one)
    assert found.verdict == "holding"
    assert found.judged == 1_500
    assert found.lower <= found.difference <= found.upper
    assert found.lower <= 0.9 - 0.5 * 0.9 <= found.upper
    assert found.reference_quality == pytest.approx(0.9, abs=0.1)
    assert found.quality == pytest.approx(0.9, abs=0.03)


def test_a_floor_that_is_missed_is_said_to_be() -> None:
    one = floored(1.0)
    rng = np.random.default_rng(0)
    for _ in range(4_000):
        drawn = bool(rng.random() < 0.5)
        floor(one).evidence.add(
            float(rng.random() < (0.9 if drawn else 0.3)),
            predicted_reference=0.5,
            reference_weight=2.0 if drawn else 0.0,
            seen_weight=1.0,
        )
    assert report(one).verdict == "short"
    assert report(one).upper < 0


def test_the_judges_sampling_is_weighed() -> None:
    one = floored()
    serve(one, 3_000, {"small": 0.5, "middle": 0.7, "large": 0.8}, judged=0.25)
    assert 600 < report(one).judged < 900
    assert report(one).quality == pytest.approx(0.75, abs=0.1)
    assert floor(one).state()["looked"] == [[], []]  # each is used once


def test_a_revised_judgement_is_not_bet_on_again() -> None:
    one = floored()
    decision = one.decide(Request(), context(), id="d", at=0.0, seed=1)
    one.decided(decision)
    one.learn(decision, Outcome(quality=0.2), NOTHING)
    before = report(one)
    one.learn(decision, Outcome(quality=0.9), Outcome(quality=0.2))
    assert report(one).judged == before.judged == 1
    assert report(one).difference == before.difference


def test_requests_the_reference_cannot_answer_are_not_compared() -> None:
    one = floored()
    before = floor(one).state()
    decision = one.decide(Request(arms=frozenset({"small", "middle"})), context(), id="d", at=0.0, seed=1)
    one.decided(decision)
    assert set(decision.arms) == {"small", "middle"}
    assert_same_state(floor(one).state(), before)


def test_a_reference_that_leaves_the_pool_is_held_to_what_is_known_of_it() -> None:
    one = floored()
    serve(one, 1_500, {"small": 0.1, "middle": 0.79, "large": 0.8})
    known = floor(one).state()["level"]
    assert known == pytest.approx(0.8, abs=0.1)
    one.change_pool(PoolChange(action="remove", arm=Arm.of(model("large"))))
    serve(one, 500, {"small": 0.1, "middle": 0.79}, seed=1)
    assert report(one).verdict == "reference left"
    assert floor(one).state()["level"] == pytest.approx(known, rel=1e-9)
    _, outcomes = serve(one, 500, {"small": 0.1, "middle": 0.79}, seed=2)
    assert np.mean(outcomes) > 0.9 * 0.79  # and not sold for the cheapest
    one.change_pool(PoolChange(action="add", arm=Arm.of(model("large"))))
    serve(one, 10, {"small": 0.1, "middle": 0.79, "large": 0.8}, seed=3)
    assert report(one).verdict != "reference left"


def test_a_reference_that_was_never_there_changes_nothing() -> None:
    one = decider(objective=Objective.min_cost(reference="unheard of"))
    before = floor(one).state()
    made, _ = serve(one, 50, {"small": 0.5, "middle": 0.6, "large": 0.7})
    assert {decision.trade.cost_weight for decision in made} == {made[0].trade.cost_weight}
    after = floor(one).state()
    for name in ("share", "level", "log_weight", "decisions"):
        assert after[name] == before[name]


def test_a_restarted_floor_goes_on_where_it_was() -> None:
    one, twin = floored(budgets=[Budget(usd=5.0)]), floored(budgets=[Budget(usd=5.0)])
    quality = {"small": 0.4, "middle": 0.7, "large": 0.8}
    serve(one, 300, quality, judged=0.5)
    twin.restore(one.state())
    assert_same_state(twin.state(), one.state())
    for each in (one, twin):
        serve(each, 100, quality, seed=5)
    assert_same_state(twin.state(), one.state())


def test_what_was_wrong_at_the_start_is_forgotten_sooner_than_a_plain_mean_would() -> None:
    correction = Correction(memory=1_000.0)
    for _ in range(100):
        correction.add(-0.2, 1.0)
    assert correction.mean == pytest.approx(-0.2, abs=0.02)
    for _ in range(300):
        correction.add(0.0, 1.0)
    assert -0.2 * 100 / 400 / 2 < correction.mean < 0


@pytest.mark.parametrize(("fraction", "lowest"), [(0.95, 0.01), (0.999, 1e-3), (0.5, 0.05)])
def test_the_cost_weight_falls_no_lower_than_what_the_floor_spares(fraction: float, lowest: float) -> None:
    one = floored(fraction)
    serve(one, 800, {"small": 0.0, "middle": 0.0, "large": 1.0})
    assert report(one).cost_weight >= lowest * (1 - 1e-9)
