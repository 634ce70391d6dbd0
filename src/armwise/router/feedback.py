"""Feedback: measures, signals and retractions, idempotent, from anybody, at any time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from armwise.contracts import (
    RETRACTION,
    RolloutChange,
    Signal,
    SourceChange,
)
from armwise.errors import BadInput, UnknownDecision
from armwise.learning import FeedbackCounters, ImportReport
from armwise.learning.imports import read_rows, signals_of
from armwise.router.rollouts import RollingOut


class Feedback(RollingOut):
    """What comes back of decisions."""

    def observe(
        self,
        decision_id: str,
        *,
        quality: float | None = None,
        cost_usd: float | None = None,
        latency_ms: float | None = None,
        output_tokens: float | None = None,
        error: bool | None = None,
        unavailable: bool | None = None,
        source: str = "app",
        event_id: str | None = None,
        tenant: str | None = None,
    ) -> bool:
        """Report how a decision went, all at once or in parts, now or in a month.

        Each measure is a signal of its own, identified by its name unless ``event_id`` says otherwise: a second report
        of the same measure is a duplicate and changes nothing. To revise one, give another ``event_id``.

        Args:
            error: the arm failed in what it said, which speaks for quality 0.
            unavailable: it gave no answer, for want of a connection, of time or of capacity; says nothing of quality.
            tenant: whose decision it has to be; ``None`` is anybody's.

        Returns:
            Whether anything new was taken in.

        Raises:
            BadInput: on a value out of range; nothing is taken in then.
            UnknownDecision: if no such decision was made, or not for that tenant.
            TooManySignals: if the source is a client that sends more than it may.
        """
        at = time.time()
        signals = [
            Signal(
                decision_id=decision_id,
                kind=kind,
                value=value,
                source=source,
                event_id=kind if event_id is None else f"{event_id}/{kind}",
                at=at,
            )
            for kind, value in (
                ("error", None if error is None else float(error)),  # first: they say how to take the others
                ("unavailable", None if unavailable is None else float(unavailable)),
                ("cost_usd", cost_usd),
                ("output_tokens", output_tokens),
                ("latency_ms", latency_ms),
                ("quality", quality),
            )
            if value is not None
        ]
        if not signals:
            raise BadInput(
                "observe needs at least one of quality, cost_usd, latency_ms, output_tokens, error, unavailable"
            )
        return self._take(signals, tenant)

    def signal(
        self,
        decision_id: str,
        kind: str,
        value: float | None = None,
        *,
        event_id: str,
        source: str = "user",
        tenant: str | None = None,
        retracts: str | None = None,
    ) -> bool:
        """Report one signal of a user or another source; see :mod:`armwise.rewards` for the kinds.

        Args:
            value: may be left out for kinds that say the same whatever it is, such as ``thumbs_up``.
            source: who says so. Name clients ``user:NAME``, and their rate and influence are limited.
            tenant: whose decision it has to be; ``None`` is anybody's.
            retracts: of the kind ``retraction``: the event id, of this source, that is taken back.

        Returns:
            Whether it was new; a duplicate by (decision, source, event id) changes nothing.

        Raises:
            BadInput: on an unknown kind or a value out of range.
            UnknownDecision: if no such decision was made, or not for that tenant.
            TooManySignals: if the source is a client that sends more than it may.
        """
        try:
            signal = Signal(
                decision_id=decision_id,
                kind=kind,
                value=self._rules.value_of(kind, value),
                source=source,
                event_id=event_id,
                at=time.time(),
                retracts=retracts,
            )
        except BadInput:
            self.feedback.invalid += 1
            raise
        return self._take([signal], tenant)

    def retract(self, decision_id: str, event_id: str, *, source: str = "user", tenant: str | None = None) -> bool:
        """Take a signal back: as though it had never been sent. It may be told before the signal itself arrives.

        Returns:
            Whether it was new.

        Raises:
            UnknownDecision: if no such decision was made, or not for that tenant.
        """
        return self.signal(
            decision_id,
            RETRACTION,
            event_id=f"{RETRACTION}/{event_id}",
            source=source,
            tenant=tenant,
            retracts=event_id,
        )

    def import_feedback(
        self, rows: str | Path | Iterable[Mapping[str, Any]], *, source: str = "import"
    ) -> ImportReport:
        """Take in feedback that lives elsewhere: a JSONL or Parquet file, or rows.

        A row has ``decision_id`` and ``kind``, and may have ``value``, ``source``, ``event_id``, ``at`` (Unix time, or
        a time with its zone) and ``retracts``. What cannot be taken in is counted and left out; nothing is taken twice.

        Raises:
            BadInput: if the file cannot be read.
        """
        report = ImportReport()
        given = read_rows(rows) if isinstance(rows, (str, Path)) else rows
        for number, signal in signals_of(given, report, self._rules, source=source, now=time.time()):
            try:
                if self._take([signal], admitted=True):
                    report.taken += 1
                else:
                    report.duplicate += 1
            except UnknownDecision as error:
                report.unknown += 1
                report.refuse(number, error)
            except BadInput as error:
                report.invalid += 1
                report.refuse(number, error)
        return report

    @property
    def feedback(self) -> FeedbackCounters:
        """What became of the signals since the start."""
        return self._door.counters

    def sources(self) -> dict[str, SourceChange]:
        """Source -> what its word is worth now, for those of which anything is known."""
        with self._lock:
            return self._learner.standing.latest()

    def change_source(self, change: SourceChange) -> None:
        """Say what a source's word is worth from now on; part of the log. Its ``at`` is set to now."""
        with self._lock:
            self._apply(replace(change, at=time.time()))

    def _take(self, signals: list[Signal], tenant: str | None = None, *, admitted: bool = False) -> bool:
        counters = self._door.counters
        try:
            for signal in signals:
                self._rules.check(signal)
        except BadInput:
            counters.invalid += len(signals)
            raise
        with self._lock:
            if not admitted:
                self._door.admit(signals[0].source, len(signals), signals[0].at)
            known = self._known(signals, tenant)
            keys = {signal.key for signal in known}
            fresh = [signal for signal in signals if signal.key not in keys]
            for signal in fresh:
                self._learner.apply(signal, self._log.append(signal))
            for change in self._learner.proposals():
                self._learner.apply(change, self._log.append(change))
                if isinstance(change, RolloutChange):
                    self._withdrawn(change)
            self._maybe_snapshot()
        counters.taken += len(fresh)
        counters.retractions += sum(signal.kind == RETRACTION for signal in fresh)
        counters.duplicates += len(signals) - len(fresh)
        return bool(fresh)

    def _known(self, signals: list[Signal], tenant: str | None) -> list[Signal]:
        """The signals that there are of the same decision."""
        decision_id, counters = signals[0].decision_id, self._door.counters
        try:
            decision, known = self._learner.case(decision_id, self._log.position + 1)
        except UnknownDecision:
            counters.unknown += len(signals)
            raise
        if tenant is not None and decision.tenant != tenant:
            counters.foreign += len(signals)
            raise self._learner.unknown(decision_id)
        return known

    def is_client(self, source: str) -> bool:
        """Whether a source of feedback is one client of many, whose rate and influence are limited."""
        return self._rules.is_client(source)

    def explain(self, decision_id: str) -> str:
        """A former decision in words.

        Raises:
            UnknownDecision: if no such decision was made.
        """
        with self._lock:
            decision, _ = self._learner.case(decision_id, self._log.position + 1)
        return decision.explain()
