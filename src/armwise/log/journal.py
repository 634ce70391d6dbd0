"""A small append-only file in front of the database: what an answer waits for is one write and one fdatasync.

A commit of the database takes milliseconds, and tens of them on a busy disk. So what has to survive a crash is written
here first, and committed to the database later, many events at a time. When the log is opened, what the database does
not have yet is taken over from here.

Two segments take turns: one is written to until all that the other holds is in the database. A segment is never cut,
but written over, so that its length does not change and the disk has nothing but the data to write. Each frame has the
number of its turn, its length and a checksum; reading ends at the first that is torn or of an earlier turn.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from armwise.contracts import Attempt, Beside, Context, Decision, Predictions, Signal, Trade, Vector
from armwise.errors import LogError
from armwise.log.decode import decode
from armwise.log.encode import encode
from armwise.log.events import kind_of
from armwise.log.writer import Numbered

logger = logging.getLogger("armwise.log")

_HEAD = struct.Struct("<4sQII")
"""Magic, turn, length and checksum of what follows."""
_MAGIC = b"AWJ1"
_SEGMENT = 1 << 20
"""Bytes after which the other segment is written to, as soon as it may be."""

_DECISION, _SIGNAL, _ATTEMPT, _OTHER = "d", "s", "a", "o"


def journal_paths(path: Path) -> tuple[Path, Path]:
    """The two segments beside a log's file."""
    return path.with_name(path.name + ".journal-0"), path.with_name(path.name + ".journal-1")


class Journal:
    """Made when it is first written to. One thread writes at a time.

    Args:
        path: of the log.
        log_id: of the log; a journal of another one is not taken over.
    """

    def __init__(self, path: Path, log_id: str) -> None:
        self._paths = journal_paths(path)
        self._id = log_id
        self._lock = threading.Lock()
        self._files: list[int] = []
        self._last = [0, 0]
        self._size = [0, 0]
        self._turn = 0
        self._active = 0
        self.last = 0
        """Position up to which events were written here."""

    def write(self, events: Sequence[Numbered], stored: int) -> None:
        """Append events and make them durable.

        Args:
            events: in order, each with its position.
            stored: position up to which the database has all of them.

        Raises:
            LogError: if the disk refuses.
        """
        content = json.dumps([self._id, [_plain(at, event) for at, event in events]]).encode()
        with self._lock:
            try:
                if not self._files:
                    self._open()
                self._choose(stored)
                head = _HEAD.pack(_MAGIC, self._turn, len(content), zlib.crc32(content))
                at = self._active
                os.pwrite(self._files[at], head + content, self._size[at])
                os.fdatasync(self._files[at])
            except OSError as error:
                raise LogError(f"cannot write the journal {self._paths[self._active]}: {error}") from error
            self._size[at] += len(head) + len(content)
            self.last = self._last[at] = events[-1][0]

    def _open(self) -> None:
        files: list[int] = []
        try:
            for path in self._paths:
                files.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                for at in range(0, _SEGMENT, 1 << 16):  # written, not only allocated: later writes change no metadata
                    os.pwrite(files[-1], bytes(1 << 16), at)
                os.fsync(files[-1])
        except OSError:
            for file in files:
                os.close(file)
            raise
        self._files = files

    def _choose(self, stored: int) -> None:
        """Begin a segment anew where all that it holds is in the database, so that neither grows without end."""
        other = 1 - self._active
        if self._last[self._active] <= stored:
            chosen = self._active
        elif self._size[self._active] >= _SEGMENT and self._last[other] <= stored:
            chosen = other
        else:
            return
        self._active, self._size[chosen] = chosen, 0
        self._turn += 1

    def remove(self) -> None:
        """Everything is in the database: there is nothing to take over."""
        with self._lock:
            for file in self._files:
                os.close(file)
            self._files = []
            for path in self._paths:
                path.unlink(missing_ok=True)

    def left(self, stored: int) -> list[Numbered]:
        """Events that an earlier process wrote here and the database does not have, in order, without a hole."""
        found: dict[int, Any] = {}
        for path in self._paths:
            if path.exists():
                found.update({row[1]: row for row in self._rows(path) if row[1] > stored})
        events = [_event(row) for _, row in sorted(found.items(), key=itemgetter(0))]
        if events:
            logger.warning("%d event(s) are taken over from the journal of a process that crashed", len(events))
        return events

    def _rows(self, path: Path) -> Iterator[list[Any]]:
        data, at, turn = path.read_bytes(), 0, None
        while at + _HEAD.size <= len(data):
            magic, of, length, checksum = _HEAD.unpack_from(data, at)
            content = data[at + _HEAD.size : at + _HEAD.size + length]
            if magic != _MAGIC or of != (turn or of) or len(content) < length or zlib.crc32(content) != checksum:
                return
            turn, at = of, at + _HEAD.size + length
            log_id, rows = json.loads(content)
            if log_id != self._id:
                logger.warning("%s is of another log, and left alone", path)
                return
            yield from rows


