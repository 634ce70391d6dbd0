"""A streamed answer: chunks as they come, and the account behind the last one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any

import httpx

from armwise.contracts import Attempt, Model
from armwise.errors import BadInput
from armwise.providers.accumulate import accumulator
from armwise.providers.call import Call
from armwise.providers.completion import Completion
from armwise.providers.errors import BadResponse, CutShort, DeadlineExceeded, Timeout, UpstreamError
from armwise.providers.http import too_late, translated, within
from armwise.providers.openai import raise_if_error
from armwise.providers.pool import Lease
from armwise.providers.sse import EventDecoder
from armwise.providers.wire import Json, loads, usage_chunk

_GOODBYE_S = 0.05


class CompletionStream:
    """An async iterator over OpenAI chunks. Read it to its end or close it; ``async with`` sees to that.

    Until the first chunk that says something the call may still be tried again, unseen. After it, a failure is raised
    with what was ``received``.
    """

    def __init__(self, call: Call, lease: Lease, response: httpx.Response) -> None:
        self._call = call
        self._lease = lease
        self._response = response
        self._bytes = response.aiter_bytes()
        self._events = EventDecoder()
        self._decoder = call.pool.wire.decoder(call.endpoint, call.pool.model)
        self._answer = accumulator(call.endpoint)
        self._ready: deque[Json] = deque()
        self._says = False
        self._ended = False
        self._closed = False
        self._first_token_ms: float | None = None
        self._completion: Completion | None = None
        options = call.body.get("stream_options") or {}
        self._idle_s = call.kit.http.settings.idle_s
        self._choices = (call.body.get("n") or 1) if call.endpoint == "chat" else 0
        self._wants_usage = call.endpoint != "chat" or bool(options.get("include_usage"))

    @classmethod
    async def open(cls, call: Call, lease: Lease) -> CompletionStream:
        """Send the request; returns once the answer says something.

        Raises:
            UpstreamError: if it fails before that.
        """
        path, content = call.request(lease.place)
        async with within(call.left_s(), too_late):
            response = await call.kit.http.open(lease.place, path, content)
            stream = cls(call, lease, response)
            try:
                await stream._begin()
            except BaseException:
                await response.aclose()
                raise
        return stream

    async def _begin(self) -> None:
        kind = self._response.headers.get("content-type", "")
        if "json" in kind:
            async with translated(begun=True):
                raise_if_error(loads(await self._response.aread()))
            raise BadResponse("the provider answered in one piece where a stream was asked for")
        while not self._says and not self._ended:
            await self._more()
        self._first_token_ms = self._call.elapsed_ms()

    def allow(self, *, deadline: float | None, idle_s: float) -> None:
        """Give an answer that has begun its own time.

        Args:
            deadline: instant of the clock by which it must have ended; None is no limit.
            idle_s: the longest silence in it, unless the client's own limit is shorter.
        """
        self._call.extend(deadline)
        self._idle_s = min(self._idle_s, idle_s)

    # ------------------------------------------------------------------------------------------ reading

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        while not self._ready:
            if self._ended or self._closed:
                await self._finish()
                raise StopAsyncIteration
            try:
                await self._patiently()
            except UpstreamError as error:
                await self._fail(error)
                raise
            except BaseException:
                await self.aclose()
                raise
        return self._ready.popleft()

    async def _patiently(self) -> None:
        idle, left = self._idle_s, self._call.left_s()
        short = left is not None and left < idle
        try:
            async with within(left if short else idle, too_late if short else self._silent):
                await self._more()
        except Timeout:
            if not self._complete():
                raise
            self._end()

    def _silent(self) -> Timeout:
        return Timeout(f"the stream fell silent for {self._idle_s:g} s")

    async def _more(self) -> None:
        """Read until there is something to give, or the end."""
        try:
            async with translated(begun=True):
                content = await anext(self._bytes, None)
        except CutShort:
            if not self._complete():  # all was said; only the good-bye is missing
                raise
            content = None
        if content is None:
            if not self._complete():
                raise CutShort("the stream ended in the middle of the answer")
            self._end()
            return
        for event in self._events.feed(content):
            for chunk in self._decoder.feed(event):
                self._take(chunk)
            if self._decoder.ended:
                self._end()
                return

    def _complete(self) -> bool:
        """Whether all that was asked for has come, though the provider may not have said so."""
        decoder = self._decoder
        return decoder.finished and (decoder.ended or len(self._answer.answer().get("choices", ())) >= self._choices)

    def _take(self, chunk: Json) -> None:
        self._says |= self._answer.add(chunk)
        if not self._wants_usage:
            if chunk.get("usage") is not None and not chunk.get("choices"):
                return
            chunk.pop("usage", None)
        self._ready.append(chunk)

    def _end(self) -> None:
        """The last byte was read: settle, and give the usage that the provider may have left out."""
        self._ended = True
        answer = self._answer.answer()
        self._completion = self._call.settle(answer, self._answer.usage, first_token_ms=self._first_token_ms)
        self._lease.succeed()
        if self._wants_usage and self._answer.usage is None and self._call.endpoint == "chat":
            usage = self._completion.usage
            counts = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
            counts["total_tokens"] = usage.input_tokens + usage.output_tokens
            self._ready.append(usage_chunk(str(answer.get("id")), str(answer.get("model")), counts))

    async def _finish(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:  # the last, empty chunk of HTTP: read, it leaves the connection fit for the next request
            async with asyncio.timeout(_GOODBYE_S), translated(begun=True):
                await anext(self._bytes, None)
        except (TimeoutError, UpstreamError):
            pass
        await self._response.aclose()

    async def _fail(self, error: UpstreamError) -> None:
        call = self._call
        self._closed = True
        call.name_place(error, self._lease.place)
        error.received = self._answer.answer()
        if isinstance(error, DeadlineExceeded):  # it was answering
            self._lease.forget()
        else:
            self._lease.fail(error, call.kit.clock())
        call.settle_partial(error.attempt_status, self._answer.answer(), self._answer.usage)
        error.attempts = tuple(call.attempts)
        await self._response.aclose()

    # ------------------------------------------------------------------------------------------ account

    @property
    def completion(self) -> Completion:
        """The whole answer with its account.

        Raises:
            BadInput: before the end of the stream.
        """
        if self._completion is None:
            raise BadInput("a stream has no completion before its end; read it to the end first")
        return self._completion

    @property
    def model(self) -> Model:
        """The model that answers."""
        return self._call.pool.model

    @property
    def body(self) -> Mapping[str, Any]:
        """What it was asked."""
        return self._call.body

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every upstream call that has ended by now."""
        return tuple(self._call.attempts)

    @property
    def first_token_ms(self) -> float | None:
        """From the first attempt to the first text."""
        return self._first_token_ms

    @property
    def received(self) -> Json:
        """The answer as far as it was received."""
        return self._answer.answer()

    async def aclose(self) -> None:
        """Stop reading and hang up; the provider sees the connection close. What came is estimated and billed."""
        if self._closed:
            return
        self._closed = True
        if not self._ended:
            self._lease.forget()
            self._call.settle_partial("cancelled", self._answer.answer(), self._answer.usage)
        self._ready.clear()
        await self._response.aclose()

    async def __aenter__(self) -> CompletionStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
