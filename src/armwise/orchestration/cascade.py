"""A cascade: the cheapest tier first, the next one where the answer is not sure enough.

After Chen, Zaharia & Zou, "FrugalGPT" (2023). The threshold is part of the arm, so that it is learned by choosing among
arms. A tier that fails is passed over; if the last one fails, the surest answer so far is the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from armwise.orchestration.ask import Ask, Draft
from armwise.orchestration.checks import measured, prepared, restored
from armwise.plans import Cascade, Node
from armwise.providers.errors import UpstreamError

T = TypeVar("T")


async def climb(
    node: Cascade,
    ask: Ask,
    answer: Callable[[Node, Ask], Awaitable[Draft]],
    last: Callable[[Node, Ask], Awaitable[T]],
) -> Draft | T:
    """The first answer that is sure enough, or what the last tier gives.

    Args:
        node: the plan.
        ask: what is asked.
        answer: carries out a tier.
        last: carries out the last one, whose answer is not checked and so may be streamed.

    Raises:
        UpstreamError: if no tier answered.
    """
    surest: Draft | None = None
    for tier in node.tiers[:-1]:
        try:
            draft = await answer(tier, ask._replace(body=prepared(node.checks, ask.body)))
        except UpstreamError:
            continue
        confidence = await measured(node.checks, draft, ask)
        draft = restored(draft, ask.body)._replace(confidence=confidence)
        if confidence is not None and confidence >= node.threshold:
            return draft
        if surest is None or (confidence or 0.0) > (surest.confidence or 0.0):
            surest = draft
    try:
        return await last(node.tiers[-1], ask)
    except UpstreamError:
        if surest is None:
            raise
        return surest
