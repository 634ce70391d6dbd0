"""Closed stretches as Parquet: whole or not at all, and the same events in them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
from making_events import make_decision, make_events, make_signal, same

from armwise.errors import LogError
from armwise.log import DuckDBLog, open_reader, read_published
from armwise.log import publish as publishing
from armwise.log.publish import PublishedLog, Stretch, published_sql, stretches


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.duckdb"


@pytest.fixture
def directory(path: Path) -> Path:
    return path.with_name("log.duckdb.parquet")


def fill(path: Path, rng: np.random.Generator, *counts: int) -> list[object]:
    """Publish after each so many events."""
    events = make_events(rng, sum(counts))
    with DuckDBLog(path) as log:
        start = 0
        for count in counts:
            for event in events[start : start + count]:
                log.append(event)
            start += count
            assert log.publish() == 1
            assert log.publish() == 0
    return list(events)


def test_what_is_published_is_what_was_logged(path: Path, directory: Path, rng: np.random.Generator) -> None:
    events = fill(path, rng, 70, 1, 129)
    assert stretches(directory) == [Stretch(1, 70), Stretch(71, 71), Stretch(72, 200)]
    with read_published(path) as log:
        assert log.position == 200
        for after in (0, 69, 70, 71, 150, 200):
            found = list(log.events(after))
            assert [position for position, _ in found] == list(range(after + 1, 201))
            assert all(same(event, sent) for (_, event), sent in zip(found, events[after:], strict=True))
    with pytest.raises(LogError, match="is closed"):
        log.query("SELECT 1")


def test_long_logs_are_published_in_several_stretches(
    path: Path, directory: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STRETCH", 30)
    with DuckDBLog(path) as log:
        for event in make_events(rng, 100):
            log.append(event)
        assert log.publish() == 4
    assert [stretch.last for stretch in stretches(directory)] == [30, 60, 90, 100]


def test_lookups_see_across_stretches(path: Path, rng: np.random.Generator) -> None:
    decision = make_decision(rng, 1)
    with DuckDBLog(path) as log:
        for events in ([decision], [make_signal(decision.id, "a")], [make_signal(decision.id, "a", value=0.9)]):
            for event in events:
                log.append(event)
            log.publish()
    with read_published(path) as published:
        found = published.decision(decision.id)
        assert found is not None
        assert same(found, decision)
        assert [signal.value for signal in published.signals(decision.id)] == [0.5]
        assert [position for position, _ in published.events()] == [1, 2]
        [row] = published.query("SELECT quality, signals FROM rewarded").to_pylist()
        assert row == {"quality": 0.5, "signals": 1}


def test_any_duckdb_reads_what_is_published(path: Path, directory: Path, rng: np.random.Generator) -> None:
    fill(path, rng, 100)
    with duckdb.connect() as anybody:
        for statement in published_sql(directory):
            anybody.execute(statement)
        (rows,) = anybody.execute("SELECT count(*) FROM rewarded").fetchone() or (0,)
        glob = anybody.execute(f"SELECT count(*) FROM '{directory}/decisions/*.parquet'").fetchone()
    assert rows > 20
    assert glob == (rows,)


def test_an_empty_log_can_be_published_and_read(path: Path, directory: Path) -> None:
    with DuckDBLog(path) as log:
        assert log.publish() == 0
    with PublishedLog(directory) as published:
        assert published.position == 0
        assert list(published.events()) == []
        assert published.query("SELECT * FROM rewarded").num_rows == 0
        assert published.decision("d") is None


def test_the_reader_is_picked_by_what_can_be_had(path: Path, directory: Path, rng: np.random.Generator) -> None:
    with pytest.raises(LogError, match="there is no log at"):
        open_reader(path)
    with DuckDBLog(path) as log:
        log.append(make_decision(rng, 1))
        log.flush()
        with pytest.raises(LogError, match="not published yet: a service publishes every"):
            open_reader(path)
        log.publish()
        log.append(make_decision(rng, 2))
        log.flush()
        with open_reader(path) as reader:
            assert isinstance(reader, PublishedLog)
            assert reader.position == 1
    with open_reader(path) as reader:
        assert not isinstance(reader, PublishedLog)
        assert reader.position == 2
        assert len(list(reader.events())) == 2
        with pytest.raises(LogError):
            reader.query("DELETE FROM decisions")
    path.unlink()
    for where in (path, directory):
        with open_reader(where) as reader:
            assert reader.position == 1


def test_half_written_files_are_never_seen(path: Path, directory: Path, rng: np.random.Generator) -> None:
    """A kill leaves hidden files, or a stretch whose decisions are not there yet: neither counts, both are mended."""
    fill(path, rng, 50)
    for table in ("signals", "decisions"):
        (directory / table / ".000000000000051-000000000000080.parquet.tmp").write_bytes(b"PAR1 half")
    (directory / "signals" / "000000000000051-000000000000080.parquet").write_bytes(b"PAR1 half")
    with read_published(path) as published:
        assert published.position == 50
        assert len(list(published.events())) == 50
        assert published.query("SELECT * FROM signals").num_rows > 0
    with DuckDBLog(path) as log:
        for number in range(30):
            log.append(make_decision(rng, number))
        log.publish()
    assert not list(directory.rglob(".*"))
    with read_published(path) as published:
        assert len(list(published.events())) == 80


def test_merged_stretches_replace_those_inside_them(path: Path, directory: Path, rng: np.random.Generator) -> None:
    fill(path, rng, 20, 20)
    with read_published(path) as published:
        whole = list(published.events())
    for table in publishing.EVENT_TABLES:
        with duckdb.connect() as anybody:
            merged = directory / table / Stretch(1, 40).file
            source = f"SELECT * FROM '{directory}/{table}/*.parquet' ORDER BY position"
            anybody.execute(f"CREATE TABLE merged AS {source}")
            anybody.execute(f"COPY merged TO '{merged}' (FORMAT parquet)")
    with read_published(path) as published:
        found = list(published.events())
    assert all(same(one, other) for one, other in zip(whole, found, strict=True))


def test_a_missing_stretch_is_an_error(path: Path, directory: Path, rng: np.random.Generator) -> None:
    fill(path, rng, 10, 10, 10)
    (directory / "decisions" / Stretch(11, 20).file).unlink()
    with pytest.raises(LogError, match="lacks positions 11 to 20"):
        read_published(path)


def test_a_damaged_file_is_an_error(path: Path, directory: Path, rng: np.random.Generator) -> None:
    fill(path, rng, 30)
    (directory / "decisions" / Stretch(1, 30).file).write_bytes(b"PAR1 not at all")
    with pytest.raises(LogError, match="cannot read the published log"), read_published(path) as published:
        list(published.events())


def test_a_directory_of_another_log_is_left_alone(path: Path, directory: Path, rng: np.random.Generator) -> None:
    fill(path, rng, 10)
    path.unlink()
    with DuckDBLog(path) as log:
        log.append(make_decision(rng, 1))
        with pytest.raises(LogError, match="it holds another log"):
            log.publish()
    assert stretches(directory) == [Stretch(1, 10)]


def test_a_directory_that_is_no_published_log(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is not a published log"):
        open_reader(tmp_path)
    (tmp_path / "meta.json").write_text('{"schema_version": 99}')
    with pytest.raises(LogError, match="newer armwise"):
        open_reader(tmp_path)


def test_publishing_from_a_thread(path: Path, directory: Path, rng: np.random.Generator) -> None:
    with DuckDBLog(path, publish_every_s=0.02, interval_s=0.001) as log:
        for event in make_events(rng, 40):
            log.append(event)
        log.flush()
        deadline = time.monotonic() + 20
        while not stretches(directory) or stretches(directory)[-1].last < 40:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert log.health.publish_error is None
        shutil.rmtree(directory)
        directory.write_text("in the way")
        log.append(make_decision(rng, 1))
        while log.health.publish_error is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        health = log.health
        assert health.publish_error is not None
        assert "cannot publish the log" in health.publish_error
        assert health.ok


def test_memory_is_let_go_of_after_publishing_and_nothing_else_changes(tmp_path: Path) -> None:
    with DuckDBLog(tmp_path / "log.duckdb") as log:
        for event in make_events(np.random.default_rng(3), 2_000):
            log.append(event)
        log.flush()
        before = log.query("SELECT count(*) AS n, sum(position) AS total FROM decisions").to_pylist()
        limit = log.query("SELECT current_setting('memory_limit') AS it").to_pylist()
        log._database.shrink()
        assert log.query("SELECT current_setting('memory_limit') AS it").to_pylist() == limit
        assert log.query("SELECT count(*) AS n, sum(position) AS total FROM decisions").to_pylist() == before
        log.append(make_events(np.random.default_rng(4), 3)[2])
        log.flush()
        assert log.health.ok
