"""What a simulated model says to what it is asked. Pure: same model, question and seed, same reply."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from armwise.testing.judgements import judgement
from armwise.testing.models import SimulatedModel
from armwise.testing.tasks import mistake, recognise
from armwise.testing.verdicts import verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A question, whatever wire format it came in."""

    model: str
    turns: tuple[tuple[str, str], ...]
    """(role, text) in order; roles are system, user, assistant, tool."""
    images: tuple[str, ...] = ()
    """One ``media/type:sha256 prefix`` per image, or its URL."""
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tool name -> JSON schema of its arguments."""
    tool_choice: str = "auto"
    """``auto``, ``none``, ``required``, or the name of a tool."""
    json_schema: Mapping[str, Any] | None = None
    """Schema that the answer must follow; ``{}`` for any JSON object."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    count: int = 1
    logprobs: bool = False
    fixed: bool = True
    """Whether asking again must give the same answer (no temperature, or a seed given)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer, before it is put into a wire format."""

    text: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    """(id, tool name, arguments as JSON text)."""
    finish: str = "stop"
    """``stop``, ``length``, ``tools`` or ``refusal``."""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    logprob: float = 0.0
    """Natural log of the probability reported for every token of the answer."""

    @property
    def pieces(self) -> list[str]:
        """The text as the tokens that it is streamed in."""
        return pieces(self.text)


def pieces(text: str) -> list[str]:
    """Split a text into what the simulator counts and streams as tokens. They join to the text again."""
    return re.findall(r"\s*(?:\w{1,5}|[^\w\s])|\s+$", text)


def count_tokens(ask: Ask) -> int:
    """Input tokens of a question: its pieces, four a turn, 85 an image, and the tools as JSON."""
    text = sum(len(pieces(text)) + 4 for _, text in ask.turns)
    tools = len(pieces(json.dumps(dict(ask.tools)))) if ask.tools else 0
    return text + tools + 85 * len(ask.images)


def stable_rng(*parts: object) -> Random:
    """A generator that depends on nothing but the parts."""
    return Random(
        hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    )


def answer(model: SimulatedModel, ask: Ask, rng: Random, *, cached_tokens: int = 0) -> Reply:
    """What the model says. The draw is from ``rng`` alone."""
    tokens_in = count_tokens(ask)
    if ask.tools and ask.tool_choice != "none" and (call := _tool_call(model, ask, rng)) is not None:
        tokens = len(pieces(call[2])) + 8
        return Reply(
            calls=(call,),
            finish="tools",
            input_tokens=tokens_in,
            output_tokens=tokens,
            cached_tokens=cached_tokens,
            logprob=-0.05,
        )
    text, logprob = _text(model, ask, rng)
    finish = "stop"
    for mark in ask.stop:
        if mark and mark in text:
            text = text[: text.index(mark)]
    parts = pieces(text)
    if ask.max_tokens is not None and len(parts) > ask.max_tokens:
        parts, finish = parts[: ask.max_tokens], "length"
    return Reply(
        text="".join(parts),
        finish=finish,
        input_tokens=tokens_in,
        output_tokens=max(1, len(parts)),
        cached_tokens=cached_tokens,
        logprob=logprob,
    )


def refuse(ask: Ask) -> Reply:
    """A refusal, well-formed and billed."""
    text = "I'm sorry, but I can't help with that."
    return Reply(text=text, finish="refusal", input_tokens=count_tokens(ask), output_tokens=len(pieces(text)))


# ---------------------------------------------------------------------------------------------- text


def _last(ask: Ask, role: str) -> str:
    return next((text for who, text in reversed(ask.turns) if who == role), "")


