"""Tokens used: what the provider says, and what can be believed of it.

No tokenizer makes more tokens of a text than it has bytes, and none in use makes fewer than one of twenty letters.
Between these bounds the provider is believed; small lies cannot be seen. Outside them its count is flagged and replaced
by an estimate of four bytes a token, and so is a count that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from armwise.providers.wire import output_limit

_HIDDEN_TOKENS = 4_096
"""Tokens that a provider may add on its own: prompts for tools, formats and safety."""
_TOKENS_PER_MEDIUM = 50_000
"""Upper bound for an image, sound or file given by URL."""
_LETTERS_PER_TOKEN = 20
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one answer."""

    input_tokens: int
    """All of the input, that from a cache included."""
    output_tokens: int
    """All of the output, reasoning included."""
    cached_tokens: int = 0
    """Input read from a cache."""
    cache_write_tokens: int = 0
    """Input written to a cache."""
    reasoning_tokens: int = 0
    flags: frozenset[str] = frozenset()
    """What is not as the provider said: ``missing_input``, ``implausible_output``, ..., ``partial``."""

    @property
    def estimated(self) -> bool:
        """Whether any count is ours and not the provider's."""
        return bool(self.flags)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is: one for four bytes of UTF-8."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def measure(
    reported: object, body: Mapping[str, Any], answer: Mapping[str, Any], *, sent_bytes: int, partial: bool = False
) -> Usage:
    """Usage of one answer, checked against what was sent and received.

    Args:
        reported: the ``usage`` of a chat completion, response or embedding, or anything a provider put in its place.
        body: the request, of which the texts and the output limit are read.
        answer: the answer, as far as it came.
        sent_bytes: length of the encoded request.
        partial: the answer was cut short, so that an estimate is the best there is.
    """
    given = reported if isinstance(reported, Mapping) else {}
    flags: set[str] = {"partial"} if partial else set()
    asked = list(_asked(body))
    said = list(_said(answer))

    reasoning = _count(given, "completion_tokens_details", "reasoning_tokens") or _count(
        given, "output_tokens_details", "reasoning_tokens"
    )
    cached = _count(given, "prompt_tokens_details", "cached_tokens") or _count(
        given, "input_tokens_details", "cached_tokens"
    )
    written = _count(given, "prompt_tokens_details", "cache_write_tokens") or _count(
        given, "input_tokens_details", "cache_write_tokens"
    )

    upper = sent_bytes + _HIDDEN_TOKENS + _TOKENS_PER_MEDIUM * _media(body)
    value = given.get("prompt_tokens", given.get("input_tokens"))
    tokens_in = _believe(value, asked, "input", upper, flags)

    limit = output_limit(body) if output_limit(body) is not None else body.get("max_output_tokens")
    choices = max(1, len(answer.get("choices") or ()))
    upper = _bytes(said) + 256 * choices + (reasoning or 0)
    if isinstance(limit, int):
        upper = min(upper, limit * choices + 64)
    value = given.get("completion_tokens", given.get("output_tokens"))
    if value is None and not answer.keys() & {"choices", "output"}:  # embeddings have no output
        value = 0
    tokens_out = _believe(value, said, "output", upper, flags)
    if not 0 <= cached <= tokens_in:
        cached = 0
        flags.add("implausible_cached")
    return Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=cached,
        cache_write_tokens=min(max(0, written), tokens_in - cached),
        reasoning_tokens=min(max(0, reasoning), tokens_out),
        flags=frozenset(flags),
    )


def _believe(value: object, texts: list[str], side: str, upper: int, flags: set[str]) -> int:
    """The reported count where it can be true, else an estimate and a flag."""
    if value is None:
        flags.add(f"missing_{side}")
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= upper:
        letters = sum(map(len, texts))
        least = min(1, letters)
        if value >= max(least, letters // _LETTERS_PER_TOKEN) or value >= max(
            least, _words(texts) // _LETTERS_PER_TOKEN
        ):
            return value
        flags.add(f"implausible_{side}")
    else:
        flags.add(f"implausible_{side}")
    return max(1 if texts else 0, sum(map(estimate_tokens, texts)))


def _words(texts: list[str]) -> int:
    """Letters that are not white space: long runs of that make few tokens."""
    return sum(len("".join(text.split())) for text in texts)


def _bytes(texts: list[str]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def _count(given: Mapping[str, Any], group: str, name: str) -> int:
    details = given.get(group)
    value = details.get(name) if isinstance(details, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _asked(body: Mapping[str, Any]) -> Iterable[str]:
    """The texts of a request, in any of the three kinds."""
    given = body.get("messages", body.get("input"))
    if isinstance(given, str):
        yield given
    elif isinstance(given, (list, tuple)):
        for message in given:
            if isinstance(message, str):
                yield message
            elif isinstance(message, Mapping):
                yield from _texts(message.get("content"))


def _texts(content: object) -> Iterable[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield part["text"]


def _media(body: Mapping[str, Any]) -> int:
    """Parts of the request whose size does not show in its bytes."""
    given = body.get("messages", body.get("input"))
    contents = [message.get("content") for message in given or () if isinstance(message, Mapping)]
    return sum(
        1
        for content in contents
        if isinstance(content, list)
        for part in content
        if isinstance(part, Mapping) and part.get("type") not in ("text", "input_text")
    )


def _said(answer: Mapping[str, Any]) -> Iterable[str]:
    """The texts of an answer, tool calls included."""
    for choice in answer.get("choices") or ():
        message = choice.get("message") or {}
        for key in ("content", "refusal", "reasoning_content"):
            if isinstance(message.get(key), str):
                yield message[key]
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            yield f"{function.get('name', '')}{function.get('arguments', '')}"
    for item in answer.get("output") or ():
        if isinstance(item, Mapping):
            yield from _texts(item.get("content"))
            if isinstance(item.get("arguments"), str):
                yield item["arguments"]
