"""A gateway over real HTTP, in front of the simulator of providers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from armwise.gateway import Gateway, GatewayServer
from armwise.testing.simulator import SimulatedModel

MODELS = (
    SimulatedModel("small", skill=3.0, latency_ms=1.0, verbosity=0.2, input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
    SimulatedModel("large", skill=3.0, latency_ms=1.0, verbosity=0.2, input_usd_per_mtok=3.0, output_usd_per_mtok=15.0),
)


class Served:
    """A running gateway, and what it stands on."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.router = gateway.router
        self.server = GatewayServer(gateway)
        listener = self.server.listen()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        while not self.server.started:
            assert self._thread.is_alive()
            time.sleep(0.002)
        self.http = httpx.Client(base_url=self.url, timeout=20)

    def ask(
        self, text: str = "What is 12 + 30?", *, path: str = "/v1/chat/completions", **fields: Any
    ) -> httpx.Response:
        headers = fields.pop("headers", None)
        body = {"model": "armwise/auto", "messages": [{"role": "user", "content": text}], **fields}
        return self.http.post(path, json=body, headers=headers)

    def stop(self) -> None:
        """Stop serving, as a signal would; the second time does nothing."""
        self.http.close()
        self.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()


Serve = Callable[..., Served]
