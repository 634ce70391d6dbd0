"""Serving over HTTP: uvicorn, with an end that loses nothing."""

from __future__ import annotations

import ipaddress
import socket
from types import FrameType

import uvicorn

from armwise.config.gateway import GatewaySettings
from armwise.errors import ConfigError
from armwise.gateway.app import Gateway
from armwise.gateway.protocol import BoundedProtocol


class GatewayServer(uvicorn.Server):
    """Serves a gateway until it is told to stop; then it is no longer ready, but finishes what it has begun."""

    def __init__(self, gateway: Gateway) -> None:
        settings = gateway.settings
        check_reach(settings)
        super().__init__(
            uvicorn.Config(
                gateway,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                ws="none",
                http=BoundedProtocol,
                lifespan="on",
                proxy_headers=False,
                timeout_graceful_shutdown=int(max(1.0, settings.shutdown_s)),
                timeout_keep_alive=30,
            )
        )
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGINT and SIGTERM."""
        self._gateway.draining = True
        super().handle_exit(sig, frame)

    def listen(self) -> socket.socket:
        """The socket to serve on; port 0 takes a free one.

        Raises:
            OSError: if the address is taken.
        """
        settings = self._gateway.settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)


def check_reach(settings: GatewaySettings) -> None:
    """Raise ConfigError if a gateway that asks for no key could be reached from elsewhere."""
    if not settings.tenants and not settings.open and not _is_loopback(settings.host):
        raise ConfigError(
            f"gateway.tenants: there are none, so no key is asked for, and others can reach {settings.host}; "
            "give tenants with keys (armwise key makes one), listen on 127.0.0.1, or set gateway.open: true"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
