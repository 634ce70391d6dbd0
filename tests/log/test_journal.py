"""What is written in front of the database: the same bit for bit, and taken over after a crash."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from making_events import make_decision, make_events, make_signal, same

from armwise.errors import LogError
from armwise.log import DuckDBLog, open_reader
from armwise.log.journal import Journal, journal_paths

EVENTS = make_events(np.random.default_rng(7), 400)
NUMBERED = list(enumerate(EVENTS, 1))


def journal(path: Path, log_id: str = "one") -> Journal:
    return Journal(path, log_id)


def crashed(tmp_path: Path, secured: int, stored: int) -> Path:
    """A log as a process leaves it that is killed with so many events secured, of which so many are in the database."""
    path = tmp_path / "log.duckdb"
    log = DuckDBLog(path)
    for event in EVENTS[:stored]:
        log.append(event)
    log.flush()
    log._writer.relax(3600.0)
    for event in EVENTS[stored:secured]:
        log.append(event)
        log.secure()
    killed = tmp_path / "killed"
    killed.mkdir()
    for file in tmp_path.glob("log.duckdb*"):
        if file.is_file():
            shutil.copy(file, killed)
    log.close()
    return killed / "log.duckdb"


def test_every_kind_of_event_comes_back_bit_for_bit(tmp_path: Path) -> None:
    one = journal(tmp_path / "log")
    for start in range(0, 400, 37):
        one.write(NUMBERED[start : start + 37], stored=0)
    found = journal(tmp_path / "log").left(0)
    assert [at for at, _ in found] == [at for at, _ in NUMBERED]
    assert all(same(event, sent) for (_, event), (_, sent) in zip(found, NUMBERED, strict=True))
    assert [at for at, _ in journal(tmp_path / "log").left(390)] == list(range(391, 401))


def test_what_was_secured_is_taken_over_after_a_crash(tmp_path: Path) -> None:
    path = crashed(tmp_path, secured=200, stored=120)
    with DuckDBLog(path) as log:
        assert log.position == 200
        found = list(log.events())
        assert all(same(event, sent) for (_, event), sent in zip(found, EVENTS, strict=False))
        assert not any(one.exists() for one in journal_paths(path))
        assert log.append(make_decision(np.random.default_rng(1), 1)) == 201
    with open_reader(path) as reader:
        assert [at for at, _ in reader.events()] == list(range(1, 202))


@pytest.mark.parametrize("harm", ["torn", "flipped"])
def test_a_torn_or_rotten_end_is_left_out(tmp_path: Path, harm: str) -> None:
    one = journal(tmp_path / "log")
    one.write(NUMBERED[:50], stored=0)
    whole = one._size[one._active]
    one.write(NUMBERED[50:60], stored=0)
    path = journal_paths(tmp_path / "log")[one._active]
    data = bytearray(path.read_bytes())
    if harm == "torn":
        data = data[: whole + 30]
    else:
        data[whole + 40] ^= 1
    path.write_bytes(bytes(data))
    assert [at for at, _ in journal(tmp_path / "log").left(0)] == list(range(1, 51))


def test_segments_take_turns_and_do_not_grow(tmp_path: Path) -> None:
    one = journal(tmp_path / "log")
    for at, event in NUMBERED * 20:
        one.write([(at, event)], stored=max(0, at - 40) if at > 40 else 400)
    sizes = [path.stat().st_size for path in journal_paths(tmp_path / "log")]
    assert sizes == [1 << 20, 1 << 20]
    left = [at for at, _ in journal(tmp_path / "log").left(360)]
    assert left == list(range(361, 401))


def test_a_journal_of_another_log_is_left_alone(tmp_path: Path) -> None:
    journal(tmp_path / "log", "one").write(NUMBERED[:5], stored=0)
    assert journal(tmp_path / "log", "two").left(0) == []


def test_a_disk_that_refuses_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with DuckDBLog(tmp_path / "log.duckdb") as log:
        log._writer.relax(3600.0)
        log.append(EVENTS[0])
        with monkeypatch.context() as patch:
            patch.setattr("os.pwrite", full)
            with pytest.raises(LogError, match="No space left"):
                log.secure()
        log.append(make_signal("d", "e"))
        log.secure()
        log.secure()  # there is nothing to do
        log.flush()
        assert len(list(log.events())) == 2


def test_a_log_that_is_closed_leaves_no_journal(tmp_path: Path) -> None:
    with DuckDBLog(tmp_path / "log.duckdb") as log:
        log.append(EVENTS[0])
        log.secure()
        assert all(path.exists() for path in journal_paths(log.path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.duckdb"]
