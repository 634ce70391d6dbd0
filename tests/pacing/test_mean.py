"""A mean per request is kept over any stretch, not over the whole run alone."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.contracts import Budget
from armwise.pacing.mean import MeanMeter

BUDGET_USD = 1e-3
CHEAP = 0.1
"""Budgets."""


def buy(meter: MeanMeter, gains: list[float], dear: list[float]) -> float:
    """Take the dear arm, at costs in budgets, wherever its gain is worth the price; mean spend in budgets."""
    spent = []
    for t, (gain, cost) in enumerate(zip(gains, dear, strict=True)):
        bought = gain > meter.price(t) * BUDGET_USD * (cost - CHEAP)
        usd = (cost if bought else CHEAP) * BUDGET_USD
        meter.decided(t, usd, usd)
        meter.billed(t, t, usd, reserved=usd, estimated=0.0)
        spent.append(usd)
    return float(np.mean(spent)) / BUDGET_USD


def test_what_was_not_spent_while_nothing_was_worth_buying_is_not_all_spent_later() -> None:
    rng = np.random.default_rng(0)
    meter = MeanMeter(Budget(usd=BUDGET_USD, per="request"))
    assert buy(meter, [0.0] * 800, [5.0] * 800) < 0.5
    assert 0.98 <= buy(meter, rng.random(800).tolist(), [5.0] * 800) <= 1.02


@pytest.mark.parametrize("gain", [0.01, 0.3])
def test_a_price_that_lies_at_its_floor_does_not_let_a_dearer_time_overspend(gain: float) -> None:
    rng = np.random.default_rng(1)
    meter = MeanMeter(Budget(usd=BUDGET_USD, per="request"))
    gains = (gain + 0.02 * rng.random(800)).tolist()
    assert buy(meter, gains, [0.9] * 800) == pytest.approx(0.9, abs=0.01)  # all that there is to buy
    assert 0.98 <= buy(meter, gains, [1.15] * 800) <= 1.02


@pytest.mark.parametrize("seed", range(4))
def test_few_dear_requests_of_very_different_cost_keep_to_the_mean_in_a_short_run(seed: int) -> None:
    rng = np.random.default_rng(seed)
    meter = MeanMeter(Budget(usd=BUDGET_USD, per="request"))
    dear = rng.lognormal(2.0, 0.4, size=1_300).tolist()
    gains = rng.normal(0.2, 0.1, size=1_300).tolist()
    buy(meter, gains[:650], dear[:650])
    assert 0.98 <= buy(meter, gains[650:], dear[650:]) <= 1.02


def test_a_budget_below_every_arm_asks_for_the_cheapest_at_a_price_that_stays_finite() -> None:
    meter = MeanMeter(Budget(usd=BUDGET_USD, per="request"))
    assert buy(meter, [1.0] * 500, [50.0] * 500) < 1.2
    for _ in range(2_000):
        meter.decided(0.0, 50 * BUDGET_USD, 50 * BUDGET_USD)
    assert 1e3 < meter.price(0.0) < 1e20
