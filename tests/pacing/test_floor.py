"""The quality floor: the lowest cost at a quality that is held."""

from __future__ import annotations

import pytest

from armwise.contracts import Request
from armwise.pacing import Objective
from helpers import context, decider


def test_the_quality_floor_saves_only_what_judgements_allow() -> None:
    one = decider({"name": "thompson"}, Objective.min_cost(quality_fraction=0.95, reference="large"))
    assert one.pacer.trade(0.0, Request(), context()).cost_weight == pytest.approx(0.01)
    decision = one.decide(Request(), context(), id="d", at=0.0, seed=1)
    wanted = 0.95 * decision.predictions.quality[decision.arms.index("large")]
    one.pacer.judged(decision, wanted + 0.1, None)
    dear = one.pacer.trade(0.0, Request(), context()).cost_weight
    assert dear > 0.01
    one.pacer.judged(decision, wanted - 0.1, None)
    assert one.pacer.trade(0.0, Request(), context()).cost_weight == pytest.approx(0.01)
    without = one.decide(Request(arms={"small"}), context(), id="e", at=0.0, seed=1)
    one.pacer.judged(without, 1.0, None)
    assert one.pacer.trade(0.0, Request(), context()).cost_weight == pytest.approx(0.01)
