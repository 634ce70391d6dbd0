"""Plans as trees of JSON: what they may be, and what is said where they may not."""

from __future__ import annotations

from typing import Any

import pytest

from armwise.contracts import Arm, arm_as_dict, arm_from_dict
from armwise.errors import BadInput
from armwise.plans import Call, Cascade, Check, Ensemble, calls_in, models_in, plan_arm, plan_arms, plan_of
from helpers import model

MODELS = [model("small"), model("middle"), model("large"), model("claude", provider="anthropic")]
FRUGAL = {"cascade": {"tiers": ["small", "large"]}}
COUNCIL = {"ensemble": {"members": ["small", "middle", "large"]}}


def test_an_arm_holds_its_plan_and_the_log_gives_it_back() -> None:
    arm = plan_arm("deep", {"cascade": {"tiers": [COUNCIL, "large"], "check": ["agreement", "format"]}}, MODELS)
    again = arm_from_dict(arm_as_dict(arm))
    assert plan_of(again) == plan_of(arm)
    node = plan_of(arm)
    assert isinstance(node, Cascade)
    assert node.checks == (Check(kind="agreement"), Check(kind="format"))
    assert isinstance(node.tiers[0], Ensemble)
    assert node.tiers[1] == Call(model="large")
    assert [m.name for m in arm.models] == ["small", "middle", "large"]


def test_a_plain_arm_is_a_call() -> None:
    assert plan_of(Arm.of(MODELS[0])) == Call(model="small")
    with pytest.raises(BadInput, match="calls one model, this one has 2"):
        plan_of(Arm("two", models=tuple(MODELS[:2])))


def test_every_model_that_may_be_called_is_the_arms() -> None:
    tree = {"cascade": {"tiers": ["small", "middle"], "check": {"verifier": {"model": "large"}}}}
    assert models_in(plan_of(plan_arm("v", tree, MODELS))) == ("small", "middle", "large")
    tree = {"ensemble": {"members": ["small", "middle"], "pick": {"judge": {"model": "large"}}}}
    assert {m.name for m in plan_arm("j", tree, MODELS).models} == {"small", "middle", "large"}


def test_agreement_samples_the_tiers_that_are_checked() -> None:
    tree = {"cascade": {"tiers": ["small", COUNCIL, "large"], "check": {"agreement": {"samples": 4}}}}
    node = plan_of(plan_arm("a", tree, MODELS))
    assert isinstance(node, Cascade)
    assert node.tiers[0] == Ensemble(members=(Call(model="small", temperature=0.8),) * 4, pick="majority")
    assert node.tiers[2] == Call(model="large")
    assert calls_in(node) == 4 + 3 + 1


def test_thresholds_make_an_arm_each() -> None:
    arms = plan_arms({"frugal": {"cascade": {"tiers": ["small", "large"], "threshold": [0.5, 0.75]}}}, MODELS)
    assert [arm.name for arm in arms] == ["frugal@0.5", "frugal@0.75"]
    assert [plan_of(arm).threshold for arm in arms] == [0.5, 0.75]  # type: ignore[union-attr]


def test_plans_stand_in_one_another_by_name() -> None:
    arms = plan_arms({"careful": {"cascade": {"tiers": ["council", "large"]}}, "council": COUNCIL}, MODELS)
    careful = plan_of(arms[0])
    assert isinstance(careful, Cascade)
    assert careful.tiers[0] == plan_of(arms[1])


@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ({"a": {"cascade": {"tiers": ["small", "a"]}}}, r"plan 'a' contains itself: a -> a"),
        (
            {"a": {"cascade": {"tiers": ["small", "b"]}}, "b": {"ensemble": {"members": ["a", "small"]}}},
            r"plan 'a' contains itself: a -> b -> a",
        ),
        ({"small": FRUGAL}, "there is a model of that name"),
        ({"a": {"cascade": {"tiers": []}}}, r"plan 'a'.cascade.tiers: needs at least 2, got 0"),
        ({"a": {"cascade": {}}}, r"tiers: must be a list, got nothing"),
        ({"a": {"cascade": {"tiers": "small"}}}, r"tiers: must be a list, got str"),
        ({"a": {"cascade": {"tiers": ["smal", "large"]}}}, r"tiers\[0\]: unknown model 'smal'; did you mean 'small'"),
        ({"a": {"cascade": {"tiers": ["small", 3]}}}, r"tiers\[1\]: must name a model, or be one of"),
        ({"a": {"cascad": {"tiers": ["small"]}}}, r"unknown plan 'cascad'; did you mean 'cascade'"),
        ({"a": {}}, r"must name a model, or be one of cascade, ensemble"),
        ({"a": {"cascade": ["small", "large"]}}, r"must be a mapping of settings, got list"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "treshold": 1}}}, "did you mean 'threshold'"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "threshold": 1.5}}}, "between 0 and 1, got 1.5"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "threshold": []}}}, "a number or a list of at least one"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "threshold": [0.5, "x"]}}}, "between 0 and 1, got 'x'"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "check": "logprobs"}}}, "did you mean 'logprob'"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "check": []}}}, "at least one check"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "check": "verifier"}}}, "unknown model None"),
        ({"a": {"cascade": {"tiers": ["claude", "large"]}}}, "'claude' gives no log-probabilities"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "check": {"agreement": {"samples": 0}}}}}, "got 0"),
        ({"a": {"cascade": {"tiers": ["small", "large"], "check": {"agreement": {"temperature": 0}}}}}, "above 0"),
        ({"a": {"ensemble": {"members": ["small"]}}}, "needs at least 2, got 1"),
        ({"a": {"ensemble": {"members": ["small", "large"], "pick": "majorty"}}}, "did you mean 'majority'"),
        ({"a": {"ensemble": {"members": ["small", "large"], "pick": "judge"}}}, "a judge is a model"),
        ({"a": {"ensemble": {"members": ["small", "large"], "pick": {"judge": {}}}}}, "must be majority, weighted or"),
        ({"a": {"ensemble": {"members": ["small", "large"], "answer": "("}}}, "not a pattern"),
        ({"a": {"ensemble": {"members": ["small", "large"], "answer": "x"}}}, "a pattern with one group, got 0"),
        ({"a": {"ensemble": {"members": ["small", "large"], "samples": 20}}}, "up to 40 calls, at most 32"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(plans: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan_arms(plans, MODELS)
