"""``/healthz`` and ``/readyz``: whether the process lives, and whether it should be sent requests."""

from __future__ import annotations

import json
from collections.abc import Callable

from armwise.gateway.exchange import Exchange
from armwise.router import Router


class Health:
    """Args:
    router: whose log and models are looked at.
    draining: whether the gateway is being stopped.
    """

    def __init__(self, router: Router, draining: Callable[[], bool]) -> None:
        self._router = router
        self._draining = draining

    async def alive(self, exchange: Exchange) -> None:
        """``GET /healthz``."""
        await exchange.whole(200, b'{"status":"ok"}', {})

    async def ready(self, exchange: Exchange) -> None:
        """``GET /readyz``: 503 while stopping, with an empty pool, or while the log cannot be written."""
        trouble = []
        if self._draining():
            trouble.append("stopping")
        if not self._router.arms:
            trouble.append("the pool is empty")
        if not self._router.log_health.ok:
            trouble.append("the log cannot be written")
        content = json.dumps({"status": "not ready" if trouble else "ok", "trouble": trouble}).encode()
        await exchange.whole(503 if trouble else 200, content, {})
