"""Carrying out a plan, whatever it is made of."""

from __future__ import annotations

from armwise.orchestration.ask import Ask, Draft
from armwise.orchestration.cascade import climb
from armwise.orchestration.ensemble import confer
from armwise.plans import Call, Cascade, Node
from armwise.providers.completion import Completion
from armwise.providers.stream import CompletionStream


async def answer(node: Node, ask: Ask) -> Draft:
    """The answer of a plan.

    Raises:
        UpstreamError: if there is none.
    """
    if isinstance(node, Call):
        return Draft(await _call(node, ask))
    if isinstance(node, Cascade):
        return await climb(node, ask, answer, answer)
    return await confer(node, ask, answer)


async def stream(node: Node, ask: Ask) -> Draft | CompletionStream:
    """The answer as it comes, if it is the accepted one before it is whole; else all of it.

    A single call streams, and so does the last tier of a cascade. Of what is rejected nothing is ever seen.

    Raises:
        UpstreamError: if there is none.
    """
    if isinstance(node, Call):
        return await ask.calls.stream(ask.models[node.model], _body(node, ask))
    if isinstance(node, Cascade):
        return await climb(node, ask, answer, stream)
    return await confer(node, ask, answer)


async def _call(node: Call, ask: Ask) -> Completion:
    return await ask.calls.complete(ask.models[node.model], _body(node, ask))


def _body(node: Call, ask: Ask) -> dict[str, object]:
    return dict(ask.body) if node.temperature is None else {**ask.body, "temperature": node.temperature}
