"""What a simulated model says when it is asked to judge: the truth, as far as its skill goes."""

from __future__ import annotations

import json
import re
from random import Random

from armwise.testing.models import SimulatedModel
from armwise.testing.tasks import recognise, score

_FENCED = re.compile(r"=+ (?P<name>[a-z ]+) =+\n(?P<text>.*?)\n=+ end of (?P=name) =+", re.DOTALL)
_SCALE = re.compile(r'"score": <number from ([\d.]+), useless, to ([\d.]+), perfect>')


def judgement(model: SimulatedModel, instructions: str, shown: str, rng: Random) -> str | None:
    """The reply to a judge's prompt of :mod:`armwise.judging`; None if it is none.

    An answer to a task that can be checked is graded by its true score. The grade errs the more the less skilled the
    model is at judging: by a normal deviation of 0.3 at skill 0, and of none at 1. Anything else is graded by chance.
    """
    parts = {match["name"]: match["text"] for match in _FENCED.finditer(shown)}
    scale = _SCALE.search(instructions)
    if scale and "answer to grade" in parts:
        low, high = float(scale[1]), float(scale[2])
        grade = _grade(model, parts.get("question", ""), parts["answer to grade"], rng)
        return json.dumps({"score": round(low + (high - low) * grade, 2)})
    if '{"better": "first"}' in instructions and "first answer" in parts and "second answer" in parts:
        question = parts.get("question", "")
        first, second = (_grade(model, question, parts[f"{place} answer"], rng) for place in ("first", "second"))
        better = "tie" if abs(first - second) < 0.05 else "first" if first > second else "second"
        return json.dumps({"better": better})
    return None


def _grade(model: SimulatedModel, question: str, answer: str, rng: Random) -> float:
    task = recognise(question)
    truth = rng.random() if task is None else score(task, answer)
    error = 0.3 * max(0.0, 1.0 - model.skill_at("judging")) * rng.gauss(0.0, 1.0)
    return min(max(truth + error, 0.0), 1.0)
