"""``/v1/models``: the virtual model that routes over the pool, and the pool."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from armwise.contracts import Arm
from armwise.errors import UnknownModel, unknown
from armwise.gateway.asking import Asking
from armwise.gateway.exchange import Exchange
from armwise.router import Router


class Listing:
    """Lists what a caller may ask for."""

    def __init__(self, router: Router, asking: Asking) -> None:
        self._router = router
        self._asking = asking

    def _entries(self, exchange: Exchange) -> list[dict[str, Any]]:
        tenant = exchange.caller.tenant
        allowed = tenant.arms if tenant is not None else None
        virtual = [_entry(name, owner="armwise") for name in self._asking.virtual]
        pool = [_of(arm) for arm in self._router.pool() if allowed is None or arm.name in allowed]
        return virtual + pool

    async def all(self, exchange: Exchange) -> None:
        """``GET /v1/models``."""
        content = json.dumps({"object": "list", "data": self._entries(exchange)}).encode()
        await exchange.whole(200, content, {})

    async def one(self, exchange: Exchange) -> None:
        """``GET /v1/models/NAME``."""
        name = unquote(exchange.scope["path_params"]["name"])
        entries = {entry["id"]: entry for entry in self._entries(exchange)}
        if name not in entries:
            raise UnknownModel(unknown("model", name, entries))
        await exchange.whole(200, json.dumps(entries[name]).encode(), {})


def _of(arm: Arm) -> dict[str, Any]:
    models = arm.models
    entry = _entry(arm.name, owner=models[0].provider if len(models) == 1 else "armwise")
    entry["armwise"] = {
        "plan": arm.plan,
        "models": [model.name for model in models],
        "input_usd_per_mtok": [model.input_usd_per_mtok for model in models],
        "output_usd_per_mtok": [model.output_usd_per_mtok for model in models],
        "context_window": min((m.context_window for m in models if m.context_window is not None), default=None),
        "residency": sorted({model.residency or "unknown" for model in models}),
        "clearance": sorted({model.clearance for model in models}),
        "tools": all(model.tools for model in models),
    }
    return entry


def _entry(name: str, *, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
