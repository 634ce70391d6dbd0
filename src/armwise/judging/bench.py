"""The bench: judges at work in the background, on a sample of the traffic, within a budget and under watch.

A request never waits for it: :meth:`Bench.offer` draws and puts the case into a bounded queue. A thread with an event
loop of its own takes cases out, asks the judges and reports to the router. Cases are held in memory until they are
judged, and stored nowhere.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from armwise.contracts import SENSITIVITIES, Decision, JudgeDraw, Model, Request, SourceChange
from armwise.errors import ArmwiseError, BadInput
from armwise.judging.anchors import Anchor
from armwise.judging.bias import LengthBias, PositionBias
from armwise.judging.case import Case, Judge, JudgeFailed, Verdict
from armwise.judging.drift import DriftGuard, Finding, Phase
from armwise.judging.sampling import JudgeSampler, drawn

logger = logging.getLogger("armwise.judging")

COUNTERS = (
    "offered",
    "drawn",
    "dropped",
    "judged",
    "silent",
    "unreadable",
    "timed_out",
    "failed",
    "unreported",
    "anchors",
    "alarms",
    "calibrations",
    "uneven",
)
"""What is counted: draws offered, made, and passed over for a full queue; verdicts, cases that a judge had nothing to
say of, replies in prose or out of range, no reply in time, failures; verdicts whose decision is gone; and what the
judges were themselves put through: ``uneven`` are calibrations that failed, for the anchors had not moved alike."""

_ANCHORS_PER_CASE = 4
"""Anchors graded with each case while the guard does not know the judge's ways."""


class Desk(Protocol):
    """What is needed of a router."""

    def record(self, event: JudgeDraw) -> None: ...

    def signal(self, decision_id: str, kind: str, value: float, *, event_id: str, source: str) -> bool: ...

    def change_source(self, change: SourceChange) -> None: ...

    def sources(self) -> Mapping[str, SourceChange]: ...


@dataclass(kw_only=True, eq=False)
class Seat:
    """A judge and how it is put to use.

    Raises:
        BadInput: on an empty name or a number out of range.
    """

    name: str
    judge: Judge
    sampler: JudgeSampler
    kind: str = "judge_score"
    """Of the signals that it gives."""
    model: Model | None = None
    """What it sends the case to; where it may not go, the case is not judged. ``None``: it stays in this process."""
    anchors: Sequence[Anchor] = ()
    anchor_every: int = 5
    """Judged requests between two anchors."""
    guard: DriftGuard | None = None
    correct_length: bool = False
    length: LengthBias = field(default_factory=LengthBias)
    position: PositionBias = field(default_factory=PositionBias)
    judged: int = 0
    graded: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            raise BadInput("a judge needs a name")
        if self.anchor_every < 1:
            raise BadInput(f"anchor_every must be at least 1, got {self.anchor_every}")
        if self.anchors and self.guard is None:
            self.guard = DriftGuard(len(self.anchors))

    @property
    def source(self) -> str:
        """The source of its signals."""
        return f"judge:{self.name}"

    def may_see(self, request: Request) -> bool:
        """Whether a request may be sent to its model: the same rules as for the models that answer."""
        model = self.model
        if model is None:
            return True
        cleared = SENSITIVITIES.index(model.clearance) >= SENSITIVITIES.index(request.sensitivity)
        return cleared and (request.residency is None or model.residency in request.residency)


