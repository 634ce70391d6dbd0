"""Retention: old decisions leave the log. What was learned from them stays.

Decisions, their signals, attempts and judges' draws up to a position are deleted; the small histories (pool, budgets,
sources, policy versions) are kept whole, and ``gaps`` says what is missing and why. A state can no longer be rebuilt
from the first event then, so whoever prunes saves a snapshot of everything learned first
(:meth:`armwise.router.Router.prune`).
"""

from __future__ import annotations

import time
from pathlib import Path

import duckdb

from armwise.log.publish import STRETCH, Stretch, merge, stretches
from armwise.log.schema import EVENT_TABLES

BULKY: tuple[str, ...] = ("decisions", "signals", "attempts", "judge_draws")
"""Tables that grow with traffic."""


def pruned_to(cursor: duckdb.DuckDBPyConnection) -> int:
    """Position up to which decisions were pruned; 0 for none."""
    rows = cursor.execute("SELECT value FROM meta WHERE key = 'pruned_to'").fetchall()
    return int(rows[0][0]) if rows else 0


def boundary(cursor: duckdb.DuckDBPyConnection, before: float, durable: int) -> int:
    """Position up to which every decision is older than ``before``; ``durable`` where all are."""
    row = cursor.execute("SELECT min(position) FROM decisions WHERE unix_time >= $1", [before]).fetchone()
    return durable if row is None or row[0] is None else int(row[0]) - 1


def delete(cursor: duckdb.DuckDBPyConnection, until: int) -> int:
    """Delete what traffic left up to a position, in one transaction; returns how many decisions went."""
    done = pruned_to(cursor)
    if until <= done:
        return 0
    row = cursor.execute("SELECT count(*) FROM decisions WHERE position <= $1", [until]).fetchone()
    cursor.begin()
    try:
        for table in BULKY:
            cursor.execute(f"DELETE FROM {table} WHERE position <= $1", [until])
        cursor.execute("INSERT INTO gaps VALUES ($1, $2, 'pruned', $3)", [done + 1, until, time.time()])
        cursor.execute("DELETE FROM meta WHERE key = 'pruned_to'")
        cursor.execute("INSERT INTO meta VALUES ('pruned_to', $1)", [str(until)])
    except duckdb.Error:
        cursor.rollback()
        raise
    cursor.commit()
    return int(row[0]) if row else 0


def drop_published(directory: Path, until: int) -> int:
    """Remove published stretches that end at or before a position; returns how many. Later ones stay whole."""
    gone = [stretch for stretch in stretches(directory) if stretch.last <= until] if directory.is_dir() else []
    for stretch in gone:
        for table in reversed(EVENT_TABLES):  # the file of decisions first: without it a stretch does not count
            (directory / table / stretch.file).unlink(missing_ok=True)
    return len(gone)


def merge_published(directory: Path) -> None:
    """Merge neighbouring stretches into ones of up to :data:`~armwise.log.publish.STRETCH` positions.

    Whoever reads a stretch that is replaced has to open the published log again.

    Raises:
        LogError: if the disk refuses; what is published stays good.
    """
    groups: list[list[Stretch]] = []
    for stretch in stretches(directory):
        if groups and stretch.last - groups[-1][0].first < STRETCH:
            groups[-1].append(stretch)
        else:
            groups.append([stretch])
    for group in groups:
        if len(group) > 1:
            merge(directory, group)
