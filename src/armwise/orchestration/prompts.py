"""What verifiers and judges are asked, and how their replies are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from armwise.providers.wire import Json

_LONGEST = 24_000
"""Characters of a conversation that a verifier or judge is shown: its end, where the question stands."""

_VERIFY = """You check an answer that an assistant gave. What it was asked:

<conversation>
{conversation}
</conversation>

<answer>
{answer}
</answer>

Work out what is right and compare. How likely is it that the answer is correct and does what was asked? \
Reply with one whole number from 0 (certainly not) to 100 (certainly), and nothing else."""

_CHOOSE = """Several assistants were asked the same. What they were asked:

<conversation>
{conversation}
</conversation>

{answers}

Work out what is right and compare. Which answer is best? Reply with its number, and nothing else."""


def verification(body: Mapping[str, Any], message: Mapping[str, Any]) -> Json:
    """The question of how good an answer is."""
    text = _VERIFY.format(conversation=conversation(body), answer=spoken(message))
    return {"messages": [{"role": "user", "content": text}], "temperature": 0}


def choice(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> Json:
    """The question of which of several answers is best, numbered from 1."""
    answers = "\n\n".join(
        f"<answer {number}>\n{spoken(message)}\n</answer {number}>" for number, message in enumerate(messages, 1)
    )
    text = _CHOOSE.format(conversation=conversation(body), answers=answers)
    return {"messages": [{"role": "user", "content": text}], "temperature": 0}


def number_in(text: str) -> float | None:
    """The last number that a reply says; None if it says none."""
    found = re.findall(r"\d+(?:\.\d+)?", text)
    return float(found[-1]) if found else None


def conversation(body: Mapping[str, Any]) -> str:
    """The messages of a body as text, the end of them where they are long."""
    lines = [f"{message.get('role')}: {spoken(message)}" for message in body.get("messages") or ()]
    return "\n".join(lines)[-_LONGEST:]


def spoken(message: Mapping[str, Any]) -> str:
    """What a message says, tool calls included."""
    content = message.get("content")
    if isinstance(content, (list, tuple)):
        texts = [part.get("text") or f"[{part.get('type')}]" for part in content if isinstance(part, Mapping)]
        content = "\n".join(map(str, texts))
    calls = [
        f"{call.get('function', {}).get('name')}({call.get('function', {}).get('arguments')})"
        for call in message.get("tool_calls") or ()
        if isinstance(call, Mapping)
    ]
    said = [str(content)] if content else []
    return "\n".join(said + calls) or json.dumps(message.get("refusal") or "")
