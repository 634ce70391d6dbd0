"""Judges without a model."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from judging_cases import case, score

from armwise.errors import BadInput
from armwise.judging import Case, JudgeFailed
from armwise.judging.checks import ExactCheck, FunctionJudge, NumericCheck, PatternCheck, SchemaCheck


@pytest.mark.parametrize(
    ("answer", "lenient", "strict"),
    [
        ("42", 1.0, 1.0),
        (" 42. ", 1.0, 0.0),
        ("Six sevens are many.\nAnswer: 42", 1.0, 0.0),
        ("The answer was 41.\nFinal answer: 42.", 1.0, 0.0),
        ("Answer: 42\nAnswer: 43", 0.0, 0.0),
        ("142", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_exact(answer: str, lenient: float, strict: float) -> None:
    assert score(ExactCheck(), case(answer, reference="42")) == lenient
    assert score(ExactCheck(lenient=False), case(answer, reference="42")) == strict


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("It is 1,234.50 in all", True),
        ("1234.5", True),
        ("first 1, then 2, so 1.2345e3", True),
        ("1234.5 at most. Answer: 99", False),
        ("none", False),
        ("1236", False),
    ],
)
def test_numeric(answer: str, right: bool) -> None:
    assert score(NumericCheck(), case(answer, reference="1234.5")) == float(right)
    assert score(NumericCheck(relative=0.01), case("1236", reference="1234.5")) == 1.0


def test_what_has_no_reference_is_not_judged() -> None:
    for judge in (ExactCheck(), NumericCheck(), SchemaCheck()):
        assert score(judge, case("42")) is None
    assert score(NumericCheck(), case("42", reference="forty-two")) is None
    assert score(SchemaCheck(), case("{}", schema="not JSON")) is None
    assert score(SchemaCheck(), case("{}", schema='{"type": "nonsense"}')) is None


def test_pattern() -> None:
    assert score(PatternCheck(r"\b\d{2}\b"), case("it is 42")) == 1.0
    assert score(PatternCheck(r"^\d+$"), case("it is 42")) == 0.0
    with pytest.raises(BadInput, match="not a regular expression"):
        PatternCheck("(")


SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ('{"answer": 42}', True),
        ('```json\n{"answer": 42}\n```', True),
        ('{"answer": "42"}', False),
        ("[]", False),
        ("The answer is 42", False),
        ("", False),
    ],
)
def test_schema(answer: str, right: bool) -> None:
    assert score(SchemaCheck(SCHEMA), case(answer)) == float(right)
    assert score(SchemaCheck(), case(answer, schema=json.dumps(SCHEMA))) == float(right)
    with pytest.raises(BadInput, match="not a JSON schema"):
        SchemaCheck({"type": "nonsense"})


def test_your_own_function() -> None:
    async def later(about: Case) -> float:
        await asyncio.sleep(0)
        return len(about.answer) / 10

    assert score(FunctionJudge(lambda about: float("42" in about.answer)), case("42!")) == 1.0
    assert score(FunctionJudge(lambda about: None), case("42")) is None
    assert score(FunctionJudge(later), case("12345")) == 0.5


@pytest.mark.parametrize(
    ("function", "why", "says"),
    [
        (lambda about: 7.0, "unreadable", "between 0 and 1, got 7.0"),
        (lambda about: float("nan"), "unreadable", "between 0 and 1, got nan"),
        (lambda about: 1 / 0, "failed", "ZeroDivisionError"),
        (lambda about: "good", "failed", "could not convert"),
    ],
)
def test_a_function_that_misbehaves(function: Any, why: str, says: str) -> None:
    with pytest.raises(JudgeFailed, match=says) as failed:
        score(FunctionJudge(function), case("42"))
    assert failed.value.why == why


def test_a_conversation_is_shown_with_its_speakers() -> None:
    turns = (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None},
    )
    assert Case(messages=turns, answer="").question == "system: Be brief.\n\nuser: Hi\n[image_url]"
