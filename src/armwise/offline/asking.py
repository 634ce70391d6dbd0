"""One pass over a log: candidates learn from its first rows and are asked about the rest, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from armwise.contracts import Trade
from armwise.evaluation import LoggedFeedback, TargetPolicy
from armwise.evaluation.blocks import Block
from armwise.evaluation.feedback import probability, probability_table
from armwise.offline.candidates import Candidate
from armwise.offline.rows import LATE, Array, LoggedOutcomes, LoggedRows
from armwise.offline.spool import Spool


class Asked:
    """What the pass found.

    Attributes:
        propensity: [n], of the rows that count.
        labels: slice -> [n], of the same.
        learned: candidate -> how many rows taught it.
        trade: the usual exchange rates of late.
    """

    def __init__(self, spool: Spool, names: Sequence[str]) -> None:
        self._spool, self._names = spool, names
        self.propensity: Array = np.zeros(0)
        self.labels: dict[str, Array] = {}
        self.learned: dict[str, int] = {}
        self.trade = Trade()

    def blocks(self, feedback: LoggedFeedback) -> Iterator[Block]:
        """The rows that count, with the tables of the log and of every candidate.

        Args:
            feedback: of all of them, without tables and features.
        """
        start = 0
        for eligible, probabilities, vectors, *tables in self._spool.read():
            block = feedback.rows(start, start + len(eligible)).with_tables(
                eligible=eligible, logging_probabilities=probabilities, features=vectors
            )
            yield (
                block,
                tuple(
                    TargetPolicy(name=name, probabilities=table).check(block)
                    for name, table in zip(self._names, tables, strict=True)
                ),
            )
            start += len(eligible)


def ask(
    blocks: Iterator[LoggedRows],
    candidates: Sequence[Candidate],
    spool: Spool,
    *,
    outcomes: LoggedOutcomes,
    start: int,
    keep: Array,
    refresh: int | None,
    labels: Sequence[str],
    say: Callable[[str], None],
) -> Asked:
    """Teach and ask.

    Args:
        blocks: the rows of ``outcomes``.
        spool: takes what is too wide for memory of the rows that count.
        start: the first row to judge by.
        keep: bool, which of the rows from ``start`` on count.
        refresh: rows between two lessons of candidates that go on learning from what they have been judged by; None
            for those that do not.
        labels: names of the columns to slice by.

    Raises:
        BadInput: on propensities that are none, or a candidate that cannot be asked about this log.
    """
    found = Asked(spool, [candidate.name for candidate in candidates])
    pupils = [_Pupil(candidate, outcomes, start, refresh) for candidate in candidates]
    propensity: list[Array] = []
    columns: dict[str, list[Array]] = {name: [] for name in labels}
    late: LoggedRows | None = None
    at = 0
    for block in blocks:
        judging = block.take(slice(max(start - at, 0), None))
        if len(judging):
            probability("propensity", judging.propensity, len(judging), open_at_zero=True)
            probability_table("logged probabilities", judging.probabilities, len(judging), block.arms, judging.eligible)
        tables = []
        for pupil in pupils:
            say(f"asking {pupil.candidate.name}")
            tables.append(pupil.take(at, block))
        if len(judging):
            first = max(at - start, 0)
            which = keep[first : first + len(judging)]
            kept = judging.take(which)
            spool.put((kept.eligible, kept.probabilities, kept.vectors, *(table[which] for table in tables)))
            propensity.append(kept.propensity)
            for name, column in columns.items():
                column.append(getattr(kept, name))
        late = LoggedRows.concatenate([block] if late is None else [late, block]).take(slice(-LATE, None))
        at += len(block)
    for pupil in pupils:
        pupil.finish()
        found.learned[pupil.candidate.name] = pupil.learned
    spool.finish()
    found.propensity = np.concatenate(propensity)
    found.labels = {name: np.concatenate(column) for name, column in columns.items()}
    if late is not None:
        found.trade = late.trade
    return found


class _Pupil:
    """A candidate in the course of the pass."""

    def __init__(self, candidate: Candidate, outcomes: LoggedOutcomes, start: int, refresh: int | None) -> None:
        self.candidate = candidate
        self._first = int(np.searchsorted(outcomes.position, candidate.learned_to, side="right"))
        self._start, self._refresh = start, refresh
        self._waiting: list[LoggedRows] = []
        self.learned = 0

    def take(self, at: int, block: LoggedRows) -> Array:
        """[b, K], what it would have done on the rows of a block that judge it; ``at`` is the number of its first."""
        if not self.candidate.learns:
            return self._answer(block.take(slice(max(self._start - at, 0), None)))
        self._learn(block.take(slice(max(self._first - at, 0), max(self._start - at, 0))))
        if self._refresh is None:
            return self._answer(block.take(slice(max(self._start - at, 0), None)))
        parts = [self._answer(block.take(slice(0, 0)))]
        low = max(self._start, at)
        while low < at + len(block):
            end = low + self._refresh - (low - self._start) % self._refresh  # of the stretch that this row is in
            part = block.take(slice(low - at, end - at))
            parts.append(self._answer(part))
            self._waiting.append(part)
            if low + len(part) == end:
                self.finish()
            low += len(part)
        return np.concatenate(parts)

    def finish(self) -> None:
        """Learn from what it has been judged by since the last lesson."""
        for part in self._waiting:
            self._learn(part)
        self._waiting = []

    def _learn(self, rows: LoggedRows) -> None:
        self.candidate.learn(rows)
        self.learned += len(rows)

    def _answer(self, rows: LoggedRows) -> Array:
        if not len(rows):
            return np.zeros(rows.eligible.shape, dtype=np.float32)
        return self.candidate.probabilities(rows)
