"""Offline: what a log says: its rows as arrays, candidate policies on them, and what those would have achieved."""

from armwise.offline.candidates import Candidate, constant, fresh, from_config, from_snapshot
from armwise.offline.reading import LogSummary, pool_of, read_blocks, read_rows, summary
from armwise.offline.rows import LoggedRows

__all__ = [
    "Candidate",
    "LogSummary",
    "LoggedRows",
    "constant",
    "fresh",
    "from_config",
    "from_snapshot",
    "pool_of",
    "read_blocks",
    "read_rows",
    "summary",
]
