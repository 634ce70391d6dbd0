"""The upstream calls of one decision: numbered, logged and billed to it, whoever of its arms or plans makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from armwise.contracts import Attempt, Model
from armwise.providers.client import ProviderClient
from armwise.providers.completion import Completion
from armwise.providers.stream import CompletionStream
from armwise.providers.wire import Endpoint

Record = Callable[[Attempt], None]


class Calls:
    """What one decision calls. Attempts are numbered in the order in which they end, over all arms and members.

    Args:
        client: calls the models.
        decision_id: stands in every attempt.
        endpoint: what is asked of the models.
        record: writes an attempt to the log.
    """

    def __init__(self, client: ProviderClient, decision_id: str, endpoint: Endpoint, record: Record) -> None:
        self.endpoint = endpoint
        self.attempts: list[Attempt] = []
        self.deadline: float | None = None
        """Instant of the client's clock by which the running arm must have answered."""
        self._client = client
        self._decision_id = decision_id
        self._record = record

    @property
    def cost_usd(self) -> float:
        """Billed so far."""
        return sum(attempt.cost_usd or 0.0 for attempt in self.attempts)

    @property
    def failed(self) -> frozenset[str]:
        """Models whose last call did not succeed."""
        last = {attempt.model: attempt.status for attempt in self.attempts}
        return frozenset(model for model, status in last.items() if status != "ok")

    async def complete(self, model: Model, body: Mapping[str, Any]) -> Completion:
        """Ask a model.

        Raises:
            UpstreamError: if no try succeeded.
        """
        ask = {"chat": self._client.complete, "responses": self._client.respond, "embeddings": self._client.embed}
        return await ask[self.endpoint](
            model, body, decision_id=self._decision_id, deadline=self.deadline, on_attempt=self._take
        )

    async def stream(self, model: Model, body: Mapping[str, Any]) -> CompletionStream:
        """Ask a model and stream its answer; returns once it says something.

        Raises:
            UpstreamError: if no try succeeded.
        """
        return await self._client.stream(
            model,
            body,
            endpoint=self.endpoint,
            decision_id=self._decision_id,
            deadline=self.deadline,
            on_attempt=self._take,
        )

    def _take(self, attempt: Attempt) -> None:
        attempt = replace(attempt, attempt=len(self.attempts))
        self.attempts.append(attempt)
        self._record(attempt)
