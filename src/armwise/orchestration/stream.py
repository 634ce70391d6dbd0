"""The accepted answer as chunks, and its account behind the last one."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol

from armwise.contracts import Decision
from armwise.errors import BadInput
from armwise.orchestration.answer import Answer
from armwise.orchestration.ask import Draft
from armwise.orchestration.resume import Resuming
from armwise.providers.blocking import BackgroundLoop, BlockingChunks
from armwise.providers.completion import Completion
from armwise.providers.errors import UpstreamError
from armwise.providers.wire import Json

_PIECE = 24
"""Characters per chunk of an answer that was whole before it was streamed."""


class Ending(Protocol):
    """Closes the account of a stream, in one of three ways."""

    def settle(self, draft: Draft) -> Answer: ...

    def broke(self, error: UpstreamError) -> Exception: ...

    def abandon(self) -> None: ...


class Source(Protocol):
    """Where chunks come from."""

    def __aiter__(self) -> AsyncIterator[Json]: ...

    async def __anext__(self) -> Json: ...

    @property
    def completion(self) -> Completion: ...

    async def aclose(self) -> None: ...


class AnswerStream:
    """An async iterator over OpenAI chunks. Read it to its end or close it; ``async with`` sees to that.

    A failure in the middle that there is no way to go on from is raised as :class:`~armwise.errors.NoAnswer`: what was
    sent cannot be taken back.
    """

    def __init__(self, decision: Decision, arm: str, source: Source, head: Iterable[Json], ending: Ending) -> None:
        self.decision = decision
        self.arm = arm
        """The arm that answers: the decision's, or the one it fell back to."""
        self._source = source
        self._head = deque(head)
        self._ending = ending
        self._answer: Answer | None = None
        self._over = False

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        if self._head:
            return self._head.popleft()
        if self._over:
            raise StopAsyncIteration
        try:
            return await anext(self._source)
        except StopAsyncIteration:
            self._over = True
            self._answer = self._ending.settle(self._draft())
            raise
        except UpstreamError as error:
            self._over = True
            raise self._ending.broke(error) from error
        except BaseException:  # cancelled, mostly
            await self.aclose()
            raise

    def _draft(self) -> Draft:
        source = self._source
        confidence = source.confidence if isinstance(source, Replay) else None
        return Draft(source.completion, confidence, tuple(source.resumed) if isinstance(source, Resuming) else ())

    @property
    def answer(self) -> Answer:
        """The whole answer with its account.

        Raises:
            BadInput: before the end of the stream.
        """
        if self._answer is None:
            raise BadInput("a stream has no answer before its end; read it to the end first")
        return self._answer

    async def aclose(self) -> None:
        """Stop reading and hang up; what came is billed."""
        self._head.clear()
        if not self._over:
            self._over = True
            try:
                await self._source.aclose()
            finally:
                self._ending.abandon()

    async def __aenter__(self) -> AnswerStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class BlockingAnswerStream(BlockingChunks[AnswerStream]):
    """An iterator over the chunks of a stream, for code that is not async."""

    def __init__(self, loop: BackgroundLoop, stream: AnswerStream) -> None:
        super().__init__(loop, stream)
        self.decision = stream.decision
        self.arm = stream.arm

    @property
    def answer(self) -> Answer:
        """See :attr:`AnswerStream.answer`."""
        return self._stream.answer


class Replay:
    """An answer that is whole already, as chunks."""

    def __init__(self, draft: Draft, *, include_usage: bool) -> None:
        self.completion = draft.completion
        self.confidence = draft.confidence
        self._chunks = chunks_of(draft.completion.response, include_usage=include_usage)

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """There is nothing to hang up."""


def wants_usage(body: Mapping[str, Any]) -> bool:
    """Whether the caller asked for usage behind the last chunk."""
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def chunks_of(response: Json, *, include_usage: bool) -> Iterator[Json]:
    """A chat completion as the chunks that it could have been streamed in."""
    head = {name: response.get(name) for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def chunk(index: int, delta: Json, finish: str | None = None, **more: Any) -> Json:
        return {**head, "choices": [{"index": index, "delta": delta, "finish_reason": finish, **more}]}

    for place, choice in enumerate(response.get("choices") or ()):
        index, message = choice.get("index", place), choice.get("message") or {}
        yield chunk(
            index, {"role": message.get("role", "assistant"), "content": "" if message.get("content") else None}
        )
        for key in ("reasoning_content", "content", "refusal"):
            text = message.get(key) or ""
            for start in range(0, len(text), _PIECE):
                yield chunk(index, {key: text[start : start + _PIECE]})
        if message.get("tool_calls"):
            calls = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
            yield chunk(index, {"tool_calls": calls})
        more = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        yield chunk(index, {}, choice.get("finish_reason"), **more)
    if include_usage:
        yield {**head, "choices": [], "usage": response.get("usage")}
