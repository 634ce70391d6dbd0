"""The log: the append-only sequence of events that everything learned follows from.

``DuckDBLog`` is the one to use (:mod:`armwise.log.duckdb`); it is imported when first asked for, for it is heavy.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from armwise.contracts import Log
from armwise.errors import BadInput
from armwise.log.health import Gap, LogHealth
from armwise.log.memory import MemoryLog, NullLog

if TYPE_CHECKING:
    from armwise.log.duckdb import DuckDBLog, open_reader
    from armwise.log.publish import read_published

__all__ = ["DuckDBLog", "Gap", "LogHealth", "MemoryLog", "NullLog", "open_log", "open_reader", "read_published"]

_HEAVY = {"DuckDBLog": "duckdb", "open_reader": "duckdb", "read_published": "publish"}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(importlib.import_module(f"armwise.log.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_NEEDED = ("position", "append", "flush", "secure", "events", "decision", "signals", "close")
"""Of :class:`armwise.contracts.Log`."""


def open_log(spec: str | os.PathLike[str] | Log | None, **options: Any) -> Log:
    """The log that a setting names.

    Args:
        spec: the path of a DuckDB file; ``":memory:"``; ``None`` for no log; or a log, which is given back.
        options: for :class:`~armwise.log.duckdb.DuckDBLog`.

    Raises:
        BadInput: if it names no log.
        LogError: if the file cannot be used.
    """
    if spec is None:
        return NullLog()
    if isinstance(spec, (str, os.PathLike)):
        path = os.fspath(spec)
        if path == ":memory:":
            return MemoryLog()
        if not isinstance(path, str) or not path.strip():
            raise BadInput(f"log must be the path of a file, ':memory:' or None, got {spec!r}")
        module = importlib.import_module("armwise.log.duckdb")
        log: Log = module.DuckDBLog(path, **options)
        return log
    missing = [name for name in _NEEDED if not hasattr(spec, name)]
    if not missing:
        return spec
    raise BadInput(
        f"log must be a path, ':memory:', a log or None, got {type(spec).__name__}, which lacks {', '.join(missing)}"
    )
