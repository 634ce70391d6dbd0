"""The gateway as an ASGI application: the parts put together, and the table of routes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from opentelemetry.trace import TracerProvider
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path
from starlette.types import Receive, Scope, Send

from armwise.config.gateway import GatewaySettings
from armwise.contracts import Request
from armwise.gateway.admin import Admin
from armwise.gateway.answering import Answering
from armwise.gateway.asking import Asking
from armwise.gateway.door import Door, Route
from armwise.gateway.durability import Durability
from armwise.gateway.exchange import Observer
from armwise.gateway.feedback import Feedback
from armwise.gateway.health import Health
from armwise.gateway.journal import journal
from armwise.gateway.keys import Keyring
from armwise.gateway.limits import Limits
from armwise.gateway.listing import Listing
from armwise.gateway.metrics import Metrics
from armwise.gateway.tracing import Tracing
from armwise.router import Router


class Gateway:
    """An ASGI application in front of a router. Closes the router when it is shut down.

    Args:
        router: decides, calls and learns.
        settings: who may use it, and how much of it.
        environment: holds the keys that the settings name by a variable.
        observers: see each exchange when it is over, beside the gateway's own.
        tracers: for OpenTelemetry; by default the provider that the application has set.

    Raises:
        ConfigError: on a key that is not set, or given twice.
    """

    def __init__(
        self,
        router: Router,
        settings: GatewaySettings | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        observers: Sequence[Observer] = (),
        tracers: TracerProvider | None = None,
    ) -> None:
        self.router = router
        self.settings = settings or GatewaySettings()
        self.keys = Keyring(self.settings, os.environ if environment is None else environment)
        self.limits = Limits(self.settings)
        self.draining = False
        """Set while the gateway is being stopped: it is not ready then, but finishes what it has begun."""
        self.durability = Durability(lambda: router.position, router.secure, self.settings.durable_within_s)
        self.metrics = Metrics(router, self.limits, self.durability)
        self.observers: list[Observer] = [self.metrics.observe, Tracing(router, tracers).observe, journal, *observers]
        """See each exchange when it is over; more may be added."""
        self._app = self._starlette()

    def _starlette(self) -> Starlette:
        door = Door(self.settings, self.keys, self.limits, self.observers)
        asking = Asking(self.settings, self.router)
        admin = Admin(self.router, door, self.durability)
        answering = Answering(self.router, self.settings, door, asking, self.durability)
        listing = Listing(self.router, asking)
        feedback = Feedback(self.router, door)
        health = Health(self.router, lambda: self.draining)
        routes = [
            Path("/v1/chat/completions", door.for_callers(answering.handler("chat"), "chat"), methods=["POST"]),
            Path("/v1/responses", door.for_callers(answering.handler("responses"), "responses"), methods=["POST"]),
            Path("/v1/embeddings", door.for_callers(answering.handler("embeddings"), "embeddings"), methods=["POST"]),
            Path("/v1/models", door.for_callers(listing.all, "models", limited=False), methods=["GET"]),
            Path("/v1/models/{name:path}", door.for_callers(listing.one, "models", limited=False), methods=["GET"]),
            Path("/v1/feedback", door.for_callers(feedback.take, "feedback", limited=False), methods=["POST"]),
            Path("/admin/models", door.for_admins(admin.models, "admin"), methods=["GET"]),
            Path("/admin/models", door.for_admins(admin.add, "admin"), methods=["POST"]),
            Path("/admin/models/{name:path}/disable", door.for_admins(admin.disable, "admin"), methods=["POST"]),
            Path("/admin/models/{name:path}/enable", door.for_admins(admin.enable, "admin"), methods=["POST"]),
            Path("/admin/models/{name:path}", door.for_admins(admin.remove, "admin"), methods=["DELETE"]),
            Path("/admin/budgets", door.for_admins(admin.budgets, "admin"), methods=["GET"]),
            Path("/admin/budgets", door.for_admins(admin.set_budget, "admin"), methods=["POST"]),
            Path("/admin/budgets/{name:path}", door.for_admins(admin.remove_budget, "admin"), methods=["DELETE"]),
            Path("/admin/rollout", door.for_admins(admin.rollout, "admin"), methods=["GET"]),
            Path("/admin/promote", door.for_admins(admin.promote, "admin"), methods=["POST"]),
            Path("/admin/rollback", door.for_admins(admin.rollback, "admin"), methods=["POST"]),
            Path("/metrics", self._for_scrapers(door), methods=["GET"]),
            Path("/healthz", door.for_anyone(health.alive, "healthz"), methods=["GET"]),
            Path("/readyz", door.for_anyone(health.ready, "readyz"), methods=["GET"]),
        ]
        return Starlette(
            routes=routes, lifespan=self._lifespan, exception_handlers={404: _no_such_route, 405: _no_such_route}
        )

    def _for_scrapers(self, door: Door) -> Route:
        if self.settings.public_metrics:
            return door.for_anyone(self.metrics.show, "metrics")
        return door.for_admins(self.metrics.show, "metrics")

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.router.encoder.encode(Request.from_text("Hello"))  # the first time loads its tables
        yield
        self.draining = True
        await self.router.aclose()
        self.durability.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _no_such_route(request: HttpRequest, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    message = "no such route" if status == 404 else "this route does not take this method"
    names = {"type": "invalid_request_error", "param": None, "code": "not_found" if status == 404 else "wrong_method"}
    return JSONResponse({"error": {"message": message, **names}}, status, headers=getattr(error, "headers", None))
