"""What verifiers and judges are asked, and how their replies are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from armwise.providers.usage import estimate_tokens
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


_END = 60
"""Characters of the end of a broken answer that are shown again, where to go on."""

_GO_ON = """Your answer was cut off by a broken connection. Its last characters were {end}. \
Continue it from exactly there, in the middle of a word if need be. Repeat nothing of it and add no comment."""


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


def continuation(body: Mapping[str, Any], text: str, *, prefill: bool) -> Json:
    """The question that a broken answer be gone on with, by a model that need not be the one that began it.

    Args:
        body: of the chat completion that broke.
        text: what was delivered.
        prefill: whether the model goes on by itself where the last message is its own; it is not shown white space at
            the end of it then, which providers refuse. Else it is told to.
    """
    asked = {key: value for key, value in body.items() if key != "response_format"}
    if not text.strip():
        return dict(body)
    messages = [*body.get("messages", ()), {"role": "assistant", "content": text.rstrip() if prefill else text}]
    if not prefill:
        messages.append({"role": "user", "content": _instruction(text, body.get("response_format"))})
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            asked[name] = max(1, body[name] - estimate_tokens(text))
    return {**asked, "messages": messages}


def _instruction(text: str, shape: Any) -> str:
    end = json.dumps(text[-_END:], ensure_ascii=False)
    told = _GO_ON.format(end=end)
    kind = shape.get("type") if isinstance(shape, Mapping) else None
    if kind == "json_schema":
        told += f" The whole must be JSON by this schema: {json.dumps(shape.get('json_schema', {}).get('schema', {}))}"
    elif kind == "json_object":
        told += " The whole must be a JSON object."
    return told


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
