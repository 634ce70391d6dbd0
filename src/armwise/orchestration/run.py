"""One request on its way: the arms it tried, and how its account is closed. It is closed once, in one of three ways."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from armwise.contracts import Arm, Decision
from armwise.errors import NoAnswer
from armwise.orchestration.answer import Answer
from armwise.orchestration.ask import Ask, Draft
from armwise.orchestration.fallback import Fallback, said
from armwise.orchestration.form import form_of
from armwise.providers.completion import Completion
from armwise.providers.errors import Rejected, UpstreamError

SOURCE = "armwise"
"""Source of the signals by which the router reports what it measured itself."""


class Observe(Protocol):
    """:meth:`armwise.router.Router.observe`, as far as it is needed here."""

    def __call__(
        self,
        decision_id: str,
        *,
        cost_usd: float | None = None,
        latency_ms: float | None = None,
        output_tokens: float | None = None,
        error: bool | None = None,
        unavailable: bool | None = None,
        source: str = "app",
    ) -> bool: ...


class Tell(Protocol):
    """:meth:`armwise.router.Router.signal`, as far as it is needed here."""

    def __call__(self, decision_id: str, kind: str, value: float = 1.0, *, event_id: str, source: str) -> bool: ...


class Run:
    """Args:
    ask: what is asked, with the decision and the calls made for it.
    fallback: the rule.
    observe, signal: report to the router.
    clock: monotonic seconds.
    began: instant of the clock.
    timeout_s: for the whole request.
    settled: told of the answer once it is accounted for.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        fallback: Fallback,
        observe: Observe,
        signal: Tell,
        clock: Callable[[], float],
        began: float,
        timeout_s: float,
        settled: Callable[[Answer], None] | None = None,
    ) -> None:
        self.ask = ask
        self.decision: Decision = ask.decision
        self.arm = ask.decision.arm
        """The arm under way, or that answered."""
        self._fallback = fallback
        self._observe = observe
        self._signal = signal
        self._settled = settled
        self._clock = clock
        self._began = began
        self.deadline = began + timeout_s
        """Instant of the clock by which all of it must have ended."""
        self._gave_up: dict[str, str] = {}
        self._at_fault = False
        """Whether what the decision's own arm said was the reason to give it up: of that alone its quality hears."""
        self._kept: list[tuple[str, str, Draft]] = []
        self._errors: list[UpstreamError] = []
        self._closed = False

    # ------------------------------------------------------------------------------------------ trying

    def arms(self, arm_of: Callable[[str], Arm | None], resting: Callable[[Arm], bool]) -> Iterator[Arm]:
        """The arms to try, one after another, each with its deadline set."""
        calls = self.ask.calls

        def failed() -> Collection[str]:
            return calls.failed

        for arm in self._fallback.arms(self.decision, arm_of, failed, resting):
            now = self._clock()
            if now >= self.deadline and self._gave_up:
                return
            self.arm = arm.name
            alone = len(self.decision.arms) == 1 or len(self._gave_up) + 1 >= self._fallback.max_arms
            calls.deadline = self.deadline if alone else min(self.deadline, now + self._fallback.arm_timeout_s)
            yield arm

    def arms_to_go_on(
        self, arm_of: Callable[[str], Arm | None], resting: Callable[[Arm], bool], error: UpstreamError
    ) -> Iterator[Arm]:
        """Other arms that may go on with the answer of the one under way, which broke: plain ones, of the action set.

        Each has its deadline set.
        """
        if not self._fallback.forgives(error):
            return
        calls = self.ask.calls
        for arm in self._fallback.arms(self.decision, arm_of, lambda: calls.failed, resting):
            if arm.plan == "single" and arm.name not in (self.arm, *self._gave_up) and not resting(arm):
                yield arm

    @property
    def patience_s(self) -> float:
        """How long an arm may be silent."""
        return self._fallback.arm_timeout_s

    def in_time(self) -> bool:
        """Give the next call the time of an arm. Returns whether there is any left."""
        now = self._clock()
        self.ask.calls.deadline = min(self.deadline, now + self._fallback.arm_timeout_s)
        return now < self.deadline

    def took_over(self, arm: str, error: UpstreamError) -> None:
        """Another arm goes on with the answer of the one under way, which broke."""
        self._failed(error)
        self.arm = arm

    def gave_up(self, error: UpstreamError) -> bool:
        """The arm under way failed. Returns whether another may be tried."""
        self._failed(error)
        return self._fallback.forgives(error)

    def _failed(self, error: UpstreamError) -> None:
        self._give_up(error.attempt_status, error.of_content)
        self._errors.append(error)

    def _give_up(self, why: str, of_content: bool) -> None:
        self._gave_up[self.arm] = why
        if self.arm == self.decision.arm:
            self._at_fault = of_content

    def objected(self, draft: Draft, objection: str) -> None:
        """The arm under way answered, but there is an objection: it is delivered only if no arm does better."""
        self._give_up(objection, True)
        self._kept.append((objection, self.arm, draft))

    def kept(self) -> Draft:
        """The answer to deliver though there is an objection to it: the surest; a refusal rather than an empty one.

        Raises:
            NoAnswer: if there is none.
        """
        if not self._kept:
            raise self._no_answer(self._errors[-1] if self._errors else None)
        rank = {"low_confidence": 0, "refusal": 1, "empty": 2}
        _, self.arm, draft = min(self._kept, key=lambda kept: (rank[kept[0]], -(kept[2].confidence or 0.0)))
        return draft

    # ------------------------------------------------------------------------------------------ ends

    def settle(self, draft: Draft) -> Answer:
        """The arm under way answered. Reports, and gives the answer with its account."""
        self._closed = True
        calls, completion = self.ask.calls, draft.completion
        answer = Answer(
            decision=self.decision,
            arm=self.arm,
            completion=completion,
            attempts=tuple(calls.attempts),
            cost_usd=calls.cost_usd,
            latency_ms=self._elapsed_ms(),
            confidence=draft.confidence,
            gave_up=self._gave_up,
            resumed=draft.resumed,
        )
        self._observe(
            self.decision.id,
            error=(answer.fell_back and self._at_fault) or None,
            unavailable=(answer.fell_back and not self._at_fault) or None,
            cost_usd=answer.cost_usd,
            latency_ms=answer.latency_ms,
            output_tokens=float(completion.usage.output_tokens),
            source=SOURCE,
        )
        if not answer.fell_back and calls.endpoint == "chat":
            self._report_form(completion)
        if self._settled is not None:
            self._settled(answer)
        return answer

    def _report_form(self, completion: Completion) -> None:
        """Tell what can be seen of the answer without judging it."""
        form = form_of(completion, self.ask.body)
        seen = {"tool_valid": form.tools, "format_valid": form.format, "refusal": completion.refused or None}
        for kind, value in seen.items():
            if value is not None:
                self._signal(self.decision.id, kind, float(value), event_id=kind, source=SOURCE)

    def broke(self, error: UpstreamError) -> NoAnswer:
        """The answer broke in the middle of its stream. Reports, and gives the error to raise."""
        self._failed(error)
        return self._no_answer(error)

    def abandon(self) -> None:
        """The caller went away, or was at fault. What was billed is reported; nothing is said of the arm."""
        if self._closed:
            return
        self._closed = True
        if self.ask.calls.attempts:
            self._observe(self.decision.id, cost_usd=self.ask.calls.cost_usd, source=SOURCE)

    def _no_answer(self, error: UpstreamError | None) -> NoAnswer:
        self._closed = True
        asked_wrongly = bool(self._errors) and all(isinstance(error, Rejected) for error in self._errors)
        if self.ask.calls.attempts or not asked_wrongly:
            self._observe(
                self.decision.id,
                # What every model rejects is not the arm's failure.
                error=(self._at_fault and not asked_wrongly) or None,
                unavailable=not self._at_fault or None,
                cost_usd=self.ask.calls.cost_usd,
                latency_ms=self._elapsed_ms(),
                source=SOURCE,
            )
        return NoAnswer(
            f"no arm of decision {self.decision.id} answered: {said(self._gave_up)}"
            + (f" (last: {error})" if error is not None else ""),
            status=error.status if error is not None else 503,
            decision_id=self.decision.id,
            arm=self.decision.arm,
            gave_up=self._gave_up,
            attempts=tuple(self.ask.calls.attempts),
            retry_after_s=error.retry_after_s if error is not None else None,
            received=error.received if error is not None else None,
            detail=error.detail if error is not None else None,
        )

    def _elapsed_ms(self) -> float:
        return 1000.0 * (self._clock() - self._began)
