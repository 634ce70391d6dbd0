"""Offline: what a log says: its rows as arrays, candidate policies on them, and what those would have achieved."""

from armwise.offline.candidates import Candidate, constant, fresh, from_config, from_snapshot
from armwise.offline.evaluation import LogEvaluation, Question, evaluate_log
from armwise.offline.naming import make_candidates
from armwise.offline.reading import LogSummary, pool_of, read_blocks, read_rows, summary
from armwise.offline.rows import LoggedRows

__all__ = [
    "Candidate",
    "LogEvaluation",
    "LogSummary",
    "LoggedRows",
    "Question",
    "constant",
    "evaluate_log",
    "fresh",
    "from_config",
    "from_snapshot",
    "make_candidates",
    "pool_of",
    "read_blocks",
    "read_rows",
    "summary",
]
