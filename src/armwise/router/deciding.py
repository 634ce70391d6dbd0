"""Deciding: from a request to a logged choice, without I/O."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from armwise.contracts import (
    Decision,
    Request,
)
from armwise.errors import BadInput
from armwise.router.pool import PoolKeeping
from armwise.sensitivity import texts_of
from armwise.sessions import session_of

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class Deciding(PoolKeeping):
    """The request path."""

    def decide(self, request: Request | str) -> Decision:
        """Choose an arm for a request and log the choice. No I/O.

        Raises:
            BadInput: if the request cannot be read.
            NoEligibleArm: naming the constraints that excluded every arm.
        """
        if isinstance(request, str):
            request = Request.from_text(request)
        elif not isinstance(request, Request):
            raise BadInput(f"decide needs a Request or a string, got {type(request).__name__}")
        if self._sessions.infer and request.session is None and request.tools and request.messages:
            request = replace(request, session=session_of(request.messages))
        if self.detector is not None and not request.screened:
            request = self.screened(request, (request.messages, request.tools, request.response_format))
        if self._ruled or request.route is not None:
            request = self._rules_and_routes.routed(request, self.arms)
        context = self._encode(request)
        if self._labels is not None and request.task is None:
            context = context._replace(task=self._labels.guess(context.vector))
        with self._lock:
            decider = self._decider
            if self._ruled:
                difficulty = decider.difficulty.predict(context.vector) if decider.difficulty is not None else 0.0
                request = self._rules_and_routes.applied(request, context, self.arms, difficulty)
            self._made += 1
            decision = decider.decide(
                request,
                context,
                id=f"{self._prefix}{self._made:x}",
                at=time.time(),
                seed=(self._seed + decider.decisions * _GOLDEN) & _MASK,
            )
            self._learner.apply(decision, self._log.append(decision))
        return decision

    def screened(self, request: Request, data: Any) -> Request:
        """The request at the sensitivity that its texts ask for, or at its own if that is higher.

        Args:
            data: JSON data, all of whose texts are searched.
        """
        if self.detector is None:
            return request
        return replace(request, sensitivity=self.detector.level(texts_of(data), request.sensitivity), screened=True)

    @property
    def decisions(self) -> int:
        """How many decisions were made, by the log."""
        return self._decider.decisions