class Bench:
    """The judges of a router.

    Args:
        seats: the judges.
        desk: the router.
        queue: most cases that wait or are under way; where it is full, a decision is passed over with probability 0.
        workers: cases judged at a time.
        timeout_s: for one verdict.
        close: called when the bench closes, in its own loop; for the clients of its judges.
    """

    def __init__(
        self,
        seats: Sequence[Seat],
        desk: Desk,
        *,
        queue: int = 1_000,
        workers: int = 4,
        timeout_s: float = 60.0,
        close: Callable[[], Any] | None = None,
    ) -> None:
        names = [seat.name for seat in seats]
        if len(set(names)) < len(names):
            raise BadInput(f"every judge needs its own name, got {', '.join(names)}")
        if queue < 1 or workers < 1 or timeout_s <= 0:
            raise BadInput(f"judging needs queue, workers >= 1 and timeout_s > 0, got {queue}, {workers}, {timeout_s}")
        self.seats = tuple(seats)
        self.counters: Counter[str] = Counter()
        self.cost_usd = 0.0
        self._desk = desk
        self._queue, self._timeout_s = queue, timeout_s
        self._workers = asyncio.Semaphore(workers)
        self._on_close = close
        self._lock = threading.Condition()
        self._waiting = 0
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="armwise-judging", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------------------------- the request path

    def offer(self, decision: Decision, request: Request, answer: str) -> None:
        """Let every judge draw; takes microseconds, and neither waits nor raises for a judge's sake."""
        for seat in self.seats:
            with self._lock:
                chance = 0.0
                if self._closed or self._waiting >= self._queue:
                    self.counters["dropped"] += 1
                elif seat.may_see(request):
                    chance = seat.sampler.probability(decision)
                looks = drawn(decision, seat.source, chance)
                self.counters["offered"] += 1
                self.counters["drawn"] += looks
                self._waiting += looks
            self._desk.record(
                JudgeDraw(decision_id=decision.id, judge=seat.source, probability=chance, drawn=looks, at=time.time())
            )
            if looks:
                case = Case(
                    messages=request.messages, answer=answer, metadata=request.metadata, decision_id=decision.id
                )
                expected = float(decision.predictions.quality[decision.arms.index(decision.arm)])
                asyncio.run_coroutine_threadsafe(self._try(seat, case, expected), self._loop)

    # ---------------------------------------------------------------------------- the background

    async def _try(self, seat: Seat, case: Case, expected: float) -> None:
        try:
            async with self._workers:
                await self._judge(seat, case, expected)
        except ArmwiseError as error:  # the decision or the log is gone: nothing that judging could mend
            self.counters["unreported"] += 1
            logger.warning("a verdict of %s could not be reported: %s", seat.source, error)
        finally:
            with self._lock:
                self._waiting -= 1
                self._lock.notify_all()

    async def _judge(self, seat: Seat, case: Case, expected: float) -> None:
        verdict = await self._ask(seat, case, event_id="cost")
        if verdict is None:
            return
        self.counters["judged"] += 1
        seat.judged += 1
        if verdict.first_wins is not None:
            seat.position.learn(verdict.first_wins)
        score, characters = verdict.score, len(case.answer)
        if seat.correct_length:
            score = seat.length.correct(characters, score)
        seat.length.learn(characters, verdict.score, expected)
        self._desk.signal(case.decision_id, seat.kind, score, event_id="score", source=seat.source)
        await self._watch(seat, case.decision_id)

    async def _ask(self, seat: Seat, case: Case, *, event_id: str, bill: str | None = None) -> Verdict | None:
        """A verdict, billed to the case's decision or another; None where there is none, which is counted."""
        cost_usd, verdict = 0.0, None
        try:
            verdict = await asyncio.wait_for(seat.judge.judge(case), self._timeout_s)
            if verdict is None:
                self.counters["silent"] += 1
            else:
                cost_usd = verdict.cost_usd
        except TimeoutError:
            self.counters["timed_out"] += 1
        except JudgeFailed as error:
            self.counters[error.why] += 1
            cost_usd = error.cost_usd
            logger.info("no verdict of %s: %s", seat.source, error)
        if cost_usd:
            self.cost_usd += cost_usd
            self._desk.signal(
                bill or case.decision_id, "judge_cost_usd", cost_usd, event_id=event_id, source=seat.source
            )
        return verdict

    # ---------------------------------------------------------------------------- the judge is watched

    async def _watch(self, seat: Seat, decision_id: str) -> None:
        guard = seat.guard
        if guard is None or not seat.anchors:
            return
        turn = seat.judged % seat.anchor_every == 0
        in_turn = guard.phase is Phase.WATCHING or guard.uneven
        for _ in range(int(turn) if in_turn else _ANCHORS_PER_CASE):
            place = guard.next_anchor
            anchor = seat.anchors[place]
            seat.graded += 1
            event_id = f"anchor/{seat.graded}/cost"
            verdict = await self._ask(seat, anchor.case, event_id=event_id, bill=decision_id)
            if verdict is None:
                continue
            self.counters["anchors"] += 1
            finding = guard.graded(place, verdict.score, anchor.quality)
            if finding is not None:
                self._found(seat, finding)
                return

    def _found(self, seat: Seat, finding: Finding) -> None:
        """Say on the log what a judge's word is worth from now on."""
        span = f"{finding.shift:+.3f} [{finding.low:+.3f}, {finding.high:+.3f}]"
        before = self._desk.sources().get(seat.source, SourceChange(source=seat.source))
        if finding.alarm:
            self.counters["alarms"] += 1
            reason = f"drift alarm: grades of the anchors moved by {span}; not training until recalibrated"
            logger.warning("judge %s: %s", seat.name, reason)
            change = SourceChange(
                source=seat.source,
                offset=before.offset,
                slope=before.slope,
                noise=before.noise,
                training=False,
                reason=reason,
            )
        elif finding.uneven:
            self.counters["uneven"] += 1
            reason = f"grades of some anchors moved and of others did not: grade - quality is {span}; not training"
            logger.warning("judge %s: %s", seat.name, reason)
            change = replace(before, training=False, reason=reason)
        else:
            self.counters["calibrations"] += 1
            reason = (
                f"calibrated on {len(seat.anchors)} anchors: grade - quality is {span}, slope {1.0 / finding.slope:.2f}"
            )
            change = SourceChange(
                source=seat.source,
                offset=finding.offset,
                slope=finding.slope,
                noise=max(finding.noise, 0.01),
                reason=reason,
            )
        self._desk.change_source(change)

    # ---------------------------------------------------------------------------- what can be seen, and the end

    def as_dict(self) -> dict[str, float]:
        """Counts since the start, the cost, and for every judge its phase and biases; plain numbers for metrics."""
        numbers: dict[str, float] = {name: self.counters[name] for name in COUNTERS}
        numbers["cost_usd"] = self.cost_usd
        numbers["waiting"] = self._waiting
        for seat in self.seats:
            numbers[f"{seat.name}.suspended"] = float(seat.guard is not None and seat.guard.phase is Phase.SUSPENDED)
            numbers[f"{seat.name}.length_slope"] = seat.length.slope.value
            numbers[f"{seat.name}.first_place_preference"] = seat.position.preference.value
        return numbers

    def drain(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing waits to be judged; whether that came about in time."""
        with self._lock:
            return self._lock.wait_for(lambda: self._waiting == 0, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Judge what is waiting, for so long; then stop. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if not self.drain(timeout_s):
            logger.warning("judging stops with %d cases not judged", self._waiting)
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._on_close is not None:
            await self._on_close()
