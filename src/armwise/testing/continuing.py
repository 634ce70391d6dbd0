"""How a simulated model goes on with an answer that was cut off, its own or another's. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from armwise.testing.answering import Ask, Reply, pieces

_GO_ON = re.compile(r"answer was cut off .* Continue it", re.DOTALL)
_SCHEMA = re.compile(r"must be JSON by this schema: (.*)\Z", re.DOTALL)
_ANSWER = "\nAnswer: "


def question_of(ask: Ask) -> tuple[Ask, str]:
    """The question behind one to go on with an answer, and the answer so far; else the question itself and nothing."""
    turns = ask.turns
    if len(turns) > 1 and turns[-1][0] == "assistant":
        return replace(ask, turns=turns[:-1], max_tokens=None), turns[-1][1]
    told = turns[-1][1] if turns and turns[-1][0] == "user" else ""
    if len(turns) > 2 and turns[-2][0] == "assistant" and _GO_ON.search(told):
        schema: Mapping[str, Any] | None = None
        if found := _SCHEMA.search(told):
            schema = json.loads(found.group(1))
        elif "must be a JSON object" in told:
            schema = {}
        return replace(ask, turns=turns[:-2], max_tokens=None, json_schema=schema), turns[-2][1]
    return ask, ""


def rest(reply: Reply, said: str, limit: int | None) -> Reply:
    """What is left to say of an answer after what was said: of the same one its end, of another its result."""
    if not said or reply.calls:
        return reply
    text = _beyond(reply.text, said)
    parts, finish = pieces(text), reply.finish
    if limit is not None and len(parts) > limit:
        parts, finish = parts[:limit], "length"
    return replace(reply, text="".join(parts), finish=finish, output_tokens=max(1, len(parts)))


def _beyond(text: str, said: str) -> str:
    if text.startswith(said):
        return text[len(said) :]
    result = text.rpartition(_ANSWER)[2]
    begun = said.rfind(_ANSWER)
    if begun >= 0:
        so_far = said[begun + len(_ANSWER) :]
        return result[len(so_far) :] if result.startswith(so_far) else f", or rather: {result}"
    lead = _ANSWER if said.endswith(".") else "." + _ANSWER
    shared = max((n for n in range(len(_ANSWER)) if said.endswith(_ANSWER[:n])), default=0)
    return f"{_ANSWER[shared:] if shared else lead}{result}"
