"""Admin routes: the pool and the budgets, while the gateway runs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from armwise.config.load import complaint
from armwise.config.pool import ModelSettings
from armwise.contracts import Budget, record_fields
from armwise.errors import BadInput, unknown
from armwise.gateway.door import Door
from armwise.gateway.durability import Durability
from armwise.gateway.exchange import Exchange
from armwise.router import Router

_PROMOTION = ("version", "stage", "share")


class Admin:
    """Handlers behind the admin key. What they change is part of the log, and durable when they answer."""

    def __init__(self, router: Router, door: Door, durability: Durability) -> None:
        self._router = router
        self._door = door
        self._durability = durability

    async def models(self, exchange: Exchange) -> None:
        """``GET /admin/models``: the pool, what is disabled, and how the deployments fare."""
        router = self._router
        client = router.orchestrator.client
        told = {"arms": list(router.arms), "disabled": sorted(router.disabled), "deployments": client.health()}
        await _answer(exchange, told)

    async def add(self, exchange: Exchange) -> None:
        """``POST /admin/models``: a model as in a configuration, new or with new particulars."""
        body = await self._door.body(exchange)
        try:
            settings = ModelSettings(**body)
        except ValidationError as error:
            raise BadInput(
                "; ".join(complaint(item, ModelSettings) for item in error.errors(include_url=False))
            ) from None
        self._router.add_model(settings.record())
        if not settings.enabled:
            self._router.disable_model(settings.name, by=_who(exchange))
        await self._done(exchange, {"arms": list(self._router.arms)})

    async def remove(self, exchange: Exchange) -> None:
        """``DELETE /admin/models/NAME``."""
        self._router.remove_model(_name(exchange))
        await self._done(exchange, {"arms": list(self._router.arms)})

    async def disable(self, exchange: Exchange) -> None:
        """``POST /admin/models/NAME/disable``: no decision draws it until it is enabled."""
        self._router.disable_model(_name(exchange), by=_who(exchange))
        await self._done(exchange, {"disabled": sorted(self._router.disabled)})

    async def enable(self, exchange: Exchange) -> None:
        """``POST /admin/models/NAME/enable``."""
        self._router.enable_model(_name(exchange), by=_who(exchange))
        await self._done(exchange, {"disabled": sorted(self._router.disabled)})

    async def budgets(self, exchange: Exchange) -> None:
        """``GET /admin/budgets``: how each stands."""
        await _answer(exchange, self._budgets())

    async def set_budget(self, exchange: Exchange) -> None:
        """``POST /admin/budgets``: a new one, or a new amount for a known name: ``{"usd", "per", "tenant", ...}``."""
        body = await self._door.body(exchange)
        known = record_fields(Budget)
        for name in body:
            if name not in known:
                raise BadInput(unknown("field of a budget", name, known))
        if "usd" not in body:
            raise BadInput("a budget needs an amount: usd")
        budget = self._router.set_budget(Budget(**body))
        await self._done(exchange, {"budget": asdict(budget)})

    async def remove_budget(self, exchange: Exchange) -> None:
        """``DELETE /admin/budgets/NAME``."""
        self._router.remove_budget(_name(exchange))
        await self._done(exchange, self._budgets())

    async def rollout(self, exchange: Exchange) -> None:
        """``GET /admin/rollout``: which policy serves, and what is tried beside it."""
        await _answer(exchange, self._router.rollout())

    async def promote(self, exchange: Exchange) -> None:
        """``POST /admin/promote``: ``{"version", "stage": "full" | "canary" | "shadow", "share"}``."""
        body = await self._door.body(exchange)
        for name in body:
            if name not in _PROMOTION:
                raise BadInput(unknown("field", name, _PROMOTION))
        version, stage, share = body.get("version"), body.get("stage", "full"), body.get("share", 0.0)
        if not isinstance(version, str) or not isinstance(stage, str):
            raise BadInput("promoting needs a version of the registry; version and stage are strings")
        if isinstance(share, bool) or not isinstance(share, (int, float)):
            raise BadInput(f"share must be a number, got {type(share).__name__}")
        # it reads the policy from the disk: not on the event loop
        await asyncio.to_thread(self._router.promote, version, stage=stage, share=float(share))
        await self._done(exchange, self._router.rollout())

    async def rollback(self, exchange: Exchange) -> None:
        """``POST /admin/rollback``: take off what is tried, or go back to what served before."""
        await asyncio.to_thread(self._router.rollback, by=_who(exchange))
        await self._done(exchange, self._router.rollout())

    def _budgets(self) -> dict[str, Any]:
        return {"budgets": [asdict(report) for report in self._router.budgets()]}

    async def _done(self, exchange: Exchange, told: dict[str, Any]) -> None:
        """Answer when what was changed would survive a crash."""
        await self._durability.wait(self._durability.ticket())
        await _answer(exchange, told)


async def _answer(exchange: Exchange, told: dict[str, Any]) -> None:
    await exchange.whole(200, json.dumps(told, default=str).encode(), {})


def _who(exchange: Exchange) -> str:
    return f"admin {exchange.caller.key_id}"


def _name(exchange: Exchange) -> str:
    return unquote(exchange.scope["path_params"]["name"])
