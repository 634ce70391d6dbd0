"""What is known of a model before the first request."""

from __future__ import annotations

import math

import pytest

from armwise.arrays import logit
from armwise.contracts import Model
from armwise.predictors.ability import PUBLISHED_MMLU_PERCENT, ability


def of_percent(percent: float) -> float:
    return logit(percent / 100.0) - logit(0.7)


@pytest.mark.parametrize(
    ("name", "percent"),
    [
        ("gpt-4-1106-preview", 86.4),
        ("openai/gpt-4o-mini-2024-07-18", 82.0),
        ("gpt-4o", 88.7),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 70.6),
        ("Meta Llama 3.1 70B Instruct", 79.3),
        ("zero-one-ai/Yi-34B-Chat", 76.3),
        ("gemini-1.5-pro-002", 85.9),
        ("claude-instant-v1", 73.4),
        ("o1-mini", 85.2),
    ],
)
def test_the_longest_published_name_counts(name: str, percent: float) -> None:
    assert ability(Model(name)) == pytest.approx(of_percent(percent))


def test_a_part_of_a_word_is_no_name() -> None:
    assert ability(Model("gpt-40")) == ability(Model("foo1")) == 0.0  # neither gpt-4 nor o1
    assert ability(Model("phi-25b")) != pytest.approx(of_percent(PUBLISHED_MMLU_PERCENT["phi-2"]))


def test_a_profile_comes_first_then_name_then_size_then_price() -> None:
    priced = {"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 0.5}
    assert ability(Model("gpt-4", profile={"mmlu": 0.7}, **priced)) == pytest.approx(0.0)
    assert ability(Model("my-alias", upstream="gpt-4", **priced)) == pytest.approx(of_percent(86.4))
    assert ability(Model("nobody-7b", **priced)) == pytest.approx(0.25 - logit(0.7))
    assert ability(Model("nobody-70b", **priced)) - ability(Model("nobody-7b", **priced)) == pytest.approx(
        0.4 * math.log(10)
    )
    assert ability(Model("nobody", **priced)) == pytest.approx(0.5 - logit(0.7))
    dear = Model("nobody", input_usd_per_mtok=10.0, output_usd_per_mtok=30.0)
    assert ability(dear) > ability(Model("nobody", **priced))
    assert ability(Model("nobody")) == 0.0


def test_it_is_bounded() -> None:
    for model in (
        Model("free", input_usd_per_mtok=0.0, output_usd_per_mtok=0.0),
        Model("gold", input_usd_per_mtok=1e9, output_usd_per_mtok=1e9),
        Model("all", profile={"mmlu": 1.0}),
        Model("none", profile={"mmlu": 0.0}),
        Model("tiny-0b"),
    ):
        assert -2.0 <= ability(model) <= 2.0
