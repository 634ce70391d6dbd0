"""Requests over httpx, with its errors translated into ours."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx

from armwise.errors import BadInput, ConfigError
from armwise.providers.errors import (
    BadResponse,
    ConnectFailed,
    CutShort,
    DeadlineExceeded,
    Rejected,
    Timeout,
    UpstreamError,
    from_status,
)
from armwise.providers.pool import Place
from armwise.providers.retry import retry_after_s
from armwise.providers.transport import WIDTH, GroupedTransport
from armwise.providers.wire import error_of


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpSettings:
    """Limits of connections and of patience, in seconds per phase.

    Raises:
        ConfigError: on a value out of its range.
    """

    connect_s: float = 5.0
    write_s: float = 20.0
    read_s: float = 120.0
    """Silence before an answer begins; of an answer that is not streamed, that is all of the model's work."""
    idle_s: float = 30.0
    """Silence inside a stream that has begun."""
    max_connections: int = 1000
    max_idle_connections: int = 200
    http2: bool = True
    """Where the server offers it, which takes TLS."""
    trust_env: bool = True
    """Whether proxies are taken from the environment."""

    def __post_init__(self) -> None:
        for name in ("connect_s", "write_s", "read_s", "idle_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ConfigError(f"{name} must be over 0 and finite, got {value!r}")
        if self.max_connections < 1 or self.max_idle_connections < 0:
            raise ConfigError("max_connections must be at least 1 and max_idle_connections at least 0")


def encode(payload: Mapping[str, Any]) -> bytes:
    """A request body as bytes.

    Raises:
        BadInput: if it holds what JSON cannot: an object of another kind, or a number that is not finite.
    """
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can carry
        return json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise BadInput(f"the request is not JSON: {error}") from None


@lru_cache(maxsize=2)
def _tls(trust_env: bool) -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=trust_env)


class Http:
    """A pool of connections for each event loop that it is used from: httpx ties connections to their loop."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._transport = transport
        self._now = now
        if transport is None:
            _tls(settings.trust_env)  # tens of milliseconds, which no request should wait for
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            settings = self.settings
            client = self._clients[loop] = httpx.AsyncClient(
                verify=_tls(settings.trust_env),
                http2=settings.http2,
                trust_env=settings.trust_env,
                follow_redirects=False,  # a redirect would carry the key elsewhere
                limits=httpx.Limits(
                    max_connections=settings.max_connections,
                    max_keepalive_connections=settings.max_idle_connections,
                    keepalive_expiry=30.0,
                ),
                timeout=httpx.Timeout(
                    connect=settings.connect_s, write=settings.write_s, read=settings.read_s, pool=settings.connect_s
                ),
                transport=self._transport or self._grouped(),
            )
        return client

    def _grouped(self) -> httpx.AsyncBaseTransport | None:
        """Connections in groups; None, which is httpx's own pool, where there is a proxy that httpx has to see to."""
        settings = self.settings
        if settings.trust_env and getproxies():
            return None
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=WIDTH, keepalive_expiry=30.0)
        return GroupedTransport(
            lambda: httpx.AsyncHTTPTransport(
                verify=_tls(settings.trust_env), http2=settings.http2, trust_env=settings.trust_env, limits=limits
            ),
            most=settings.max_connections,
        )

    async def open(self, place: Place, path: str, content: bytes) -> httpx.Response:
        """Send a request; returns when the head of a good answer is there. The caller reads or closes it.

        Raises:
            UpstreamError: if no answer came, or one with a status of failure.
        """
        client = self._client()
        request = client.build_request("POST", place.url + path, content=content, headers=place.headers)
        async with translated(begun=False):
            response = await client.send(request, stream=True)
        if response.status_code == 200:
            return response
        try:
            async with translated(begun=False):
                raw = await response.aread()
        finally:
            await response.aclose()
        raise self._failure(response, raw)

    def _failure(self, response: httpx.Response, raw: bytes) -> UpstreamError:
        try:
            message, codes = error_of(json.loads(raw))
        except (ValueError, RecursionError):
            message, codes = "", []
        wait = retry_after_s(response.headers, now=self._now())
        return from_status(response.status_code, message[:500], retry_after_s=wait, codes=codes)

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


@asynccontextmanager
async def translated(*, begun: bool) -> AsyncIterator[None]:
    """httpx errors into ours. ``begun``: an answer had begun, so that what broke off is an answer cut short.

    The cause is dropped on purpose: it holds the request, and with it the key.
    """
    try:
        yield
    except httpx.TimeoutException as error:
        kind = type(error).__name__
        if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
            raise ConnectFailed(f"no connection in time ({kind})", sent=False) from None
        raise Timeout(f"no answer in time ({kind})") from None
    except httpx.DecodingError:
        raise BadResponse("the body is not in the encoding that it claims") from None
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
        raise Rejected(f"the request cannot be sent ({type(error).__name__})") from None
    except httpx.TransportError as error:
        if begun:
            raise CutShort(f"the answer ended in the middle ({type(error).__name__})") from None
        sent = not isinstance(error, httpx.ConnectError)
        raise ConnectFailed(f"the connection failed ({type(error).__name__})", sent=sent) from None


def too_late() -> DeadlineExceeded:
    """What a caller's deadline raises."""
    return DeadlineExceeded("the caller's deadline is over")


@asynccontextmanager
async def within(seconds: float | None, failure: Callable[[], Timeout]) -> AsyncIterator[None]:
    """Raise ``failure()`` unless the block ends in time. None is no limit."""
    if seconds is None:
        yield
        return
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            yield
    except TimeoutError:
        raise failure() from None
