"""What a simulated model says of the answers of others. Checking is somewhat easier for it than answering."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from armwise.testing.models import SimulatedModel
from armwise.testing.tasks import Task, recognise, score

_EASIER = 0.25
"""How much less difficult it is to check an answer than to find it."""

_CONVERSATION = re.compile(r"<conversation>\n(.*)\n</conversation>", re.DOTALL)
_VERIFY = re.compile(r"<answer>\n(.*)\n</answer>.*from 0 .*to 100", re.DOTALL)
_CHOOSE = re.compile(r"<answer (\d+)>\n(.*?)\n</answer \1>", re.DOTALL)


def verdict(model: SimulatedModel, text: str, rng: Random) -> str | None:
    """The reply to a question of how good an answer is (a number to 100), or of which is best (its number).

    None if the text is no such question.
    """
    conversation = _CONVERSATION.search(text)
    if conversation is None:
        return None
    task = recognise(conversation.group(1))
    if found := _VERIFY.search(text):
        if task is None or rng.random() >= _insight(model, task):
            return str(rng.randint(20, 90))
        return str(round(5 + 90 * score(task, _message(found.group(1)))))
    if answers := [found[1] for found in _CHOOSE.findall(text)]:
        place = rng.randrange(len(answers))
        if task is not None and rng.random() < _insight(model, task):
            scores = [score(task, _message(answer)) for answer in answers]
            place = scores.index(max(scores))
        return str(place + 1)
    return None


def _insight(model: SimulatedModel, task: Task) -> float:
    return model.chance_of(task.kind, max(0.0, task.difficulty - _EASIER))


def _message(said: str) -> str | dict[str, Any]:
    """An answer as it was shown: a text, or a call of a tool."""
    call = re.fullmatch(r"(\w+)\((\{.*)\)", said.strip(), re.DOTALL)
    if call is None:
        return said
    return {"tool_calls": [{"function": {"name": call.group(1), "arguments": call.group(2)}}]}
