"""The same client for code that is not async: one event loop in one background thread, and no second implementation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from armwise.contracts import Model
from armwise.providers.client import ProviderClient
from armwise.providers.completion import Completion
from armwise.providers.stream import CompletionStream
from armwise.providers.wire import Json

T = TypeVar("T")


class BackgroundLoop:
    """An event loop in a daemon thread, started when first used. Safe to use from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it. Its errors are raised here; an interrupt here cancels it there."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def started(self) -> bool:
        """Whether the loop runs."""
        return self._loop is not None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="armwise-io", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Stop the loop and its thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


class Chunks(Protocol):
    """A stream that is read with ``async``."""

    def __anext__(self) -> Awaitable[Json]: ...

    async def aclose(self) -> None: ...


Source = TypeVar("Source", bound=Chunks)


class BlockingChunks(Generic[Source]):
    """An iterator over the chunks of a stream, for code that is not async."""

    def __init__(self, loop: BackgroundLoop, stream: Source) -> None:
        self._loop = loop
        self._stream = stream

    def __iter__(self) -> Iterator[Json]:
        return self

    def __next__(self) -> Json:
        chunk = self._loop.run(_next(self._stream))
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Stop reading and hang up."""
        self._loop.run(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next(stream: Chunks) -> Json | None:
    return await anext(stream, None)


class BlockingStream(BlockingChunks[CompletionStream]):
    """An iterator over the chunks of a completion."""

    @property
    def completion(self) -> Completion:
        """The whole answer with its account, once the stream was read to its end."""
        return self._stream.completion


class BlockingClient:
    """A :class:`ProviderClient` whose methods wait. Arguments and errors are those of the client's own."""

    def __init__(self, client: ProviderClient, loop: BackgroundLoop | None = None) -> None:
        self._client = client
        self._loop = loop or BackgroundLoop()

    def complete(self, model: Model | str, body: Mapping[str, Any], **options: Any) -> Completion:
        """See :meth:`ProviderClient.complete`."""
        return self._loop.run(self._client.complete(model, body, **options))

    def embed(self, model: Model | str, body: Mapping[str, Any], **options: Any) -> Completion:
        """See :meth:`ProviderClient.embed`."""
        return self._loop.run(self._client.embed(model, body, **options))

    def respond(self, model: Model | str, body: Mapping[str, Any], **options: Any) -> Completion:
        """See :meth:`ProviderClient.respond`."""
        return self._loop.run(self._client.respond(model, body, **options))

    def stream(self, model: Model | str, body: Mapping[str, Any], **options: Any) -> BlockingStream:
        """See :meth:`ProviderClient.stream`."""
        return BlockingStream(self._loop, self._loop.run(self._client.stream(model, body, **options)))

    def close(self) -> None:
        """Close the connections and stop the background thread."""
        self._loop.run(self._client.aclose())
        self._loop.close()

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
