"""Ways to answer, by the name that an arm gives its plan. The plain one is here; each of the others has its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from armwise.contracts import Arm, Decision, Model
from armwise.errors import BadInput, unknown
from armwise.orchestration.calls import Calls
from armwise.providers.completion import Completion
from armwise.providers.stream import CompletionStream


class Ask(NamedTuple):
    """What a plan is asked."""

    body: Mapping[str, Any]
    calls: Calls
    decision: Decision


class Draft(NamedTuple):
    """An answer that a plan settled on."""

    completion: Completion
    confidence: float | None = None
    """In [0, 1], where the plan measures it."""


class Plan(Protocol):
    """A way to answer. It calls no model but those of its arm."""

    async def answer(self, ask: Ask) -> Draft:
        """The answer.

        Raises:
            UpstreamError: if there is none.
        """
        ...

    async def stream(self, ask: Ask) -> Draft | CompletionStream:
        """The answer as it comes, if it can be known to be the accepted one before it is whole; else all of it.

        Raises:
            UpstreamError: if there is none.
        """
        ...


class Single(NamedTuple):
    """Call one model once."""

    model: Model

    async def answer(self, ask: Ask) -> Draft:
        return Draft(await ask.calls.complete(self.model, ask.body))

    async def stream(self, ask: Ask) -> CompletionStream:
        return await ask.calls.stream(self.model, ask.body)


def plan_of(arm: Arm) -> Plan:
    """The plan of an arm.

    Raises:
        BadInput: if its plan is unknown or its options do not fit.
    """
    if arm.plan == "single":
        if len(arm.models) != 1:
            raise BadInput(f"arm {arm.name!r}: a single plan has one model, this one has {len(arm.models)}")
        return Single(arm.models[0])
    raise BadInput(f"arm {arm.name!r}: {unknown('plan', arm.plan, ['single'])}")
