"""Connections in small groups: the pool of httpx takes time in proportion to its connections, for each request.

Each request and each end of one has httpcore look at every connection of its pool. With 32 requests at once a process
gets a third done of what it could, with hundreds next to nothing, and some requests wait for seconds. So the requests
to one server are spread over pools of a few connections each: the first that has room, so that few are open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx

WIDTH = 4
"""Requests at once in one group; over HTTP/2 they share a connection."""


class Group:
    """A pool of its own.

    A request that was cancelled or broke may leave a connection behind that httpcore believes to be in use for ever. So
    its group is retired: it takes no more requests, and is closed when the others in it are done.
    """

    __slots__ = ("_closing", "busy", "retired", "transport")

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        self.busy = 0
        self.retired = False
        self._closing: asyncio.Task[None] | None = None

    def leave(self, *, whole: bool) -> None:
        """A request is over; ``whole``: its answer was read to the end."""
        self.busy -= 1
        self.retired = self.retired or not whole
        if self.retired and self.busy == 0 and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.transport.aclose())


class GroupedTransport(httpx.AsyncBaseTransport):
    """A transport over groups that are made as they are needed. For one event loop.

    Args:
        make: a transport for up to :data:`WIDTH` requests at once; more have to wait for each other in it.
        most: connections to one server.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport], *, most: int) -> None:
        self._make = make
        self._most = max(1, most // WIDTH)
        self._groups: dict[tuple[str, str, int | None], list[Group]] = {}

    def _group(self, url: httpx.URL) -> Group:
        groups = self._groups.setdefault((url.scheme, url.host, url.port), [])
        if any(group.retired for group in groups):
            groups[:] = [group for group in groups if not group.retired]
        for group in groups:
            if group.busy < WIDTH:
                return group
        if len(groups) >= self._most:
            return min(groups, key=lambda group: group.busy)
        group = Group(self._make())
        groups.append(group)
        return group

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by a group that has room; it is busy until the response is closed."""
        group = self._group(request.url)
        group.busy += 1
        try:
            response = await group.transport.handle_async_request(request)
        except BaseException:
            group.leave(whole=False)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Stream(response.stream, group)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        servers, self._groups = self._groups, {}
        for groups in servers.values():
            for group in groups:
                await group.transport.aclose()


class _Stream(httpx.AsyncByteStream):
    """A response's bytes; gives its place in the group back when it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, group: Group) -> None:
        self._inner = inner
        self._group: Group | None = group
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            yield part
        self._whole = True

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            if self._group is not None:
                self._group.leave(whole=self._whole)
                self._group = None
