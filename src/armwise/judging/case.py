"""What a judge is shown, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from armwise.errors import ArmwiseError, BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A question and an answer to it, held in memory while they are judged and stored nowhere."""

    messages: Sequence[Mapping[str, Any]]
    answer: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the request: ``reference`` (a right answer), ``schema``, ``tests``, as far as a judge asks for them."""
    decision_id: str = ""

    @property
    def question(self) -> str:
        """The conversation as text, speakers named where there is more than one turn."""
        turns = [(str(message.get("role", "user")), _text(message.get("content"))) for message in self.messages]
        if len(turns) == 1:
            return turns[0][1]
        return "\n\n".join(f"{role}: {text}" for role, text in turns if text)

    @property
    def reference(self) -> str | None:
        """A right answer, where the caller gave one."""
        return self.metadata.get("reference")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a judge says of a case.

    Raises:
        BadInput: if the score is not a number in [0, 1].
    """

    score: float
    cost_usd: float = 0.0
    first_wins: float | None = None
    """Of two orders of a pair, the share in which what stood first won: 1/2 where position does not matter."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise BadInput(f"a judge's score must be between 0 and 1, got {self.score!r}")


class JudgeFailed(ArmwiseError):
    """A judge gave no verdict. Nothing is learned of the answer; what it cost is billed all the same.

    Attributes:
        why: ``unreadable`` (prose, or a score out of range), ``timed_out`` or ``failed``.
        cost_usd: billed for the attempt.
    """

    def __init__(self, message: str, *, why: str = "failed", cost_usd: float = 0.0) -> None:
        super().__init__(message)
        self.why = why
        self.cost_usd = cost_usd


class Judge(Protocol):
    """Says how good an answer is."""

    async def judge(self, case: Case) -> Verdict | None:
        """The verdict; None where the case gives this judge nothing to go by.

        Raises:
            JudgeFailed: if there is none though there should be.
        """
        ...


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [part.get("text", f"[{part.get('type', 'part')}]") for part in content if isinstance(part, Mapping)]
        return "\n".join(map(str, parts))
    return ""
