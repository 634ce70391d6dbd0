"""What every route has around it: keys, limits, errors as answers, and the account."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from armwise.config.gateway import GatewaySettings
from armwise.errors import ArmwiseError
from armwise.gateway.exchange import Exchange, Observer
from armwise.gateway.failures import error_body, retry_after, status_of
from armwise.gateway.keys import Caller, Keyring
from armwise.gateway.limits import Limits
from armwise.gateway.reading import Gone, TooLarge, TooSlow, parse_object, read_body

logger = logging.getLogger("armwise.gateway")

Handler = Callable[[Exchange], Awaitable[None]]
Gate = Callable[[Mapping[str, str]], Caller]


class Door:
    """Makes ASGI applications of handlers."""

    def __init__(self, settings: GatewaySettings, keys: Keyring, limits: Limits, observers: Sequence[Observer]) -> None:
        self._settings = settings
        self._keys = keys
        self._limits = limits
        self._observers = observers

    def for_anyone(self, handler: Handler, endpoint: str) -> Route:
        """No key is needed, and nothing is counted against anybody."""
        return Route(self, handler, endpoint, lambda headers: Caller(), limited=False)

    def for_callers(self, handler: Handler, endpoint: str, *, limited: bool = True) -> Route:
        """A tenant's key is needed, where there are tenants."""
        return Route(self, handler, endpoint, self._keys.caller, limited=limited)

    def for_admins(self, handler: Handler, endpoint: str) -> Route:
        """An admin's key is needed, where there are keys."""
        return Route(self, handler, endpoint, self._keys.admin, limited=False)

    async def body(self, exchange: Exchange) -> dict[str, Any]:
        """The JSON object that came.

        Raises:
            BadInput, TooLarge, TooSlow, Gone: see :mod:`armwise.gateway.reading`.
        """
        raw = await read_body(
            exchange.receive,
            exchange.headers,
            limit=self._settings.max_body_bytes,
            timeout_s=self._settings.body_timeout_s,
        )
        return parse_object(raw)

    async def serve(self, route: Route, exchange: Exchange) -> None:
        """Let a request in, have it answered, and account for it, whatever happens."""
        try:
            exchange.caller = route.gate(exchange.headers)
            if not route.limited:
                await route.handler(exchange)
            else:
                tenant = exchange.caller.tenant
                self._limits.enter(tenant)
                try:
                    await route.handler(exchange)
                finally:
                    self._limits.leave(tenant)
        except Exception as error:  # noqa: BLE001 - whatever failed becomes an answer and a line in the log
            exchange.error = error
            await self._refuse(exchange, error)
        except asyncio.CancelledError:
            exchange.error = Gone("the gateway was stopped before the end of the answer")
            raise
        finally:
            for observer in self._observers:
                observer(exchange)

    async def _refuse(self, exchange: Exchange, error: Exception) -> None:
        if not isinstance(error, ArmwiseError):
            # Where it happened, but not what it says: that may hold what the client sent.
            frames = traceback.extract_tb(error.__traceback__)
            where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
            logger.error("%s: unexpected %s at %s", exchange.id, type(error).__name__, where)
        if exchange.status is not None or isinstance(error, Gone):  # the answer has begun, or nobody listens
            return
        headers = retry_after(error)
        if isinstance(error, (TooLarge, TooSlow)):  # the rest of the request is not read
            headers["connection"] = "close"
        content = json.dumps(error_body(error, request_id=exchange.id)).encode()
        await exchange.whole(status_of(error), content, headers)


class Route:
    """One route as an ASGI application."""

    def __init__(self, door: Door, handler: Handler, endpoint: str, gate: Gate, *, limited: bool) -> None:
        self.handler = handler
        self.endpoint = endpoint
        self.gate = gate
        self.limited = limited
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door.serve(self, Exchange(scope, receive, send, self.endpoint))
