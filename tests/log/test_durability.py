"""Real processes, killed and starved: what was acknowledged is there, and nothing is lost without a word."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from making_events import make_events, same

from armwise.errors import LogError
from armwise.log import DuckDBLog, open_reader

HERE = Path(__file__).parent
SEED, COUNT = 4, 6_000


def start(code: str, path: Path) -> subprocess.Popen[str]:
    """A Python process with the log at ``path`` as ``log`` and a seeded list of ``events``."""
    setup = f"""
        import sys, json, resource, threading
        sys.path.insert(0, {str(HERE)!r})
        import numpy as np
        from making_events import make_events
        from armwise.errors import LogError
        from armwise.log import DuckDBLog
        path = {str(path)!r}
        events = make_events(np.random.default_rng({SEED}), {COUNT})
        def say(**what):
            print(json.dumps(what), flush=True)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(setup) + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, path: Path) -> list[dict[str, object]]:
    out, err = (process := start(code, path)).communicate(timeout=120)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """One log, killed again and again while it writes and publishes; each life goes on where the last one ended."""
    path = tmp_path / "log.duckdb"
    rng = np.random.default_rng(1)
    acknowledged = 0
    for life in range(6):
        process = start(
            f"""
            log = DuckDBLog(path, interval_s=0.001, publish_every_rows=300)
            say(position=log.position)
            for i, event in enumerate(events[log.position:], 1):
                log.append(event)
                if i % {int(rng.integers(1, 60))} == 0:
                    log.{"secure" if life % 2 else "flush"}()
                    say(position=log.position)
            """,
            path,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(int(rng.integers(2, 40)))]
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        lines += [line for line in out.splitlines(keepends=True) if line.endswith("\n")]
        assert lines[0], err
        first = json.loads(lines[0])["position"]
        assert first >= acknowledged, f"life {life}"
        acknowledged = json.loads(lines[-1])["position"]
    events = make_events(np.random.default_rng(SEED), COUNT)
    with DuckDBLog(path) as log:
        assert log.position >= acknowledged > 0
        found = list(log.events())
        assert [position for position, _ in found] == list(range(1, log.position + 1))
        assert all(same(event, sent) for (_, event), sent in zip(found, events, strict=False))
        log.publish()
        position = log.position
        with open_reader(tmp_path / "log.duckdb.parquet") as published:
            assert [at for at, _ in published.events()] == list(range(1, position + 1))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_torn_write_ahead_log_opens_at_the_last_whole_commit(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    said = run(
        """
        import os
        log = DuckDBLog(path)
        for event in events[:100]: log.append(event)
        log.flush()
        whole = os.path.getsize(path + ".wal")
        for event in events[100:200]: log.append(event)
        log.flush()
        say(whole=whole)
        os._exit(0)
        """,
        path,
    )
    wal = tmp_path / "log.duckdb.wal"
    data = wal.read_bytes()
    whole = said[0]["whole"]
    assert isinstance(whole, int)
    wal.write_bytes(data[: (whole + len(data)) // 2])
    with DuckDBLog(path) as log:
        assert log.position == 100
        assert len(list(log.events())) == 100


def test_a_rotten_write_ahead_log_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    run("log = DuckDBLog(path); [log.append(e) for e in events[:500]]; log.flush(); import os; os._exit(0)", path)
    wal = tmp_path / "log.duckdb.wal"
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 0xFF
    wal.write_bytes(bytes(data))
    with pytest.raises(LogError, match=r"cannot use the log .*log\.duckdb"):
        DuckDBLog(path)
    wal.rename(tmp_path / "kept.wal")
    DuckDBLog(path).close()


FULL_DISK = """
    log = DuckDBLog(path, bound={bound}, interval_s=0.001)
    for event in events[:200]: log.append(event)
    log.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    sent, reason = 200, None
    while reason is None:
        for event in events[sent:sent + 500]: log.append(event)
        sent += 500
        try: log.flush()
        except LogError as error: reason = str(error)
    health = log.health
    say(reason=reason, ok=health.ok, queued=health.queued, durable=health.durable, error=health.error)
    # The service goes on: it decides, looks up, reads what is there.
    positions = [log.append(event) for event in events[sent:sent + 300]]
    sent += 300
    decisions = [e for e in events[:sent] if type(e).__name__ == "Decision"]
    say(known=[log.decision(d.id) is not None for d in (decisions[0], decisions[-1])],
        rows=log.query("SELECT count(*) FROM decisions").column(0)[0].as_py() > 0,
        counted=positions == list(range(sent - 299, sent + 1)), lost=log.health.lost)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    try: log.flush(); say(flushed="all")
    except LogError as error: say(flushed=str(error))
    for event in events[sent:sent + 100]: log.append(event)
    log.flush()
    say(position=log.position, lost=log.health.lost, error=log.health.error)
    import os; os._exit(9) if {crash} else log.close()
"""


@pytest.mark.parametrize("crash", [False, True], ids=["closed", "crashed"])
def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path, crash: bool) -> None:
    path = tmp_path / "log.duckdb"
    process = start(FULL_DISK.format(bound=200_000, crash=crash), path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == (9 if crash else 0), err
    full, service, flushed, end = [json.loads(line) for line in out.splitlines()]
    assert "the file may not grow any further" in full["reason"]
    assert "event(s) wait in memory" in full["reason"]
    assert not full["ok"]
    assert full["queued"] > 0
    assert service == {"known": [True, True], "rows": True, "counted": True, "lost": 0}
    assert flushed == {"flushed": "all"}
    assert (end["lost"], end["error"]) == (0, None)
    events = make_events(np.random.default_rng(SEED), COUNT)
    with DuckDBLog(path) as log:
        assert log.position == end["position"]
        found = list(log.events())
        assert [position for position, _ in found] == list(range(1, log.position + 1))
        assert all(same(event, sent) for (_, event), sent in zip(found, events, strict=False))
        assert log.gaps() == []


def test_a_full_disk_and_a_full_queue_are_told_in_the_log_itself(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    said = run(FULL_DISK.format(bound=100, crash=False), path)
    service, flushed, end = said[-3:]
    assert service["counted"]
    assert isinstance(service["lost"], int)
    assert service["lost"] > 0
    assert "event(s) were lost" in str(flushed["flushed"])
    with DuckDBLog(path) as log:
        assert log.position == end["position"]
        missing = set(range(1, log.position + 1)) - {position for position, _ in log.events()}
        told = {at for gap in log.gaps() for at in range(gap.first, gap.last + 1)}
        assert missing == told
        assert len(told) == end["lost"]
        assert {gap.reason for gap in log.gaps()} == {"the queue was full while the log could not be written"}


def test_a_log_that_nobody_closes_is_written_at_the_end_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    run("log = DuckDBLog(path, interval_s=60.0); [log.append(e) for e in events[:50]]", path)
    with DuckDBLog(path) as log:
        assert log.position == 50


def test_a_log_in_use_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    process = start(
        """
        log = DuckDBLog(path)
        for event in events[:50]: log.append(event)
        log.flush()
        say(ready=True)
        import time; time.sleep(600)
        """,
        path,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        with pytest.raises(LogError, match=r"another process is writing it.*open_reader.*PID"):
            DuckDBLog(path)
        with pytest.raises(LogError, match="not published yet"):
            open_reader(path)
    finally:
        process.kill()
        process.communicate()
    with DuckDBLog(path) as log:
        assert log.position == 50


def test_reading_beside_a_process_that_writes(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    process = start(
        """
        log = DuckDBLog(path, publish_every_s=0.05)
        for event in events[:400]: log.append(event)
        log.publish()
        say(ready=True)
        for event in events[400:]:
            log.append(event)
        import time; time.sleep(600)
        """,
        path,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        for _ in range(20):
            with open_reader(path) as reader:
                position = reader.position
                assert position >= 400
                assert [at for at, _ in reader.events(position - 50)] == list(range(position - 49, position + 1))
                [row] = reader.query("SELECT count(*) AS rows, max(position) AS last FROM rewarded").to_pylist()
                assert row["rows"] > 100
                assert row["last"] <= position
    finally:
        process.kill()
        process.communicate()
