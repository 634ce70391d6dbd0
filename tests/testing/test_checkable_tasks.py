"""Tasks: every answer scores one, every mistake less, and the text alone gives both back."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armwise.errors import BadInput
from armwise.testing.tasks import KINDS, generate, make, mistake, recognise, score


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), difficulty=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_a_task_is_recovered_from_its_prompt_and_scores_as_it_should(kind: str, difficulty: float, seed: int) -> None:
    task = make(kind, difficulty=difficulty, rng=Random(seed))
    assert recognise(f"You are terse. {task.prompt} Thank you!") == task
    assert 0.0 <= task.difficulty <= 1.0
    assert score(task, task.answer) == 1.0
    assert score(task, f"I take 3 steps.\nAnswer: {task.answer}") == 1.0
    assert score(task, mistake(task, Random(seed))) < 1.0
    assert score(task, "") == 0.0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_asking_for_more_difficulty_gives_more(kind: str) -> None:
    easy, hard = (
        sum(make(kind, difficulty=level, rng=Random(seed)).difficulty for seed in range(20)) / 20
        for level in (0.0, 1.0)
    )
    assert easy < 0.35
    assert hard > 0.65


def test_the_last_task_of_a_text_counts() -> None:
    first, last = generate(2, seed=3, kinds=["arithmetic"])
    assert recognise(f"{first.prompt} 42\n{last.prompt}") == last


def test_text_without_a_task() -> None:
    assert recognise("Tell me about the weather, 3 + 4 is not asked here") is None


def test_json_answers_and_tool_calls_are_read() -> None:
    number, tool = make("arithmetic", difficulty=0.1, rng=Random(1)), make("tool", difficulty=0.9, rng=Random(1))
    assert score(number, f'{{"answer": {number.answer}}}') == 1.0
    call = {"id": "x", "type": "function", "function": {"name": "lookup_stock", "arguments": tool.answer}}
    assert score(tool, {"role": "assistant", "content": None, "tool_calls": [call]}) == 1.0
    call["function"] = {"name": "lookup_stock", "arguments": tool.answer[:-1]}
    assert score(tool, {"role": "assistant", "content": None, "tool_calls": [call]}) == 0.0


def test_parts_of_an_object_count() -> None:
    task = make("extraction", difficulty=1.0, rng=Random(0))
    assert 0.0 < score(task, mistake(task, Random(0))) < 1.0


def test_bad_input_is_named() -> None:
    with pytest.raises(BadInput, match="did you mean 'arithmetic'"):
        make("arithmetics", difficulty=0.5, rng=Random(0))
    with pytest.raises(BadInput, match="between 0 and 1"):
        make("code", difficulty=1.5, rng=Random(0))
