"""A plan is an arm: the policy takes it where it is worth its price, and leaves it where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from armwise import Objective, Request, Router
from armwise.features import VectorEncoder
from armwise.plans import plan_arms
from helpers import DIMENSION, contexts, models

COST = {"small": 5e-5, "middle": 3e-4, "large": 2e-3}
QUALITY = {"small": 0.5, "middle": 0.6, "large": 0.9}


def share_of_plans(quality: float, cost_usd: float, *, threshold: dict[str, float] | None = None) -> dict[str, float]:
    """Share of each plan in the last hundred of 500 decisions, where the plans do so well at that price."""
    plans = {"cascade": {"cascade": {"tiers": ["small", "large"], "threshold": [0.5, 0.9]}}}
    rng = np.random.default_rng(1)
    with Router(
        models(),
        arms=plan_arms(plans, models()),
        objective=Objective.tradeoff(cost_weight=0.5, cost_ref_usd=2e-3),
        encoder=VectorEncoder(DIMENSION),
        seed=1,
    ) as router:
        drawn = []
        for x in contexts(500, 1):
            decision = router.decide(Request(vector=x, input_tokens=200))
            mean = QUALITY.get(decision.arm) or (threshold or {}).get(decision.arm, quality)
            cost = COST.get(decision.arm, cost_usd)
            router.observe(decision.id, quality=float(rng.random() < mean), cost_usd=cost)
            drawn.append(decision.arm)
    return {name: drawn[-100:].count(name) / 100 for name in ("cascade@0.5", "cascade@0.9")}


@pytest.mark.parametrize(
    ("quality", "cost_usd", "least", "most"),
    [
        (0.95, 4e-4, 0.6, 1.0),  # as good as the large one, at a fifth of its price
        (0.5, 2e-3, 0.0, 0.15),  # as dear as the large one, as good as the small one
    ],
)
def test_a_plan_is_drawn_where_it_is_worth_its_price(
    quality: float, cost_usd: float, least: float, most: float
) -> None:
    assert least <= sum(share_of_plans(quality, cost_usd).values()) <= most


def test_the_better_threshold_is_found() -> None:
    share = share_of_plans(0.0, 4e-4, threshold={"cascade@0.5": 0.3, "cascade@0.9": 0.95})
    assert share["cascade@0.9"] > 0.6 > 0.15 > share["cascade@0.5"]