def _text(model: SimulatedModel, ask: Ask, rng: Random) -> tuple[str, float]:
    if ask.turns and ask.turns[-1][0] == "tool":
        return _wrap(model, ask, f"The tool says: {ask.turns[-1][1]}", rng), -0.05
    said = verdict(model, _last(ask, "user"), rng)
    if said is not None:
        return said, -0.3
    judged = judgement(model, _last(ask, "system"), _last(ask, "user"), rng)
    if judged is not None:
        return judged, -0.05
    task = recognise(_last(ask, "user"))
    if task is None:
        return _small_talk(ask), -0.3
    chance = model.chance_of(task.kind, task.difficulty)
    right = rng.random() < chance
    said = task.answer if right else mistake(task, rng)
    belief = model.calibration * right + (1.0 - model.calibration) * rng.random()
    confidence = min(0.999, max(0.05, 0.3 + 0.7 * belief))
    if task.kind == "extraction":
        return said, math.log(confidence)
    return _wrap(model, ask, said, rng), math.log(confidence)


def _wrap(model: SimulatedModel, ask: Ask, said: str, rng: Random) -> str:
    if ask.json_schema is not None:
        return json.dumps(fill(ask.json_schema, {"answer": said}), ensure_ascii=False)
    words = round(18 * model.verbosity * (0.6 + 0.8 * rng.random()))
    if words == 0:
        return said
    talk = (
        "Let me work through this step by step and check each part before I settle on a reply " * (words // 18 + 1)
    ).split()
    return f"{' '.join(talk[:words])}.\nAnswer: {said}"


def _small_talk(ask: Ask) -> str:
    said = _last(ask, "user")
    seen = f" I see {len(ask.images)} image(s): {', '.join(ask.images)}." if ask.images else ""
    if ask.json_schema is not None:
        return json.dumps(fill(ask.json_schema, {"answer": said[:200]}), ensure_ascii=False)
    return f"You said: {said[:2000]}{seen}"


def fill(schema: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """An object that follows a JSON schema, with ``values`` where the names fit; ``values`` for an empty schema."""
    if not schema:
        return dict(values)
    kind = schema.get("type", "object")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        properties = schema.get("properties", {})
        return {
            name: _coerce(values[name], part) if name in values else fill(part, values)
            for name, part in properties.items()
            if name in values or name in schema.get("required", properties)
        }
    return {"array": [], "integer": 0, "number": 0.0, "boolean": False, "null": None}.get(kind, "")


def _coerce(value: Any, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    try:
        return int(value) if kind == "integer" else float(value) if kind == "number" else value
    except ValueError:
        return 0


# ---------------------------------------------------------------------------------------------- tools


def _tool_call(model: SimulatedModel, ask: Ask, rng: Random) -> tuple[str, str, str] | None:
    if not ask.turns or ask.turns[-1][0] == "tool":
        return None
    text = _last(ask, "user")
    task = recognise(text)
    forced = ask.tool_choice not in ("auto", "none")
    named = next(
        (name for name in ask.tools if name == ask.tool_choice or re.search(rf"\b{re.escape(name)}\b", text)), None
    )
    if not (forced or named) or (task is not None and task.kind != "tool" and not forced):
        return None
    name = named or next(iter(ask.tools))
    call_id = f"call_{rng.getrandbits(64):016x}"
    if task is not None and task.kind == "tool":
        right = rng.random() < model.chance_of("tool", task.difficulty)
        arguments = task.answer if right else mistake(task, rng)
        if not right and rng.random() < 0.3:
            arguments = arguments[:-1]  # a call that does not even parse
        return call_id, name, arguments
    if task is not None:  # a tool forced to carry the answer
        right = rng.random() < model.chance_of(task.kind, task.difficulty)
        values: Mapping[str, Any] = {"answer": task.answer if right else mistake(task, rng)}
    else:
        values = _mentioned(text, ask.tools[name])
    return call_id, name, json.dumps(fill(ask.tools[name], values), ensure_ascii=False)


def _mentioned(text: str, schema: Mapping[str, Any]) -> dict[str, str]:
    """Values that the text gives for the properties of a schema, as in ``city: Paris`` or ``in Paris``."""
    found: dict[str, str] = {}
    names: Sequence[str] = list(schema.get("properties", {}))
    for name in names:
        if match := re.search(rf"\b{re.escape(name)}\b\s*(?:=|:|is)?\s*\"?([\w.-]+)", text):
            found[name] = match.group(1)
    if names and names[0] not in found and (match := re.search(r"\b(?:in|for|of) ([A-ZÀ-Þ][\w-]+)", text)):
        found[names[0]] = match.group(1)
    return found
