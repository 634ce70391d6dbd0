"""What a call to a model gives back."""

from __future__ import annotations

from dataclasses import dataclass

from armwise.contracts import Attempt
from armwise.providers.usage import Usage
from armwise.providers.wire import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """An answer with its account."""

    model: str
    response: Json
    """An OpenAI chat completion, whatever the model speaks (or a response, or embeddings, where that was asked)."""
    usage: Usage
    cost_usd: float
    """Of this answer. What failed attempts cost stands in ``attempts``."""
    cost_source: str
    """``provider``, ``model`` or ``list``; see :class:`armwise.providers.billing.Bill`."""
    flags: frozenset[str]
    """What the provider's account was not believed in; empty is as it should be."""
    latency_ms: float
    """From the first attempt to the last byte, retries and waits included."""
    first_token_ms: float | None
    """From the first attempt to the first text of a stream; None where nothing was streamed."""
    attempts: tuple[Attempt, ...]

    @property
    def message(self) -> Json:
        """The message of the first choice; empty for anything but a chat completion."""
        choices = self.response.get("choices")
        return choices[0].get("message", {}) if choices else {}

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.message.get("content") or ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        choices = self.response.get("choices")
        return choices[0].get("finish_reason") if choices else None

    @property
    def empty(self) -> bool:
        """Whether a chat completion came without text, tool call or refusal: well-formed, and of no use."""
        return bool(self.message) and not (self.text or self.message.get("tool_calls") or self.refused)

    @property
    def refused(self) -> bool:
        """Whether the model, or its provider's filter, refused."""
        return self.finish_reason == "content_filter" or bool(self.message.get("refusal"))
