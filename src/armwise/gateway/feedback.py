"""``/v1/feedback``: what users and applications say of an answer."""

from __future__ import annotations

import json
from typing import Any

from armwise.contracts import RETRACTION
from armwise.errors import BadInput, unknown
from armwise.gateway.door import Door
from armwise.gateway.exchange import Exchange
from armwise.router import Router

_FIELDS = ("decision_id", "kind", "value", "event_id", "retracts")


class Feedback:
    """Takes signals in. A tenant reaches its own decisions only; another's look as though they did not exist."""

    def __init__(self, router: Router, door: Door) -> None:
        self._router = router
        self._door = door

    async def take(self, exchange: Exchange) -> None:
        """``POST /v1/feedback``: ``{"decision_id", "kind", "value"?, "event_id"?}``, or ``{..., "retracts"}``."""
        body = await self._door.body(exchange)
        for name in body:
            if name not in _FIELDS:
                raise BadInput(unknown("field", name, _FIELDS))
        decision_id = _text(body, "decision_id")
        source, tenant = f"user:{exchange.caller.key_id}", exchange.caller.name
        if "retracts" in body:
            new = self._router.retract(decision_id, _text(body, "retracts"), source=source, tenant=tenant)
        else:
            kind = _text(body, "kind")
            if kind == RETRACTION:
                raise BadInput("to take a signal back, give its event id as 'retracts' and no kind")
            value = body.get("value")
            if isinstance(value, bool):
                value = float(value)
            event_id = _text(body, "event_id") if body.get("event_id") is not None else kind
            new = self._router.signal(decision_id, kind, value, event_id=event_id, source=source, tenant=tenant)
        await exchange.whole(200, json.dumps({"object": "feedback", "taken": new}).encode(), {})


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value or len(value) > 512:
        raise BadInput(f"{name} must be a string of 1 to 512 characters, got {type(value).__name__}")
    return value