# ---------------------------------------------------------------------------------------------- events as JSON


def _plain(position: int, event: Any) -> list[Any]:
    kind = type(event)
    if kind is Decision:
        beside = event.beside and [event.beside.version, event.beside.share, _packed(event.beside.probability_of)]
        context = event.context
        return [
            _DECISION,
            position,
            *event[:5],
            _packed(event.probability_of),
            list(event.excluded.items()),
            [_packed(values) for values in event.predictions],
            event.trade,
            [_packed(context.vector), context.task, context.input_tokens, context.tools, sorted(context.modalities)],
            *event[10:18],
            beside,
        ]
    if kind is Signal:
        e = event
        return [_SIGNAL, position, e.decision_id, e.kind, e.value, e.source, e.event_id, e.at, e.retracts]
    if kind is Attempt:
        e = event
        told = [e.decision_id, e.attempt, e.model, e.at, e.status, e.latency_ms]
        return [_ATTEMPT, position, *told, e.input_tokens, e.output_tokens, e.cost_usd]
    tables, refused = encode([(position, event)])
    if refused:
        raise LogError(refused[0].reason)
    ((name, table),) = tables.items()
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return [_OTHER, position, name, base64.b64encode(out.getvalue()).decode()]


def _event(row: list[Any]) -> Numbered:
    kind, position, *rest = row
    if kind == _DECISION:
        id_, at, arm, propensity, arms, probabilities, excluded, predictions, trade, context, *more, beside = rest
        vector, task, input_tokens, tools, modalities = context
        decision = Decision._make(
            (
                id_,
                at,
                arm,
                propensity,
                tuple(arms),
                _unpacked(probabilities),
                dict(excluded),
                Predictions(*map(_unpacked, predictions)),
                Trade(*trade),
                Context(_unpacked(vector), task, input_tokens, tools, frozenset(modalities)),
                *more,
                beside and Beside(beside[0], beside[1], _unpacked(beside[2])),
            )
        )
        return position, decision
    if kind == _SIGNAL:
        decision_id, name, value, source, event_id, at, retracts = rest
        fields = {"source": source, "event_id": event_id, "at": at, "retracts": retracts}
        return position, Signal(decision_id=decision_id, kind=name, value=value, **fields)
    if kind == _ATTEMPT:
        names = ("decision_id", "attempt", "model", "at", "status", "latency_ms", "input_tokens", "output_tokens")
        return position, Attempt(**dict(zip((*names, "cost_usd"), rest, strict=True)))
    table, content = rest
    with pa.ipc.open_stream(base64.b64decode(content)) as stream:
        (numbered,) = decode(table, stream.read_all())
    assert kind_of(numbered[1]) == table
    return numbered


def _packed(values: Vector) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def _unpacked(text: str) -> Vector:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
