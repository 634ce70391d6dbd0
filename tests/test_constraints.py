"""Hard constraints: each excludes what it should, says so, and nothing gets past them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armwise.constraints import Pool
from armwise.contracts import SENSITIVITIES, Arm, Request
from armwise.errors import NoEligibleArm, UnknownModel
from helpers import assert_same_state, context, decider, model


def pool(*models: Any) -> Pool:
    out = Pool()
    for item in models:
        out.add(item if isinstance(item, Arm) else Arm.of(item))
    return out


OPEN = {"clearance": "restricted", "residency": "eu", "modalities": {"text", "image"}, "context_window": 100_000}


def test_a_misspelt_arm_of_a_request_gets_its_near_miss() -> None:
    with pytest.raises(NoEligibleArm, match="unknown arm 'smal'; did you mean 'small'"):
        pool(model("small", **OPEN)).eligible(context(), Request(arms=frozenset({"smal"})))


@pytest.mark.parametrize(
    ("limited", "request_", "seen", "reason"),
    [
        ({"clearance": "public"}, {"sensitivity": "internal"}, {}, "sensitivity internal above its clearance public"),
        ({"residency": "us"}, {"residency": {"eu"}}, {}, "residency us not in eu"),
        ({"residency": None}, {"residency": {"eu", "ch"}}, {}, "residency unknown not in ch, eu"),
        ({"tools": False}, {}, {"tools": True}, "takes no tools"),
        ({"modalities": {"text"}}, {}, {"modalities": frozenset({"text", "image"})}, "does not take image"),
        ({"context_window": 4_096}, {}, {"input_tokens": 5_000}, "context window 4096 < 5000 tokens"),
        ({"context_window": 4_096}, {"max_output_tokens": 4_000}, {}, "context window 4096 < 4100 tokens"),
        ({}, {"arms": {"open"}}, {}, "not among the arms the request allows"),
    ],
)
def test_each_constraint_excludes_and_names_itself(limited: Any, request_: Any, seen: Any, reason: str) -> None:
    request = Request(**request_)
    narrow = model("narrow", **{**OPEN, **limited})
    actions = pool(model("open", **OPEN), narrow).eligible(context(**seen), request)
    assert actions.names == ("open",)
    assert actions.slots.tolist() == [0]
    assert dict(actions.excluded) == {"narrow": reason}
    with pytest.raises(NoEligibleArm) as caught:
        pool(narrow).eligible(context(**seen), request)
    assert str(caught.value).startswith(f"no arm can answer this request: narrow: {reason}")
    assert caught.value.excluded == {"narrow": reason}
    assert caught.value.status == 422


def test_a_plan_is_as_limited_as_its_most_limited_model() -> None:
    plan = Arm(
        "both", models=(model("small", **OPEN), model("large", **{**OPEN, "context_window": 50})), plan="cascade"
    )
    with pytest.raises(NoEligibleArm, match="both: context window 50 < 100 tokens"):
        pool(plan).eligible(context(), Request())
    with pytest.raises(NoEligibleArm, match="both: small: residency eu not in us"):
        pool(plan).eligible(context(input_tokens=1), Request(residency={"us"}))


def test_an_arm_out_of_use_says_why_and_comes_back() -> None:
    arms = pool(model("a"), model("b"))
    arms.set_available("a", "unhealthy: 5 failures in a row")
    assert arms.eligible(context(), Request()).excluded == {"a": "unhealthy: 5 failures in a row"}
    arms.set_available("a", None)
    assert arms.eligible(context(), Request()).names == ("a", "b")
    with pytest.raises(UnknownModel, match="unknown arm 'aa'; did you mean 'a'"):
        arms.set_available("aa", "x")


def test_a_disabled_arm_takes_the_plans_that_call_it_with_it_and_a_restored_pool_knows() -> None:
    arms = pool(model("a"), model("b"))
    arms.add(Arm("a, then b", models=(model("a"), model("b")), plan="cascade"))
    arms.disable("a")
    assert arms.disabled == {"a"}
    actions = arms.eligible(context(), Request())
    assert actions.names == ("b",)
    assert dict(actions.excluded) == {"a": "disabled", "a, then b": "a: disabled"}
    again = Pool()
    again.restore(arms.state())
    assert again.state() == arms.state()
    assert again.eligible(context(), Request()).names == ("b",)
    again.enable("a")
    assert again.eligible(context(), Request()).names == ("a", "b", "a, then b")
    older = {key: value for key, value in arms.state().items() if key != "disabled"}
    again.restore(older)
    assert again.disabled == frozenset()
    with pytest.raises(UnknownModel, match="did you mean 'a'"):
        arms.disable("aa")


def test_an_empty_pool_says_so() -> None:
    with pytest.raises(NoEligibleArm, match="the pool is empty"):
        Pool().eligible(context(), Request())


def test_a_removed_arm_leaves_its_slot_empty_for_ever() -> None:
    arms = pool(model("a"), model("b"))
    arms.remove("a")
    assert arms.names == ("b",)
    assert arms.add(Arm.of(model("a"))) == 2
    actions = arms.eligible(context(), Request())
    assert actions.names == ("b", "a")
    assert actions.slots.tolist() == [1, 2]
    with pytest.raises(UnknownModel, match="unknown arm 'c'"):
        arms.remove("c")


def test_new_particulars_act_at_once() -> None:
    arms = pool(model("a"))
    assert arms.eligible(context(), Request(residency=None)).names == ("a",)
    arms.replace(Arm.of(model("a", context_window=10)))
    with pytest.raises(NoEligibleArm, match="context window 10 < 100"):
        arms.eligible(context(), Request())


def test_kinds_that_callers_make_up_are_not_kept_for_ever() -> None:
    arms = pool(model("a"))
    for i in range(3_000):
        arms.eligible(context(), Request(arms={"a", f"made up {i}"}))
    assert len(arms._kinds) <= 1_025


def test_a_restored_pool_is_the_same_pool() -> None:
    arms = pool(model("a", **OPEN), model("b"), Arm("p", models=(model("a"), model("b")), options={"k": 2}))
    arms.remove("b")
    twin = Pool()
    twin.restore(arms.state())
    assert_same_state(twin.state(), arms.state())
    assert twin.arms == arms.arms


LIMITS = st.fixed_dictionaries(
    {
        "clearance": st.sampled_from(SENSITIVITIES),
        "residency": st.sampled_from([None, "eu", "us"]),
        "tools": st.booleans(),
        "modalities": st.sampled_from([frozenset({"text"}), frozenset({"text", "image"})]),
        "context_window": st.sampled_from([None, 50, 1_000]),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    limits=st.lists(LIMITS, min_size=1, max_size=5),
    sensitivity=st.sampled_from(SENSITIVITIES),
    residency=st.sampled_from([None, frozenset({"eu"}), frozenset({"eu", "us"}), frozenset()]),
    tools=st.booleans(),
    image=st.booleans(),
    tokens=st.integers(0, 1_200),
    allowed=st.none() | st.frozensets(st.sampled_from(["m0", "m1", "m2", "other"])),
    max_cost=st.none() | st.floats(1e-6, 1e-2),
    name=st.sampled_from(["thompson", "squarecb", "epsilon", "uniform"]),
    seed=st.integers(0, (1 << 64) - 1),
)
def test_a_decision_never_leaves_what_is_allowed(
    limits: Any,
    sensitivity: str,
    residency: Any,
    tools: bool,
    image: bool,
    tokens: int,
    allowed: Any,
    max_cost: float | None,
    name: str,
    seed: int,
) -> None:
    models = {f"m{i}": model(f"m{i}", **limit) for i, limit in enumerate(limits)}
    one = decider({"name": name}, arms=models.values())
    needs = frozenset({"text", "image"} if image else {"text"})
    request = Request(sensitivity=sensitivity, residency=residency, arms=allowed, max_cost_usd=max_cost)
    seen = context(tools=tools, modalities=needs, input_tokens=tokens)
    level = SENSITIVITIES.index
    expected = {
        key
        for key, m in models.items()
        if level(m.clearance) >= level(sensitivity)
        and (residency is None or m.residency in residency)
        and (m.tools or not tools)
        and needs <= m.modalities
        and (m.context_window is None or m.context_window >= tokens)
        and (allowed is None or key in allowed)
        and (max_cost is None or (tokens * 1.0 + 200 * 2.0) / 1e6 <= max_cost)
    }
    if not expected:
        with pytest.raises(NoEligibleArm) as caught:
            one.decide(request, seen, id="d", at=0.0, seed=seed)
        assert set(caught.value.excluded) == set(models)
        return
    decision = one.decide(request, seen, id="d", at=0.0, seed=seed)
    assert set(decision.arms) == set(decision.probabilities) == expected
    assert decision.arm in expected
    assert decision.propensity > 0
    assert set(decision.excluded) == set(models) - expected
