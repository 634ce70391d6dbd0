"""A stream that is gone on with where it breaks, so that the client sees one answer.

First the same call is made again: where the model says the same, what the client has is left out, letter by letter.
Else a model is asked to go on from what was delivered: the same one, then others of the action set. Half a tool call
and several choices at once are only ever said again; half a JSON answer is gone on with only if the whole is of the
form asked for, and so delivered when it is whole. Every call is an attempt of the decision, billed and logged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from armwise.contracts import Arm, Model
from armwise.orchestration.answer import Resumption
from armwise.orchestration.form import form_of
from armwise.orchestration.peek import peek
from armwise.orchestration.prompts import continuation
from armwise.orchestration.run import Run
from armwise.orchestration.seam import Continued, Repeated, Seam, Unlike
from armwise.providers.accumulate import ChatAccumulator
from armwise.providers.completion import Completion
from armwise.providers.deployment import format_of
from armwise.providers.errors import Rejected, UpstreamError
from armwise.providers.stream import CompletionStream
from armwise.providers.usage import Usage
from armwise.providers.wire import Json

_MOST = 8
"""Calls made to go on with one answer, over all its breaks."""


class _Way(NamedTuple):
    """One way to go on."""

    how: Literal["repeated", "continued"]
    arm: str
    model: Model
    body: Mapping[str, Any]
    seam: Seam
    whole: bool = False
    """Whether nothing may be delivered before all is there and of its form."""


class Resuming:
    """An async iterator over chunks, which goes on for as long as there is a way.

    Args:
        head: chunks that were read already.
        stream: where the others come from.
        run: the request, whose account is kept and whose action set is never left.
        arms: other arms that may go on, given why the one under way broke.
        rests: whether a model may not be called now.
    """

    def __init__(
        self,
        head: list[Json],
        stream: CompletionStream,
        *,
        run: Run,
        arms: Callable[[UpstreamError], Iterator[Arm]],
        rests: Callable[[Model], bool],
    ) -> None:
        self.resumed: list[Resumption] = []
        self._ready = deque(head)
        self._stream = self._first = stream
        self._first_arm = run.arm
        self._run = run
        self._arms = arms
        self._rests = rests
        self._said = ChatAccumulator()
        self._seam: Seam | None = None
        self._ways: Iterator[_Way] = iter(())
        self._broke: UpstreamError | None = None
        """Why the stream broke that is being gone on with; None once it is."""
        self._failure: UpstreamError | None = None
        """Why the latest call failed."""
        self._made = 0
        self._before = len(run.ask.calls.attempts)
        self._earlier = 0, 0
        self._identity: Json = {}

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        while not self._ready:
            try:
                self._take(await anext(self._stream))
            except UpstreamError as error:
                await self._resume(error)
        chunk = self._ready.popleft()
        self._identity = self._identity or {key: chunk[key] for key in ("id", "created", "model") if key in chunk}
        self._said.add(chunk)
        if chunk.get("choices"):
            self._broke = None
        return chunk

    def _take(self, chunk: Json) -> None:
        """Have ready what of a chunk is new."""
        if self._seam is None:
            self._ready.append(chunk)
            return
        chunk = {**chunk, **self._identity}
        if isinstance(chunk.get("usage"), dict):
            chunk["usage"] = self._summed(chunk["usage"])
        if chunk.get("choices"):
            self._ready.extend(self._seam.feed(chunk))
        elif chunk.get("usage"):
            self._ready.append(chunk)

    # ------------------------------------------------------------------------------------------ going on

    async def _resume(self, error: UpstreamError) -> None:
        """Go on with another stream.

        Raises:
            UpstreamError: why it broke, if there is no way.
        """
        self._failure = error
        if self._broke is None:
            self._broke = error
            self._ways = self._all_ways()
        await self._stream.aclose()
        for way in self._ways:
            if self._made >= _MOST or not self._run.in_time():
                break
            self._made += 1
            try:
                await self._go(way)
                return
            except UpstreamError as failure:
                self._failure = failure
        self._broke.received = self._said.answer()
        raise self._broke

    def _all_ways(self) -> Iterator[_Way]:
        """All ways to go on with what was delivered, the best first."""
        broke = self._broke
        choices = self._said.answer()["choices"]
        said = [choice["message"] for choice in choices]
        if broke is None or any(message.get("refusal") for message in said):
            return
        if not any(message.get("content") or message.get("tool_calls") for message in said):
            return
        first, body = self._first, self._run.ask.body
        if not self._rests(first.model):
            yield _Way("repeated", self._first_arm, first.model, first.body, Repeated(choices))
        if (body.get("n") or 1) > 1 or len(said) > 1 or said[0].get("tool_calls") or choices[0]["finish_reason"]:
            return  # several beginnings cannot be shown to a model, half a call is none, and an end is the end
        if not self._rests(first.model):
            yield from self._continued(self._first_arm, first.model, first.body, said[0]["content"])
        for arm in self._arms(broke):
            yield from self._continued(arm.name, arm.models[0], body, said[0]["content"])

    def _continued(self, arm: str, model: Model, body: Mapping[str, Any], text: str) -> Iterator[_Way]:
        formed = (body.get("response_format") or {}).get("type") in ("json_object", "json_schema")
        if format_of(model).prefills and not formed and text.strip():
            unsent = text[len(text.rstrip()) :]
            yield _Way("continued", arm, model, continuation(body, text, prefill=True), Continued(text, unsent))
            if not isinstance(self._failure, Rejected):
                return
        yield _Way("continued", arm, model, continuation(body, text, prefill=False), Continued(text), formed)

    async def _go(self, way: _Way) -> None:
        """Open a stream and read so far as it takes to know whether it goes on.

        Raises:
            UpstreamError: if it does not.
        """
        calls, run = self._run.ask.calls, self._run
        attempts = calls.attempts[self._before :]
        counts = [(attempt.input_tokens or 0, attempt.output_tokens or 0) for attempt in attempts]
        self._earlier = sum(count for count, _ in counts), sum(count for _, count in counts)
        stream = await calls.stream(way.model, way.body)
        try:
            stream.allow(deadline=run.deadline, idle_s=run.patience_s)
            head, objection = await peek(stream)
            if objection is not None:
                raise Unlike(f"asked to go on, the model gave nothing to go on with: {objection}")
            self._seam = way.seam
            if way.whole:
                head += [chunk async for chunk in stream]
            for chunk in head:
                self._take(chunk)
            if way.whole:
                self._check_form(stream)
        except BaseException:
            self._ready.clear()
            await stream.aclose()
            raise
        self._stream = stream
        broke = self._broke or self._failure
        assert broke is not None
        self._note(way, broke)

    def _note(self, way: _Way, broke: UpstreamError) -> None:
        length = sum(len(choice["message"].get("content") or "") for choice in self._said.answer()["choices"])
        noted = Resumption(how=way.how, arm=way.arm, after_characters=length, because=broke.attempt_status)
        if self.resumed and self.resumed[-1].after_characters == length:
            self.resumed.pop()  # it looked as though it would go on, and did not
        self.resumed.append(noted)
        if way.arm != self._run.arm:
            self._run.took_over(way.arm, broke)

    def _check_form(self, stream: CompletionStream) -> None:
        whole = ChatAccumulator()
        for chunk in ({"choices": [{"delta": self._said.answer()["choices"][0]["message"]}]}, *self._ready):
            whole.add(chunk)
        completion = replace(stream.completion, response=whole.answer())
        if not form_of(completion, self._run.ask.body).sound:
            raise Unlike("gone on with, the answer would not be of the form asked for")

    # ------------------------------------------------------------------------------------------ account

    @property
    def completion(self) -> Completion:
        """The whole answer with its account: of all calls that went into it.

        Raises:
            BadInput: before the end of the stream.
        """
        last = self._stream.completion
        if not self.resumed:
            return last
        attempts = self._run.ask.calls.attempts[self._before :]
        usage = Usage(
            input_tokens=sum(attempt.input_tokens or 0 for attempt in attempts),
            output_tokens=sum(attempt.output_tokens or 0 for attempt in attempts),
            flags=last.usage.flags | {"resumed"},
        )
        return replace(
            last,
            response=self._said.answer(),
            usage=usage,
            cost_usd=sum(attempt.cost_usd or 0.0 for attempt in attempts),
            flags=last.flags | {"resumed"},
            attempts=tuple(attempts),
        )

    def _summed(self, usage: Json) -> Json:
        """Usage of the running stream and of those before it."""
        counts = {
            "prompt_tokens": (usage.get("prompt_tokens") or 0) + self._earlier[0],
            "completion_tokens": (usage.get("completion_tokens") or 0) + self._earlier[1],
        }
        return {**counts, "total_tokens": sum(counts.values())}

    async def aclose(self) -> None:
        """Stop reading and hang up; what came is billed."""
        self._ready.clear()
        await self._stream.aclose()
