"""Cost and the positive quantities it stands on."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.contracts import Arm, Model
from armwise.errors import BadInput
from armwise.predictors import CostModel, PooledLogModel
from armwise.predictors.cost import usd_per_token
from helpers import contexts, model

ALL = np.arange(3, dtype=np.intp)
RATIOS = np.array([0.5, 1.0, 3.0])


def lengths(x: np.ndarray) -> np.ndarray:
    return 150.0 * np.exp(0.6 * x[:, 1] - 0.4 * x[:, 2])


def test_token_ratios_are_recovered_from_partial_feedback() -> None:
    pooled = PooledLogModel(4, typical=200.0)
    for _ in range(3):
        pooled.add_arm()
    x = contexts(6_000, 3)
    rng = np.random.default_rng(3)
    for row, length in zip(x, lengths(x), strict=True):
        slot = int(rng.integers(3))
        pooled.learn(row, slot, float(length * RATIOS[slot] * rng.lognormal(-0.045, 0.3)))
    test = contexts(200, 4)
    got = np.array([pooled.predict(row, ALL) for row in test])
    expected = lengths(test)[:, None] * RATIOS
    np.testing.assert_allclose(got.mean(axis=0) / got.mean(axis=0)[1], RATIOS, rtol=0.08)
    assert np.median(np.abs(got / expected - 1)) < 0.1
    np.testing.assert_allclose(got.sum(axis=0), expected.sum(axis=0), rtol=0.12)


def test_a_model_that_becomes_talkative_is_followed() -> None:
    pooled = PooledLogModel(4, typical=200.0)
    for _ in range(3):
        pooled.add_arm()
    x = contexts(1, 1)[0]
    for i in range(3_000):
        pooled.learn(x, i % 3, 200.0 * (2.5 if i >= 1_200 and i % 3 == 1 else 1.0))
    got = pooled.predict(x, ALL)
    assert got[1] / got[0] == pytest.approx(2.5, rel=0.25)


def test_zero_and_enormous_values_keep_it_finite() -> None:
    pooled = PooledLogModel(4, typical=200.0)
    pooled.add_arm()
    for value in (0.0, 1e9, 0.0, 0.0, 1e-9):
        for row in contexts(50, 1) * 100:
            pooled.learn(row, 0, value)
    got = pooled.predict(contexts(1, 2)[0], np.array([0]))
    assert np.isfinite(got).all()
    assert (got >= 0).all()


def test_before_anything_is_seen_the_typical_value_holds() -> None:
    pooled = PooledLogModel(4, typical=1_000.0)
    pooled.add_arm()
    pooled.add_arm(250.0)
    np.testing.assert_allclose(pooled.predict(contexts(1, 1)[0], np.array([0, 1])), [1_000.0, 250.0])
    with pytest.raises(BadInput, match="typical must be positive"):
        PooledLogModel(4, typical=0.0)


def cost_model() -> CostModel:
    costs = CostModel(4, typical_output_tokens=200.0)
    for name in ("small", "middle", "large"):
        costs.add_arm(Arm.of(model(name)))
    return costs


def test_known_input_and_typical_output_make_the_first_cost() -> None:
    got = cost_model().predict(contexts(1, 1)[0], 1_000, ALL)
    np.testing.assert_allclose(got, [180e-6, 800e-6, 6_000e-6])


def test_bills_teach_the_length_of_answers() -> None:
    costs, x = cost_model(), contexts(2_000, 5)
    rng = np.random.default_rng(5)
    for i, (row, length) in enumerate(zip(x, lengths(x), strict=True)):
        slot, tokens = i % 3, int(rng.integers(10, 3_000))
        input_, output = usd_per_token(Arm.of(model(("small", "middle", "large")[slot])))
        bill = input_ * tokens + output * float(length * RATIOS[slot])
        costs.learn(row, slot, tokens, cost_usd=bill, output_tokens=None)
    test = contexts(100, 6)
    got = np.array([costs.predict(row, 500, ALL) for row in test])
    prices = np.array([usd_per_token(Arm.of(model(name))) for name in ("small", "middle", "large")])
    expected = prices[:, 0] * 500 + lengths(test)[:, None] * RATIOS * prices[:, 1]
    assert np.median(np.abs(got / expected - 1)) < 0.08


def test_a_new_price_acts_at_once_with_nothing_relearned() -> None:
    costs, x = cost_model(), contexts(1, 1)[0]
    for _ in range(20):
        costs.learn(x, 2, 100, cost_usd=None, output_tokens=700.0)
    before = costs.predict(x, 1_000, ALL)
    costs.reprice(2, Arm.of(Model("large", input_usd_per_mtok=0.3, output_usd_per_mtok=1.5)))
    np.testing.assert_allclose(costs.predict(x, 1_000, ALL), before * [1, 1, 0.1])


def test_part_of_the_arms_and_a_restored_model_agree() -> None:
    costs = cost_model()
    for row in contexts(50, 1):
        costs.learn(row, 1, 100, cost_usd=1e-3, output_tokens=None)
    twin = CostModel(4)
    twin.restore(costs.state())
    x = contexts(1, 2)[0]
    assert twin.predict(x, 10, ALL).tobytes() == costs.predict(x, 10, ALL).tobytes()
    np.testing.assert_array_equal(costs.predict(x, 10, ALL[1:]), costs.predict(x, 10, ALL)[1:])


def test_a_bill_below_its_input_is_an_answer_of_no_tokens() -> None:
    costs = cost_model()
    costs.learn(contexts(1, 1)[0], 2, 1_000_000, cost_usd=0.0, output_tokens=None)
    assert (costs.predict(contexts(1, 1)[0], 10, ALL) >= 0).all()


def test_an_arm_without_a_price_is_refused() -> None:
    with pytest.raises(BadInput, match="'half' has no price"):
        CostModel(4).add_arm(Arm.of(Model("half", input_usd_per_mtok=1.0)))


def test_a_plan_costs_the_sum_of_its_models() -> None:
    plan = Arm("both", models=(model("small"), model("large")), plan="cascade")
    np.testing.assert_allclose(usd_per_token(plan), (3.1e-6, 15.4e-6))
