"""What a request says: its text, bounded, and what it needs of a model.

Messages are those of the OpenAI chat API; the content parts of its Responses API and of Anthropic's messages are
understood as well. The time taken is linear in the number of messages and tools, not in their length.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from armwise.contracts import Request
from armwise.errors import BadInput, unknown
from armwise.features.sketch import excerpt

CHARACTERS_PER_TOKEN: Final = 4.0
"""Of UTF-8 bytes, which are characters where the text is English. Within 1.2% of a tokenizer's counts in total over
the prompts of three benchmarks, and near enough for scripts of two and three bytes a character."""
TOKENS_PER_MESSAGE: Final = 4
"""Chat templates wrap each message in about this many."""
TOKENS_PER_MEDIUM: Final[Mapping[str, int]] = {"image": 765, "audio": 1000, "video": 4000, "file": 2000}
"""Rough, since sizes are not looked at: 765 is an image of 1024 x 1024 at OpenAI's high detail."""

TEXT_ONLY: Final = frozenset({"text"})

_TEXT_PARTS: Final = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "summary_text": "text",
    "refusal": "refusal",
    "thinking": "thinking",
}
_MEDIA_PARTS: Final = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "video_url": "video",
    "input_video": "video",
    "video": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
}
_TOOL_PARTS: Final = ("tool_use", "tool_result", "server_tool_use", "redacted_thinking")
_ALL_PARTS: Final = (*_TEXT_PARTS, *_MEDIA_PARTS, *_TOOL_PARTS)
_DEEPEST: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """A request as the encoder reads it."""

    excerpt: str
    """Head and tail of the text of all messages; no lone surrogates."""
    characters: int
    """Of the text of all messages, tool calls included."""
    turns: int
    """Messages of the user."""
    tool_count: int
    """Tools offered."""
    uses_tools: bool
    """Tools are offered, or have been called in the messages."""
    media: Mapping[str, int]
    """Modality -> parts that hold it; text left out."""
    estimated_tokens: int
    """See :data:`CHARACTERS_PER_TOKEN`: messages, tool schemas and media."""

    @classmethod
    def of(cls, request: Request) -> Transcript:
        """Read a request.

        Raises:
            BadInput: on content that is neither a string, nor null, nor a list of known parts; names the place.
        """
        reader = _Reader()
        turns = 0
        for index, message in enumerate(request.messages):
            if message.get("role") == "user":
                turns += 1
            content = message.get("content")
            if isinstance(content, str):
                reader.pieces.append(content)
            else:
                reader.read(content, f"messages[{index}].content")
            if len(message) > 2:
                reader.read_calls(message, f"messages[{index}]")
        characters = sum(map(len, reader.pieces))
        text = excerpt(reader.pieces)
        wide = 1.0 if text.isascii() else len(text.encode()) / len(text)
        tools = _json_length(request.tools, "tools") if request.tools else 0
        size = characters * wide + reader.call_characters + tools
        tokens = math.ceil(size / CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE * len(request.messages)
        tokens += sum(TOKENS_PER_MEDIUM[kind] * count for kind, count in reader.media.items())
        return cls(
            excerpt=text,
            characters=characters + reader.call_characters,
            turns=turns,
            tool_count=len(request.tools),
            uses_tools=bool(request.tools) or reader.calls,
            media=reader.media,
            estimated_tokens=tokens,
        )


class _Reader:
    """Gathers the pieces of text of the messages, and what else is in them."""

    __slots__ = ("call_characters", "calls", "media", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.media: dict[str, int] = {}
        self.calls = False
        self.call_characters = 0

    def read(self, content: object, where: str, depth: int = 0) -> None:
        if content is None:
            return
        if isinstance(content, str):
            self.pieces.append(content)
            return
        if isinstance(content, (bytes, bytearray, Mapping)) or not isinstance(content, (list, tuple)):
            hint = "; decode it to text first" if isinstance(content, (bytes, bytearray)) else ""
            raise BadInput(
                f"Request.{where} must be a string, null or a list of parts, got {type(content).__name__}{hint}"
            )
        if depth > _DEEPEST:
            raise BadInput(f"Request.{where} is nested more than {_DEEPEST} deep")
        for index, part in enumerate(content):
            self._read_part(part, f"{where}[{index}]", depth)

    def _read_part(self, part: object, where: str, depth: int) -> None:
        if isinstance(part, str):
            self.pieces.append(part)
            return
        if not isinstance(part, Mapping):
            raise BadInput(f"Request.{where} must be a string or an object with a type, got {type(part).__name__}")
        kind = part.get("type")
        if not isinstance(kind, str):
            raise BadInput(f"Request.{where}.type must be a string, got {kind!r:.80}")
        if (key := _TEXT_PARTS.get(kind)) is not None:
            text = part.get(key)
            if not isinstance(text, str):
                raise BadInput(f"Request.{where}.{key} must be a string, got {type(text).__name__}")
            self.pieces.append(text)
        elif (medium := _MEDIA_PARTS.get(kind)) is not None:
            self.media[medium] = self.media.get(medium, 0) + 1
        elif kind in _TOOL_PARTS:
            self.calls = self.calls or kind != "redacted_thinking"
            if kind == "tool_result":
                self.read(part.get("content"), f"{where}.content", depth + 1)
            elif "input" in part:
                self.call_characters += _json_length(part["input"], f"{where}.input")
        else:
            raise BadInput(f"Request.{where}: {unknown('type of content part', kind, _ALL_PARTS)}")

    def read_calls(self, message: Mapping[str, Any], where: str) -> None:
        for key in ("tool_calls", "function_call"):
            if message.get(key):
                self.calls = True
                self.call_characters += _json_length(message[key], f"{where}.{key}")


def _json_length(value: object, where: str) -> int:
    try:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"Request.{where} must be JSON: {error}") from error
