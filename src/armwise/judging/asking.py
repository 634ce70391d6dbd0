"""Asking a model for a verdict: the call, and reading what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from armwise.contracts import Model
from armwise.errors import ArmwiseError, BadInput
from armwise.judging.case import JudgeFailed
from armwise.providers.client import ProviderClient
from armwise.providers.errors import Timeout, UpstreamError

_OBJECT = re.compile(r"\{[^{}]*\}", re.DOTALL)

FENCE = "=" * 12
"""Stands around what is judged; it is taken out of the text itself, so that an answer cannot close it."""


class Asking:
    """One model that is asked for JSON.

    Args:
        client: calls it.
        model: which; made known to the client.
        max_tokens: of its reply.
    """

    def __init__(self, client: ProviderClient, model: Model, *, max_tokens: int = 400) -> None:
        client.add_model(model)
        self.model = model
        self._client = client
        self._max_tokens = max_tokens

    async def ask(self, instructions: str, shown: str) -> tuple[Mapping[str, Any], float]:
        """The JSON object that it replies, and what that cost in USD.

        Raises:
            JudgeFailed: if the call fails, or the reply holds no JSON object.
        """
        body = {
            "messages": [{"role": "system", "content": instructions}, {"role": "user", "content": shown}],
            "temperature": 0.0,
            "max_tokens": self._max_tokens,
        }
        try:
            completion = await self._client.complete(self.model.name, body)
        except UpstreamError as error:
            cost = sum(attempt.cost_usd or 0.0 for attempt in error.attempts)
            why = "timed_out" if isinstance(error, Timeout) else "failed"
            raise JudgeFailed(f"the judge {self.model.name} failed: {error}", why=why, cost_usd=cost) from error
        except ArmwiseError as error:
            raise JudgeFailed(f"the judge {self.model.name} cannot be asked: {error}") from error
        cost = completion.cost_usd + sum(a.cost_usd or 0.0 for a in completion.attempts if a.status != "ok")
        for found in reversed(_OBJECT.findall(completion.text)):
            try:
                reply = json.loads(found)
            except ValueError:
                continue
            if isinstance(reply, dict):
                return reply, cost
        raise JudgeFailed(
            f"the judge {self.model.name} gave no JSON object but {completion.text[:80]!r}",
            why="unreadable",
            cost_usd=cost,
        )


def scored(reply: Mapping[str, Any], low: float, high: float, cost_usd: float) -> float:
    """The reply's ``score`` brought to [0, 1].

    Raises:
        JudgeFailed: if it has none between ``low`` and ``high``.
    """
    score = reply.get("score")
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not low <= score <= high:
        raise JudgeFailed(
            f"a judge's score must be a number from {low:g} to {high:g}, got {score!r}",
            why="unreadable",
            cost_usd=cost_usd,
        )
    return (score - low) / (high - low)


def fenced(name: str, text: str) -> str:
    """A text between fences that it cannot close."""
    return f"{FENCE} {name} {FENCE}\n{text.replace(FENCE, '')}\n{FENCE} end of {name} {FENCE}"


def check_scale(low: float, high: float) -> None:
    """Raise BadInput unless a scale goes up."""
    if not low < high:
        raise BadInput(f"a judge's scale must go up, got {low:g} to {high:g}")
