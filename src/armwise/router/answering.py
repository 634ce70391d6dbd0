"""Answering: decide, call the models, report what it cost and took."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from armwise.contracts import (
    Attempt,
    Decision,
    JudgeDraw,
    Request,
)
from armwise.orchestration import Answer, AnswerStream, BlockingAnswerStream, Fallback, Orchestrator, Witness
from armwise.providers.breaker import BreakerSettings
from armwise.providers.client import ProviderClient
from armwise.providers.retry import RetryPolicy
from armwise.providers.wire import Endpoint
from armwise.router.deciding import Deciding
from armwise.router.feedback import Feedback

_RETRY = RetryPolicy(max_retry_after_s=2.0)
"""A provider that asks for more than two seconds is left to itself: there are other arms."""


class Answering(Deciding, Feedback):
    """Calls what was decided on."""

    async def acomplete(
        self,
        request: Request | str | Mapping[str, Any],
        *,
        body: Mapping[str, Any] | None = None,
        endpoint: Endpoint = "chat",
        timeout_s: float | None = None,
        watch: Witness | None = None,
    ) -> Answer:
        """Decide, call, fall back if need be, and report what it cost and took. Quality is for you to report.

        Args:
            request: a request, a text, or the body of an OpenAI chat completion.
            body: what to send, where it holds more than the request does: tools, formats, images and unknown fields are
                passed through. ``model`` and ``stream`` are set for each upstream call.
            endpoint: what is asked of the models; plans over several are for ``chat`` alone.
            timeout_s: for all of it; by default the fallback's.
            watch: is told of the decision and of each upstream call as it ends.

        Raises:
            BadInput: if the request cannot be read or sent.
            NoEligibleArm: naming the constraints that excluded every arm; nothing was sent then.
            NoAnswer: if every arm that could be tried failed.
            ConfigError: if a key is not set, or a provider does not exist.
        """
        return await self.orchestrator.complete(request, body=body, endpoint=endpoint, timeout_s=timeout_s, watch=watch)

    async def astream(
        self,
        request: Request | str | Mapping[str, Any],
        *,
        body: Mapping[str, Any] | None = None,
        endpoint: Endpoint = "chat",
        timeout_s: float | None = None,
        watch: Witness | None = None,
    ) -> AnswerStream:
        """As :meth:`acomplete`, but streamed. Returns once an arm says something; until then it may fall back.

        >>> async with await router.astream("...") as stream:
        ...     async for chunk in stream: ...
        >>> stream.answer.cost_usd
        """
        return await self.orchestrator.stream(request, body=body, endpoint=endpoint, timeout_s=timeout_s, watch=watch)

    def complete(self, request: Request | str | Mapping[str, Any], **options: Any) -> Answer:
        """As :meth:`acomplete`, for code that is not async: waits for the answer.

        Inside a running event loop nothing may wait, so there it gives an awaitable: ``await router.complete(...)``.
        """
        work = self.acomplete(request, **options)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._background.run(work)
        return cast(Answer, work)

    def stream(self, request: Request | str | Mapping[str, Any], **options: Any) -> BlockingAnswerStream:
        """As :meth:`astream`, for code that is not async: an iterator over chunks, with ``answer`` behind the last."""
        return BlockingAnswerStream(self._background, self._background.run(self.astream(request, **options)))

    @cached_property
    def orchestrator(self) -> Orchestrator:
        """Calls what was decided on."""
        client = self._client
        if client is None:  # who is silent for as long as an arm may take has failed
            patience_s = (self._fallback or Fallback()).arm_timeout_s
            breaker = BreakerSettings(hung_s=min(BreakerSettings().hung_s, 0.9 * patience_s))
            client = ProviderClient((), keys=os.environ, retry=_RETRY, breaker=breaker)
        return Orchestrator(
            self, client, fallback=self._fallback, on_answer=None if self.judging is None else self._judge_answer
        )

    def _judge_answer(self, request: Request, answer: Answer) -> None:
        if not answer.fell_back:  # else it is not the drawn arm's
            self.judge(answer.decision, request, answer.text or json.dumps(answer.message.get("tool_calls") or []))

    def judge(self, decision: Decision, request: Request, answer: str) -> None:
        """Let the judges draw whether to look at an answer; for those who call the models themselves. Waits for none.

        Answers of :meth:`complete` and :meth:`stream` come to them by themselves.
        """
        if self.judging is not None:
            self.judging.offer(decision, request, answer)

    def record(self, attempt: Attempt | JudgeDraw) -> None:
        """Log an upstream call that was made for a decision, or a judge's draw."""
        self._apply(attempt)
