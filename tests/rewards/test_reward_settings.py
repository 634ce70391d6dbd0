"""The section ``rewards`` of a configuration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from armwise.config.rewards import RewardSettings
from armwise.rewards import KINDS, RULES


def test_nothing_said_leaves_the_defaults() -> None:
    assert RewardSettings().record() == RULES


def test_any_part_of_a_kind_can_be_changed_and_kinds_be_added() -> None:
    rules = RewardSettings.model_validate(
        {
            "kinds": {
                "copy": {"quality": 0.8},
                "rating": {"reliability": 0.7, "weight": 2.0},
                "abandon": {"weight": 0.0},
                "stars": {"at_zero": 0.2, "at_one": 1.0, "question": "rating"},
            },
            "final_after_s": 3600,
            "scale_spread": 0,
            "client_signals_per_minute": None,
        }
    ).record()
    assert (rules.kinds["copy"].quality(0.0), rules.kinds["copy"].reliability) == (0.8, KINDS["copy"].reliability)
    assert (rules.kinds["rating"].reliability, rules.kinds["rating"].weight) == (0.7, 2.0)
    assert rules.kinds["abandon"].weight == 0.0
    assert rules.question("stars") == "rating"
    assert rules.final_after_s == 3600
    assert rules.scale_spread == 0.0
    assert rules.client_signals_per_minute is None
    assert rules.kinds["thumbs_up"] == KINDS["thumbs_up"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kinds": {"smile": {"reliability": 0.5}}}, "needs at_zero or at_one"),
        ({"kinds": {"copy": {"quality": 1.0, "at_one": 1.0}}}, "kinds.copy: give quality, or at_zero and at_one"),
        ({"kinds": {"cost_usd": {"quality": 1.0}}}, "'cost_usd' is a measure"),
        ({"kinds": {"copy": {"reliability": 0.0}}}, "greater than 0"),
        ({"final_after_s": -1}, "greater than 0"),
        ({"scale_spread": -0.1}, "greater than or equal to 0"),
        ({"kind": {}}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RewardSettings.model_validate(settings)
