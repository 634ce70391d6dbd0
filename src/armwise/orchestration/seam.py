"""Where the answer of one stream goes on in another: nothing that the client has may come twice, nothing be left out.

Pure: chunks in, chunks out. What a chunk still has to say is passed on; what it only says again is swallowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from armwise.providers.errors import CutShort
from armwise.providers.wire import Json

_LEAST = 12
"""Characters that must be the same before a continuation is taken to repeat the end of what it continues: fewer may be
chance."""
_LEAST_WHOLE = 4
"""The same, where it is all of the answer so far that is said again."""
_LONGEST = 2_000
"""Characters of the end of an answer in which a repetition is looked for."""


class Unlike(CutShort):
    """The new stream does not go on where the old one broke."""

    label = "unlike"


class Seam(Protocol):
    """Takes the chunks of the new stream in order."""

    def feed(self, chunk: Json) -> list[Json]:
        """What of a chunk is new to the client.

        Raises:
            Unlike: if the stream turns out not to go on where the old one broke.
        """
        ...


class Repeated:
    """The same call was made again: its answer must begin with what was delivered, letter by letter, calls included.

    Args:
        choices: what was delivered, as the choices of a completion; of one that has ended, nothing more is passed on.
    """

    def __init__(self, choices: Sequence[Mapping[str, Any]]) -> None:
        self._owed = {choice["index"]: _Owed(choice) for choice in choices}

    def feed(self, chunk: Json) -> list[Json]:
        new: list[Json] = []
        for choice in chunk["choices"]:
            part = {**chunk, "choices": [choice]}
            owed = self._owed.get(choice.get("index", 0))
            new += [part] if owed is None else owed.feed(part)  # of a choice that had not begun, all is new
        return new


class _Owed:
    """What the new stream owes of one choice, before anything of it is new."""

    def __init__(self, choice: Mapping[str, Any]) -> None:
        message = choice["message"]
        self._ended = choice.get("finish_reason") is not None
        self._text: str = message.get("content") or ""
        functions = [call["function"] for call in message.get("tool_calls") or ()]
        self._calls = {at: [f["name"], f["arguments"]] for at, f in enumerate(functions)}

    @property
    def _left(self) -> bool:
        """Whether the new stream still owes something of the old one."""
        return bool(self._text) or any(name or arguments for name, arguments in self._calls.values())

    def feed(self, chunk: Json) -> list[Json]:
        choice = chunk["choices"][0]
        delta = _spoken(choice)
        cut = False
        if delta.get("content"):
            new, self._text = _beyond(delta["content"], self._text)
            cut = new != delta.pop("content")
            if new:
                delta["content"] = new
        if delta.get("tool_calls"):
            calls = [call for call in map(self._call, delta.pop("tool_calls")) if call is not None]
            if calls:
                delta["tool_calls"] = calls
        if self._left and (delta or choice.get("finish_reason") is not None):
            raise Unlike("asked again, the model said something else")
        if self._ended:
            if delta:
                raise Unlike("asked again, the model said more")
            return []
        return _rebuilt(chunk, delta, keep_logprobs=not cut)

    def _call(self, call: Json) -> Json | None:
        """What a piece of a tool call adds; the identifier that the client knows stands."""
        owed = self._calls.get(call.get("index", 0))
        if owed is None:
            return call
        function = call.get("function") or {}
        parts = {}
        for at, key in enumerate(("name", "arguments")):
            new, owed[at] = _beyond(function.get(key) or "", owed[at])
            if new:
                parts[key] = new
        return {"index": call.get("index", 0), "function": parts} if parts else None


class Continued:
    """A model was asked to go on: what it says is new, but for the end of the old text, should it begin with that.

    Takes chunks of one choice.

    Args:
        text: what was delivered.
        unsent: the white space at its end that the model was not shown.
    """

    def __init__(self, text: str, unsent: str = "") -> None:
        self._text = text
        longest = min(len(text), _LONGEST)
        self._lengths = set(range(_LEAST, longest + 1))
        if len(text) >= _LEAST_WHOLE:
            self._lengths.add(len(text))
        if unsent:
            self._lengths.add(len(unsent))
        self._held = ""
        self._settled = False

    def feed(self, chunk: Json) -> list[Json]:
        choice = chunk["choices"][0]
        delta = _spoken(choice)
        if self._settled:
            return _rebuilt(chunk, delta)
        self._held += delta.pop("content", None) or ""
        overlap = self._overlap(last=bool(delta) or choice.get("finish_reason") is not None)
        if overlap is None:
            return []
        self._settled = True
        if self._held[overlap:]:
            delta["content"] = self._held[overlap:]
        return _rebuilt(chunk, delta, keep_logprobs=False)

    def _overlap(self, *, last: bool) -> int | None:
        """How many of the held characters the client has already; None if that cannot be told yet."""
        held, text = self._held, self._text
        self._lengths = {n for n in self._lengths if text[len(text) - n :].startswith(held[:n])}
        if not last and any(n > len(held) for n in self._lengths):
            return None
        return max((n for n in self._lengths if n <= len(held)), default=0)


def _beyond(given: str, owed: str) -> tuple[str, str]:
    """What is said beyond what is owed, and what is still owed."""
    shared = min(len(given), len(owed))
    if given[:shared] != owed[:shared]:
        raise Unlike("asked again, the model said something else")
    return given[shared:], owed[shared:]


def _spoken(choice: Mapping[str, Any]) -> Json:
    """The delta without its role, which was told, and without reasoning, which belongs to another train of thought."""
    delta = choice.get("delta") or {}
    return {key: value for key, value in delta.items() if key not in ("role", "reasoning_content") and value}


def _rebuilt(chunk: Json, delta: Json, *, keep_logprobs: bool = True) -> list[Json]:
    choice = chunk["choices"][0]
    if not delta and choice.get("finish_reason") is None:
        return []
    kept = {key: value for key, value in choice.items() if keep_logprobs or key != "logprobs"}
    return [{**chunk, "choices": [{**kept, "delta": delta}]}]
