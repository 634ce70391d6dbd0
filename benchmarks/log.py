"""What it costs to log a decision, and whether one is lost.

    python benchmarks/log.py [--decisions N] [--json]

Decisions over 12 arms with a context of 24 values. Sustained rate: from the first append to the return of flush, all
on disk; then the file is opened anew, its rows are counted and a sample is compared bit for bit. Cost of an append:
single calls, while the writer works and while it rests, beside a bare ``deque.append``. Beside us, the same decisions
with a commit each, and as JSON in SQLite (WAL, a commit per 1,000).
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from armwise.contracts import Context, Decision, Predictions, Trade
from armwise.log import DuckDBLog

ARMS = tuple(f"provider/model-{i}" for i in range(12))
DIMENSION = 24
DISTINCT = 5_000
TARGET = 20_000


def distinct_decisions() -> list[Decision]:
    """Decisions that differ in all that a live router's differ in."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(DISTINCT):
        probabilities = rng.dirichlet(np.full(len(ARMS), 0.3))
        slot = int(rng.choice(len(ARMS), p=probabilities))
        made.append(
            Decision(
                id="",
                at=1.7e9 + number,
                arm=ARMS[slot],
                propensity=float(probabilities[slot]),
                arms=ARMS,
                probability_of=probabilities,
                excluded={},
                predictions=Predictions(rng.random(12), rng.lognormal(-8, 1, 12), rng.lognormal(6, 0.5, 12)),
                trade=Trade(cost_weight=0.2),
                context=Context(
                    rng.normal(size=DIMENSION).astype(np.float32).astype(np.float64), "code", int(rng.integers(4000))
                ),
                method="quadrature:64",
                seed=int(rng.integers(0, 2**64, dtype=np.uint64)),
                policy_version="0123456789ab",
                feature_version="text-1-0123456789ab",
                tenant=f"tenant-{number % 50}",
                session=f"session-{number % 997}",
            )
        )
    return made


def stream(distinct: list[Decision], count: int) -> Iterator[Decision]:
    """Decisions with ids of their own."""
    return (distinct[i % len(distinct)]._replace(id=f"0193c0de{i:012x}") for i in range(count))


def same(one: Decision, other: Decision) -> bool:
    """Equal, the arrays by their bytes."""

    def plain(node: object) -> object:
        if isinstance(node, np.ndarray):
            return node.tobytes()
        return [plain(item) for item in node] if isinstance(node, tuple) else node

    return plain(one) == plain(other)


def sustained(directory: Path, distinct: list[Decision], count: int) -> dict[str, float]:
    path = directory / "sustained.duckdb"
    log = DuckDBLog(path)
    most_queued = 0
    began, cpu = time.perf_counter(), time.process_time()
    for i, decision in enumerate(stream(distinct, count)):
        log.append(decision)
        if i % 1000 == 0:
            most_queued = max(most_queued, log.health.queued)
    log.flush()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    log.close()
    with DuckDBLog(path) as log:
        [row] = log.query("SELECT count(*) AS rows, count(DISTINCT position) AS positions FROM decisions").to_pylist()
        began = time.perf_counter()
        read = wrong = 0
        for (_, event), sent in zip(log.events(), stream(distinct, count), strict=False):
            read += 1
            if read % 100 == 0:
                wrong += not (isinstance(event, Decision) and same(event, sent))
        reading = time.perf_counter() - began
    return {
        "decisions": count,
        "decisions_per_s": count / seconds,
        "cpu_us_per_decision": 1e6 * cpu / count,
        "rows_lost": count - min(row["rows"], row["positions"], read),
        "rows_changed_of_sample": wrong,
        "most_queued": most_queued,
        "read_back_per_s": read / reading,
        "bytes_per_decision": path.stat().st_size / count,
    }


def each_call(
    call: Callable[[Decision], object], decisions: list[Decision], pause_every: int = 0
) -> tuple[float, float]:
    """p50 and p99 of single calls, us, the clock's own cost taken off."""
    clock = time.perf_counter_ns
    bare = np.median([-clock() + clock() for _ in range(10_000)])
    took = []
    for i, decision in enumerate(decisions):
        start = clock()
        call(decision)
        took.append(clock() - start)
        if pause_every and i % pause_every == 0:
            time.sleep(0.001)
    p50, p99 = np.percentile(np.array(took) - bare, [50, 99]) / 1000
    return float(p50), float(p99)


def append_costs(directory: Path, distinct: list[Decision]) -> dict[str, tuple[float, float]]:
    decisions = list(stream(distinct, 40_000))
    queue: deque[tuple[int, Decision]] = deque()
    costs = {"bare deque": each_call(lambda decision: queue.append((1, decision)), decisions)}
    with DuckDBLog(directory / "resting.duckdb", interval_s=3600) as log:
        costs["append, writer at rest"] = each_call(log.append, decisions)
    with DuckDBLog(directory / "working.duckdb", interval_s=0.01) as log:
        costs["append, writer at work"] = each_call(log.append, decisions, pause_every=20)
    return costs


def one_commit_each(directory: Path, distinct: list[Decision], count: int = 500) -> float:
    with DuckDBLog(directory / "single.duckdb", interval_s=0.0) as log:
        began = time.perf_counter()
        for decision in stream(distinct, count):
            log.append(decision)
            log.flush()
        return count / (time.perf_counter() - began)


def sqlite_json(directory: Path, distinct: list[Decision], count: int = 30_000) -> float:
    database = sqlite3.connect(directory / "peer.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, body TEXT)")
    decisions, position = stream(distinct, count), 0
    began = time.perf_counter()
    while batch := list(islice(decisions, 1000)):
        rows = []
        for decision in batch:
            position += 1
            rows.append((position, json.dumps(decision, default=_plain)))
        database.execute("BEGIN")
        database.executemany("INSERT INTO events VALUES (?, ?)", rows)
        database.execute("COMMIT")
    rate = count / (time.perf_counter() - began)
    database.close()
    return rate


def _plain(value: Any) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else sorted(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--decisions", type=int, default=500_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    distinct = distinct_decisions()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        result = sustained(directory, distinct, options.decisions)
        costs = append_costs(directory, distinct)
        single, sqlite = one_commit_each(directory, distinct), sqlite_json(directory, distinct)
    met = result["decisions_per_s"] >= TARGET and not result["rows_lost"] and not result["rows_changed_of_sample"]
    if options.json:
        costs_us = {name: {"p50": p50, "p99": p99} for name, (p50, p99) in costs.items()}
        peers = {"one commit each": single, "sqlite json": sqlite}
        print(json.dumps({**result, "append_us": costs_us, "peers_per_s": peers, "met": met}))
        return 0 if met else 1
    print(f"12 arms, {DIMENSION}-d context, {options.decisions:,} decisions; target {TARGET:,}/s, none lost\n")
    for name, value in result.items():
        print(f"  {name:<28} {value:>14,.1f}" if value % 1 else f"  {name:<28} {value:>14,.0f}")
    rate = result["decisions_per_s"]
    print(f"\n  one commit each, decisions/s {single:>14,.0f}   we: {rate / single:,.0f} x")
    print(f"  SQLite WAL, JSON             {sqlite:>14,.0f}   we: {rate / sqlite:,.1f} x\n")
    bare = costs["bare deque"]
    for name, (p50, p99) in costs.items():
        print(f"  {name:<24} p50 {p50:6.2f} us  p99 {p99:7.2f} us   p50 / deque {p50 / bare[0]:5.1f}")
    print(f"\n{'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
