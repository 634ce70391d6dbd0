"""What simulated models say of the answers of others, in the words of the prompts that ask them."""

from __future__ import annotations

from random import Random

import pytest

from armwise.orchestration import prompts
from armwise.testing.models import SimulatedModel
from armwise.testing.tasks import TOOLS, generate, make, mistake
from armwise.testing.verdicts import verdict

WISE, FOOL = SimulatedModel("wise", skill=3.0), SimulatedModel("fool", skill=-3.0)


def asked(body: dict[str, object]) -> str:
    return str(body["messages"][0]["content"])  # type: ignore[index]


def body_of(prompt: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": prompt}]}


@pytest.mark.parametrize("kind", ["arithmetic", "code", "extraction", "choice"])
def test_a_verifier_that_knows_tells_right_from_wrong(kind: str) -> None:
    for task in generate(10, seed=1, kinds=[kind]):
        wrong = mistake(task, Random(0))
        scores = [
            prompts.number_in(
                verdict(WISE, asked(prompts.verification(body_of(task.prompt), {"content": text})), Random(2)) or ""
            )
            for text in (f"Answer: {task.answer}" if kind != "extraction" else task.answer, wrong)
        ]
        assert scores[0] == 95
        assert scores[1] is not None
        assert scores[1] < 95


def test_tool_calls_are_judged_too() -> None:
    task = make("tool", difficulty=0.5, rng=Random(1))
    name = TOOLS[0]["function"]["name"]
    call = {"tool_calls": [{"function": {"name": name, "arguments": task.answer}}]}
    said = verdict(WISE, asked(prompts.verification(body_of(task.prompt), call)), Random(0))
    assert said == "95"


def test_a_judge_that_knows_picks_a_right_answer_and_a_fool_any() -> None:
    task = make("arithmetic", difficulty=0.5, rng=Random(3))
    messages = [{"content": "Answer: 1"}, {"content": f"Answer: {task.answer}"}, {"content": "Answer: 2"}]
    question = asked(prompts.choice(body_of(task.prompt), messages))
    assert {verdict(WISE, question, Random(seed)) for seed in range(10)} == {"2"}
    assert {verdict(FOOL, question, Random(seed)) for seed in range(40)} == {"1", "2", "3"}


def test_anything_else_is_no_such_question() -> None:
    assert verdict(WISE, "What is 1 + 1?", Random(0)) is None
    assert verdict(WISE, "<conversation>\nuser: Hi\n</conversation>", Random(0)) is None


@pytest.mark.parametrize(("text", "number"), [("87", 87.0), ("I say 3, no: 4.5", 4.5), ("none", None)])
def test_replies_are_read_by_their_last_number(text: str, number: float | None) -> None:
    assert prompts.number_in(text) == number
