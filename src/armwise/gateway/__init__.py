"""One endpoint in front of the pool: applications of the OpenAI API change their base URL, and are routed."""

from armwise.gateway.app import Gateway
from armwise.gateway.server import GatewayServer

__all__ = ["Gateway", "GatewayServer"]
