"""Records are checked at birth: what cannot be is refused in words."""

# ruff: noqa: E501 (a table reads best with one case a line)

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from armwise.contracts import Arm, Model, Request, Signal, Trade, arm_as_dict, arm_from_dict, penalty
from armwise.errors import ArmwiseError, BadInput, UnknownModel, unknown

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Model(""), r"Model.name must be a non-empty string, got ''"),
        (lambda: Model("  "), r"Model.name must be a non-empty string"),
        (lambda: Model(7), r"Model.name must be a non-empty string, got 7"),
        (lambda: Model("m", input_usd_per_mtok=-1), r"Model\('m'\).input_usd_per_mtok must be finite and at least 0, got -1"),
        (lambda: Model("m", output_usd_per_mtok=NAN), r"must be finite and at least 0, got nan"),
        (lambda: Model("m", output_usd_per_mtok="1"), r"must be a number, got str '1'"),
        (lambda: Model("m", context_window=True), r"must be a number, got bool True"),
        (lambda: Model("m", input_usd_per_mtok=10**400), r"must be finite"),
        (lambda: Model("m", quality_prior=1.2), r"quality_prior must be finite and between 0 and 1, got 1.2"),
        (lambda: Model("m", profile={"mmlu": 70}), r"profile\['mmlu'\] must be finite and between 0 and 1, got 70"),
        (lambda: Model("m", profile="mmlu"), r"profile must map benchmarks to scores, got str 'mmlu'"),
        (lambda: Model("m", clearance="secret"), r"clearance must be one of public, internal, .*got 'secret'"),
        (lambda: Model("m", modalities="text"), r"modalities must be a collection of names, got the string 'text'"),
        (lambda: Arm("a", models=()), r"Arm\('a'\).models must be at least one Model"),
        (lambda: Arm("a", models=("small",)), r"Arm\('a'\).models must be at least one Model, got \('small',\)"),
        (lambda: Arm("", models=(Model("m"),)), r"Arm.name must be a non-empty string"),
        (lambda: Request(messages="hello"), r"Request.messages must be a list of objects, got str"),
        (lambda: Request(messages={"role": "user"}), r"Request.messages must be a list of objects, got dict"),
        (lambda: Request(messages=[{"role": "user"}, 3]), r"Request.messages\[1\] must be an object, got int 3"),
        (lambda: Request(tools=b"x"), r"Request.tools must be a list of objects, got bytes"),
        (lambda: Request.from_text(b"\x00\xff"), r"Request.from_text needs a string, got bytes"),
        (lambda: Request.from_text(None), r"Request.from_text needs a string, got NoneType"),
        (lambda: Request(features={"x": NAN}), r"Request.features\['x'\] must be finite, got nan"),
        (lambda: Request(features={"x": -INF}), r"Request.features\['x'\] must be finite, got -inf"),
        (lambda: Request(features={"x": [1]}), r"Request.features\['x'\] must be a number, got list"),
        (lambda: Request(cost_weight=-0.1), r"Request.cost_weight must be finite and at least 0, got -0.1"),
        (lambda: Request(max_cost_usd=NAN), r"Request.max_cost_usd must be finite"),
        (lambda: Request(input_tokens=-1), r"Request.input_tokens must be finite and at least 0, got -1"),
        (lambda: Request(sensitivity="top"), r"Request.sensitivity must be one of public"),
        (lambda: Request(arms="small"), r"Request.arms must be a collection of names, got the string 'small'"),
        (lambda: Request(residency="eu"), r"Request.residency must be a collection"),
        (lambda: Signal(decision_id="", kind="quality", event_id="e"), r"Signal.decision_id must be a non-empty string"),
        (lambda: Signal(decision_id=3, kind="quality", event_id="e"), r"Signal.decision_id .* got 3"),
        (lambda: Signal(decision_id="d", kind="quality", event_id=""), r"Signal.event_id must be"),
        (lambda: Signal(decision_id="d", kind="quality", value=NAN, event_id="e"), r"Signal.value must be finite, got nan"),
        (lambda: Signal(decision_id="d", kind="quality", value="1", event_id="e"), r"Signal.value must be a number, got str"),
        (lambda: Signal(decision_id="d", kind="quality", value=True, event_id="e"), r"Signal.value must be a number, got bool"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_words(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ArmwiseError)
    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["", " ", "x" * 1_000_000, "\x00\x01\x02", "\ud800 lone", "日本語 🙂", "\u202e"])
def test_any_text_is_a_request(text: str) -> None:
    assert Request.from_text(text).messages[0]["content"] == text


def test_good_values_are_taken_as_they_are() -> None:
    request = Request(
        features={"n": 1, "f": -2.5, "s": "x", "t": True, "u": False, "np": np.float32(1.5)},
        arms=["a", "b"],
        residency=set(),
        modalities=("text", "image"),
    )
    assert request.arms == frozenset({"a", "b"})
    assert request.residency == frozenset()
    assert request.modalities == frozenset({"text", "image"})
    assert Arm("a", models=[Model("m")]) == Arm("a", models=(Model("m"),))


def test_records_are_frozen() -> None:
    for record, name in ((Model("m"), "name"), (Request(), "tenant"), (Arm.of(Model("m")), "plan")):
        with pytest.raises(AttributeError):
            setattr(record, name, "other")


def test_an_arm_survives_json() -> None:
    arm = Arm(
        "both",
        models=(Model("a", input_usd_per_mtok=0.1, modalities={"text", "image"}), Model("b", residency="eu")),
        plan="cascade",
        options={"threshold": 0.5},
    )
    assert arm_from_dict(json.loads(json.dumps(arm_as_dict(arm)))) == arm
    with pytest.raises(BadInput, match="not the record of an arm"):
        arm_from_dict({"name": "x"})
    future = arm_as_dict(arm)
    future["models"][0]["of_the_future"] = 1
    with pytest.raises(BadInput, match="of_the_future"):
        arm_from_dict(future)


def test_the_penalty_is_the_sum_of_both_exchanges() -> None:
    cost, latency = np.array([1e-3, 2e-3]), np.array([500.0, 2_000.0])
    np.testing.assert_allclose(penalty(cost, latency, Trade(0.2, 0.1, 1e-3, 1e3)), [0.25, 0.6])
    np.testing.assert_allclose(penalty(cost, latency, Trade(0.2)), [0.2, 0.4])


def test_an_unknown_name_is_told_its_near_miss_and_what_there_is() -> None:
    assert unknown("arm", "smal", ["small", "large"]) == (
        "unknown arm 'smal'; did you mean 'small'? (known: 'large', 'small')"
    )
    assert unknown("arm", "x", []) == "unknown arm 'x' (known: none)"
    assert unknown("arm", "x", [f"m{i:02}" for i in range(30)]).endswith("'m19' and 10 more)")
    assert str(UnknownModel("plain words")) == "plain words"
