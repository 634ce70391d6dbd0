"""Feedback that lives elsewhere: rows of a JSONL or Parquet file as signals."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from armwise.contracts import Signal
from armwise.errors import BadInput, unknown
from armwise.rewards import RewardRules

FIELDS = ("decision_id", "kind", "value", "source", "event_id", "at", "retracts")
"""What a row may hold. ``decision_id`` and ``kind`` it must."""

_EXAMPLES = 10
_CLOCKS_S = 86_400.0
"""How far another's clock may be ahead."""


@dataclass(slots=True)
class ImportReport:
    """What became of the rows of an import."""

    taken: int = 0
    duplicate: int = 0
    """By (decision, source, event id): a second import of one file takes nothing twice."""
    unknown: int = 0
    """For decisions that are not in the log."""
    invalid: int = 0
    problems: list[str] = field(default_factory=list)
    """The first ten, with their rows."""

    @property
    def rows(self) -> int:
        return self.taken + self.duplicate + self.unknown + self.invalid

    def refuse(self, row: int, error: Exception) -> None:
        """Note a row that was not taken."""
        if len(self.problems) < _EXAMPLES:
            self.problems.append(f"row {row}: {error}")

    def as_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, **asdict(self)}


def read_rows(path: str | Path) -> Iterator[Mapping[str, Any] | BadInput]:
    """The rows of a file, in order; an error in place of a row that cannot be read.

    Raises:
        BadInput: if there is no such file, it is of another kind, or no Parquet.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"there is no file {path}")
    if path.suffix in (".jsonl", ".ndjson"):
        return _jsonl(path)
    if path.suffix == ".parquet":
        return _parquet(path)
    raise BadInput(f"cannot import {path}: a file of feedback is .jsonl, .ndjson or .parquet, got {path.suffix!r}")


def _jsonl(path: Path) -> Iterator[Mapping[str, Any] | BadInput]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                yield BadInput(f"not JSON: {error}")
            else:
                yield row if isinstance(row, dict) else BadInput(f"must be an object, got {type(row).__name__}")


def _parquet(path: Path) -> Iterator[Mapping[str, Any] | BadInput]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise BadInput(f"{path} is not a Parquet file: {error}") from error
    for batch in file.iter_batches(10_000):
        yield from batch.to_pylist()


def signal_of(row: Mapping[str, Any], rules: RewardRules, *, source: str, now: float) -> Signal:
    """The signal of a row. Where it has no event id, the row's own content identifies it.

    Raises:
        BadInput: on a field that is missing, unknown or of the wrong type.
    """
    for name in row:
        if name not in FIELDS:
            raise BadInput(unknown("field", name, FIELDS))
    given = {name: value for name, value in row.items() if value is not None}
    for name in ("decision_id", "kind"):
        if name not in given:
            raise BadInput(f"{name} is missing")
    if "event_id" not in given:
        content = json.dumps(given, sort_keys=True, default=str)
        given["event_id"] = f"import-{hashlib.sha256(content.encode()).hexdigest()[:24]}"
    given["at"] = _unix_time(given["at"], now) if "at" in given else now
    given["value"] = rules.value_of(given["kind"], given.get("value"))
    return Signal(**{"source": source, **given})


def _unix_time(at: Any, now: float) -> float:
    """When a row says that it happened. What lies in the future would hold back whatever is learned of its source."""
    seconds = at
    if isinstance(at, str):
        with contextlib.suppress(ValueError):
            at = datetime.fromisoformat(at)
    if isinstance(at, datetime) and at.tzinfo is not None:
        seconds = at.timestamp()
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0.0 <= seconds <= now + _CLOCKS_S:
        raise BadInput(
            f"at must be a time with its zone, or Unix time in seconds, at most a day from now; got {seconds!s}"
        )
    return float(seconds)


def signals_of(
    rows: Iterable[Mapping[str, Any] | BadInput], report: ImportReport, rules: RewardRules, *, source: str, now: float
) -> Iterator[tuple[int, Signal]]:
    """(row number from 1, signal) of those rows that are well-formed; the others go into the report."""
    for number, row in enumerate(rows, 1):
        try:
            if isinstance(row, BadInput):
                raise row
            yield number, signal_of(row, rules, source=source, now=now)
        except BadInput as error:
            report.invalid += 1
            report.refuse(number, error)
