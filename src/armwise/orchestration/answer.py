"""What comes out of the router: an answer with its decision and its account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from armwise.contracts import Attempt, Decision
from armwise.providers.completion import Completion
from armwise.providers.usage import Usage
from armwise.providers.wire import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumption:
    """A stream broke, and was gone on with."""

    how: Literal["repeated", "continued"]
    """``repeated``: the same call, made again, said the same, which was left out; ``continued``: a model was asked to
    go on from what had come."""
    arm: str
    """That went on."""
    after_characters: int
    """Of text that the client had by then."""
    because: str
    """How the attempt ended that broke."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer, the decision behind it, and what all of it cost."""

    decision: Decision
    arm: str
    """The arm that answered: the decision's, or the one it fell back to; that ended the answer, if several did."""
    completion: Completion
    """The upstream answer that was accepted, with its own account."""
    attempts: tuple[Attempt, ...]
    """Every upstream call of the decision in the order they ended: failed ones, other tiers, votes and judges too."""
    cost_usd: float
    """Billed for all of them."""
    latency_ms: float
    """From the decision to the last byte."""
    confidence: float | None = None
    """Of the answer, in [0, 1], where the arm measures it."""
    gave_up: Mapping[str, str] = field(default_factory=dict)
    """Arm -> why it was given up, in the order they were tried."""
    resumed: tuple[Resumption, ...] = ()
    """How a stream was gone on with, once for each time that it broke."""

    @property
    def fell_back(self) -> bool:
        """Whether another arm than the decision's answered."""
        return self.arm != self.decision.arm

    @property
    def model(self) -> str:
        """The model whose answer was accepted."""
        return self.completion.model

    @property
    def response(self) -> Json:
        """An OpenAI chat completion, whatever the model speaks (or a response, or embeddings)."""
        return self.completion.response

    @property
    def usage(self) -> Usage:
        """Tokens of the accepted answer."""
        return self.completion.usage

    @property
    def message(self) -> Json:
        """The message of the first choice; empty for anything but a chat completion."""
        return self.completion.message

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.completion.text

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.completion.finish_reason
