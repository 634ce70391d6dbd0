"""Usage believed or not, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armwise.contracts import Model
from armwise.errors import BadInput
from armwise.providers.billing import bill
from armwise.providers.prices import price
from armwise.providers.usage import Usage, estimate_tokens, measure

MODEL = Model("mine", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
TEXT = "A question of about forty letters or so."
BODY = {"messages": [{"role": "user", "content": TEXT}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "An answer of about thirty or so."}}]}


def measured(reported: Any, **more: Any) -> Usage:
    return measure(reported, more.pop("body", BODY), more.pop("answer", ANSWER), sent_bytes=120, **more)


def test_an_honest_report_is_believed_to_the_token() -> None:
    usage = measured(
        {
            "prompt_tokens": 12,
            "completion_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }
    )
    assert usage == Usage(input_tokens=12, output_tokens=9, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2)
    assert not usage.estimated


@pytest.mark.parametrize("value", [-1, 10**9, 1.5, "12", True, 0, None])
def test_what_cannot_be_is_estimated_and_flagged(value: Any) -> None:
    usage = measured({"prompt_tokens": value, "completion_tokens": value})
    word = "missing" if value is None else "implausible"
    assert usage.flags == {f"{word}_input", f"{word}_output"}
    assert (usage.input_tokens, usage.output_tokens) == (10, 8)


@pytest.mark.parametrize("reported", [None, [], "lots", 7])
def test_a_report_of_the_wrong_kind_is_a_missing_one(reported: Any) -> None:
    assert measured(reported).flags == {"missing_input", "missing_output"}


def test_too_few_tokens_for_the_text_are_not_believed() -> None:
    long = {"messages": [{"role": "user", "content": "word " * 4000}]}
    assert measured({"prompt_tokens": 12, "completion_tokens": 9}, body=long).flags == {"implausible_input"}
    blank = {"messages": [{"role": "user", "content": " " * 20_000 + "hi"}]}
    assert measured({"prompt_tokens": 12, "completion_tokens": 9}, body=blank).flags == frozenset()


def test_more_output_than_was_allowed_is_not_believed() -> None:
    answer = {"choices": [{"message": {"content": "x" * 2000}}]}
    usage = measured({"prompt_tokens": 12, "completion_tokens": 900}, body={**BODY, "max_tokens": 500}, answer=answer)
    assert usage.flags == {"implausible_output"}


def test_hidden_reasoning_counts_where_it_is_reported() -> None:
    report = {"prompt_tokens": 12, "completion_tokens": 5009, "completion_tokens_details": {"reasoning_tokens": 5000}}
    assert measured(report).flags == frozenset()
    assert measured(report).output_tokens == 5009


def test_cached_tokens_beyond_the_input_are_not_believed() -> None:
    usage = measured({"prompt_tokens": 12, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 50}})
    assert usage.cached_tokens == 0
    assert usage.flags == {"implausible_cached"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "cost",
                     "completion_tokens_details", "reasoning_tokens", "cache_write_tokens"]), inner)))  # fmt: skip
def test_no_report_breaks_the_bill(reported: Any) -> None:
    usage = measured(reported)
    cost = bill(MODEL, usage, reported)
    assert 0 <= cost.cost_usd < 0.05
    assert 0 <= usage.cached_tokens + usage.cache_write_tokens <= usage.input_tokens


def test_estimates() -> None:
    assert [estimate_tokens(text) for text in ("", "a", "four", "fours", "漢字", "\ud800")] == [0, 1, 1, 2, 2, 1]


def test_the_models_own_prices_bill_cached_input_in_full() -> None:
    cost = bill(MODEL, Usage(input_tokens=1000, output_tokens=100, cached_tokens=900))
    assert cost.cost_usd == pytest.approx(1000e-6 + 200e-6)
    assert cost.source == "model"


def test_list_prices_bring_the_lists_discounts() -> None:
    usage = Usage(input_tokens=10_000, output_tokens=0, cached_tokens=8_000)
    plain, written = price("gpt-4o-mini")
    for model in (
        Model("gpt-4o-mini"),
        Model("gpt-4o-mini", input_usd_per_mtok=plain, output_usd_per_mtok=written),
        Model("any", upstream="gpt-4o-mini"),
    ):
        cost = bill(model, usage)
        assert cost.source == "list"
        assert cost.cost_usd < 0.7 * 10_000 * plain / 1e6
    assert bill(Model("gpt-4o-mini", input_usd_per_mtok=9, output_usd_per_mtok=9), usage).source == "model"


def test_a_cost_that_the_provider_names_comes_first() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100)
    assert bill(MODEL, usage, {"cost": 0.0009}).cost_usd == 0.0009
    assert bill(MODEL, usage, {"cost": 0.0009}).source == "provider"
    for lie in (float("nan"), -1.0, 5.0):
        cost = bill(MODEL, usage, {"cost": lie})
        assert cost.cost_usd == pytest.approx(0.0012)
        assert cost.flags == {"implausible_cost"}


def test_prices() -> None:
    assert price("gpt-4o-mini") == (0.15, 0.6)
    assert price("openai/gpt-4o-mini") == (0.15, 0.6)
    with pytest.raises(BadInput, match=r"'gpt-4o-minni' has no price.*did you mean 'gpt-4o-mini'"):
        price("gpt-4o-minni")
    with pytest.raises(BadInput, match="give input_usd_per_mtok"):
        bill(Model("a model that nobody sells"), Usage(input_tokens=1, output_tokens=1))
