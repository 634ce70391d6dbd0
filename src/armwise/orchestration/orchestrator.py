"""A request in, an answer out: decide, call, fall back within the action set, report what it cost and took."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from armwise.contracts import Arm, Attempt, Decision, Model, Request
from armwise.errors import UnknownModel
from armwise.orchestration.answer import Answer
from armwise.orchestration.ask import Ask, Draft
from armwise.orchestration.body import body_of, checked, request_of
from armwise.orchestration.calls import Calls, Record
from armwise.orchestration.checks import measured, prepared, restored
from armwise.orchestration.conduct import answer, stream
from armwise.orchestration.fallback import Fallback
from armwise.orchestration.peek import peek
from armwise.orchestration.resume import Resuming
from armwise.orchestration.run import Observe, Run, Tell
from armwise.orchestration.stream import AnswerStream, Replay, wants_usage
from armwise.plans import Node, plan_of
from armwise.providers.client import ProviderClient
from armwise.providers.errors import UpstreamError
from armwise.providers.stream import CompletionStream
from armwise.providers.wire import Endpoint, Json


class Desk(Protocol):
    """What is needed of a router: that it decides, knows its arms, and takes in what happened."""

    def decide(self, request: Request) -> Decision: ...

    def pool(self) -> tuple[Arm, ...]: ...

    def arm(self, name: str) -> Arm: ...

    def rest(self, arms: frozenset[str]) -> None: ...

    def record(self, attempt: Attempt) -> None: ...

    @property
    def observe(self) -> Observe: ...

    @property
    def signal(self) -> Tell: ...


class Witness(Protocol):
    """Is told what happens to one request while it does."""

    def decided(self, decision: Decision) -> None:
        """An arm was chosen, and the choice logged; nothing is called yet."""

    def attempted(self, attempt: Attempt) -> None:
        """An upstream call has ended."""


class Orchestrator:
    """Answers requests. One per router; safe to use from any number of tasks and event loops.

    Args:
        desk: decides and learns.
        client: calls the models. A model that it does not know, or knows with other particulars, is made known to it.
        fallback: when an arm is given up.
        on_answer: told of every chat answer and its request; for judges.
        clock: monotonic seconds, the client's.
    """

    def __init__(
        self,
        desk: Desk,
        client: ProviderClient,
        *,
        fallback: Fallback | None = None,
        on_answer: Callable[[Request, Answer], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.fallback = fallback or Fallback()
        self._desk = desk
        self._on_answer = on_answer
        self._clock = clock
        self._plans: dict[str, tuple[Arm, Node, dict[str, Model]]] = {}
        self._called: dict[str, Model] = {}
        self._cooling: frozenset[str] = frozenset()

    # ------------------------------------------------------------------------------------------ what callers use

    async def complete(
        self,
        request: Request | str | Mapping[str, Any],
        *,
        body: Mapping[str, Any] | None = None,
        endpoint: Endpoint = "chat",
        timeout_s: float | None = None,
        watch: Witness | None = None,
    ) -> Answer:
        """Decide, call, and report; see :meth:`armwise.router.Router.acomplete`."""
        run = self._begin(request, body, endpoint, timeout_s, watch)
        try:
            for arm in run.arms(self._arm, self._resting):
                try:
                    draft = await self._whole(arm, run)
                except UpstreamError as error:
                    if run.gave_up(error):
                        continue
                    break
                if draft is not None:
                    return run.settle(draft)
            return run.settle(run.kept())
        except BaseException:
            run.abandon()
            raise

    async def stream(
        self,
        request: Request | str | Mapping[str, Any],
        *,
        body: Mapping[str, Any] | None = None,
        endpoint: Endpoint = "chat",
        timeout_s: float | None = None,
        watch: Witness | None = None,
    ) -> AnswerStream:
        """Decide, call, and stream; see :meth:`armwise.router.Router.astream`."""
        run = self._begin(request, body, endpoint, timeout_s, watch)
        try:
            for arm in run.arms(self._arm, self._resting):
                try:
                    opened = await self._open(arm, run)
                except UpstreamError as error:
                    if run.gave_up(error):
                        continue
                    break
                if opened is not None:
                    return opened
            return self._replay(run.kept(), run)
        except BaseException:
            run.abandon()
            raise

    async def _whole(self, arm: Arm, run: Run) -> Draft | None:
        """The arm's answer; None if there is an objection to it."""
        checks = self.fallback.checks
        node, ask = self._plan(arm, run)
        if checks:
            asked = ask.body
            draft = await answer(node, ask._replace(body=prepared(checks, asked)))
            confidence = await measured(checks, draft, ask)
            draft = restored(draft, asked)
            draft = draft._replace(confidence=confidence if draft.confidence is None else draft.confidence)
        else:
            confidence = None
            draft = await answer(node, ask)
        objection = self.fallback.objection(draft.completion, confidence)
        if objection is not None:
            run.objected(draft, objection)
            return None
        return draft

    async def _open(self, arm: Arm, run: Run) -> AnswerStream | None:
        """The arm's answer as a stream; None if there is an objection to it."""
        if self.fallback.checks:
            draft = await self._whole(arm, run)
            return None if draft is None else self._replay(draft, run)
        opened = await stream(*self._plan(arm, run))
        if not isinstance(opened, CompletionStream):
            objection = self.fallback.objection(opened.completion)
            if objection is None:
                return self._replay(opened, run)
            run.objected(opened, objection)
            return None
        try:
            head, objection = await peek(opened)
            if objection is None or objection not in self.fallback.reasons:
                return self._deliver(arm, run, opened, head)
            async for _ in opened:  # short: it says that it says nothing
                pass
        except BaseException:
            await opened.aclose()
            raise
        run.objected(Draft(opened.completion), objection)
        return None

    def _deliver(self, arm: Arm, run: Run, opened: CompletionStream, head: list[Json]) -> AnswerStream:
        """A stream that has begun, from now on: it has the time of the request, and is gone on with if it breaks."""
        alone = len(run.decision.arms) == 1 or not self.fallback.resume
        opened.allow(deadline=run.deadline, idle_s=math.inf if alone else run.patience_s)
        if not self.fallback.resume or run.ask.calls.endpoint != "chat":
            return AnswerStream(run.decision, arm.name, opened, head, run)
        source = Resuming(
            head,
            opened,
            run=run,
            arms=partial(run.arms_to_go_on, self._arm, self._resting),
            rests=lambda model: not self.client.healthy(model.name),
        )
        return AnswerStream(run.decision, arm.name, source, (), run)

    def _replay(self, draft: Draft, run: Run) -> AnswerStream:
        source = Replay(draft, include_usage=wants_usage(run.ask.body))
        return AnswerStream(run.decision, run.arm, source, (), run)

    # ------------------------------------------------------------------------------------------ parts

    def _begin(
        self,
        request: Request | str | Mapping[str, Any],
        body: Mapping[str, Any] | None,
        endpoint: Endpoint,
        timeout_s: float | None,
        watch: Witness | None,
    ) -> Run:
        began = self._clock()
        if isinstance(request, str):
            request = Request.from_text(request)
        elif isinstance(request, Mapping):
            body = request if body is None else body
            request = request_of(request, endpoint)
        body = body_of(request) if body is None else checked(body)
        if endpoint != "chat":
            request = self._only_plain(request)
        self._spare()
        decision = self._desk.decide(request)
        record: Record = self._desk.record
        if watch is not None:
            watch.decided(decision)
            record = _both(record, watch.attempted)
        return Run(
            Ask(body, {}, Calls(self.client, decision.id, endpoint, record), decision),
            fallback=self.fallback,
            observe=self._desk.observe,
            signal=self._desk.signal,
            clock=self._clock,
            began=began,
            timeout_s=timeout_s or self.fallback.timeout_s,
            settled=partial(self._on_answer, request) if self._on_answer and endpoint == "chat" else None,
        )

    def _spare(self) -> None:
        """Have arms left out of decisions while their models cool down; they must not be blamed for it again."""
        cooling = self.client.cooling()
        if cooling != self._cooling:
            self._cooling = cooling
            pool = self._desk.pool() if cooling else ()
            self._desk.rest(frozenset(arm.name for arm in pool if any(m.name in cooling for m in arm.models)))

    def _only_plain(self, request: Request) -> Request:
        """The request, kept to arms that call one model of the format that has the other endpoints."""
        plain = {arm.name for arm in self._desk.pool() if arm.plan == "single" and arm.models[0].provider == "openai"}
        return replace(request, arms=frozenset(plain if request.arms is None else plain & request.arms))

    def _arm(self, name: str) -> Arm | None:
        """The particulars of an arm, whose models can be called from now on; None if it left the pool meanwhile."""
        try:
            arm = self._desk.arm(name)
        except UnknownModel:
            return None
        for model in arm.models:
            called = self._called.get(model.name)
            if called is not model and called != model:
                self._introduce(model)
        return arm

    def _introduce(self, model: Model) -> None:
        """Let the client know a model, unless it came with it and is called for the first time."""
        if model.name in self._called or model.name not in {known.name for known in self.client.models}:
            self.client.add_model(model)
        self._called[model.name] = model

    def _resting(self, arm: Arm) -> bool:
        """Whether an arm needs a model that cannot be called now."""
        return not all(self.client.healthy(model.name) for model in arm.models)

    def _plan(self, arm: Arm, run: Run) -> tuple[Node, Ask]:
        """What the arm is to do, and what it is asked."""
        known = self._plans.get(arm.name)
        if known is None or known[0] is not arm:
            models = {model.name: model for model in arm.models}
            known = self._plans[arm.name] = (arm, plan_of(arm), models)
        return known[1], run.ask._replace(models=known[2])


def _both(first: Record, second: Record) -> Record:
    def record(attempt: Attempt) -> None:
        first(attempt)
        second(attempt)

    return record
