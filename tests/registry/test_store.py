"""Snapshots in a directory: none lost, none mixed up, and a damaged one is passed over aloud."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from armwise.errors import BadInput, SnapshotError
from armwise.registry import Manifest, SnapshotStore


def save(store: SnapshotStore, position: int) -> Manifest:
    return store.save({"theta": np.full(50, float(position))}, position=position, feature_version="f")


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "made when needed")


def test_an_empty_store_has_no_latest(store: SnapshotStore) -> None:
    assert store.latest() is None
    assert store.list() == []
    assert not store.directory.exists()


def test_what_is_saved_is_found(store: SnapshotStore) -> None:
    saved = store.save(
        {"theta": np.arange(3.0)},
        position=12,
        feature_version="f-1",
        policy={"name": "thompson", "scale": 0.6},
        pool=["a", "b"],
        parents=["0123456789ab"],
        created_at=1.7e9,
        metrics={"utility": 0.8},
    )
    for found in (store.latest(), store.load(saved.version), store.load(saved.version[:5])):
        assert found is not None
        assert found.manifest == saved
        assert (found.version, found.position) == (saved.version, 12)
        np.testing.assert_array_equal(found.state["theta"], np.arange(3.0))
    assert store.list() == [saved]


def test_the_version_follows_from_the_content_alone(store: SnapshotStore, tmp_path: Path) -> None:
    other = SnapshotStore(tmp_path / "other")
    one = store.save({"x": 1}, position=3, feature_version="f", created_at=1.0, metrics={"a": 1})
    assert other.save({"x": 1}, position=3, feature_version="f", created_at=2.0).version == one.version
    assert other.save({"x": 1}, position=4, feature_version="f").version != one.version
    assert other.save({"x": 2}, position=3, feature_version="f").version != one.version
    assert other.save({"x": 1}, position=3, feature_version="g").version != one.version


def test_the_same_content_is_kept_once(store: SnapshotStore) -> None:
    first = save(store, 1)
    assert save(store, 1) == first
    assert len(store.list()) == 1


def test_latest_is_the_last_saved_whatever_the_clock_says(store: SnapshotStore) -> None:
    for created_at in (3.0, 2.0, 1.0):
        store.save({"at": created_at}, position=5, feature_version="f", created_at=created_at)
    found = store.latest()
    assert found is not None
    assert found.state == {"at": 1.0}


def test_latest_up_to_a_position(store: SnapshotStore) -> None:
    for position in (10, 20, 30):
        save(store, position)
    found = store.latest(at_most=25)
    assert found is not None
    assert found.position == 20
    assert store.latest(at_most=5) is None


def test_a_damaged_newest_is_passed_over_aloud(store: SnapshotStore, caplog: pytest.LogCaptureFixture) -> None:
    save(store, 1)
    save(store, 2)
    newest = sorted(store.directory.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    found = store.latest()
    assert found is not None
    assert found.position == 1
    assert "is damaged" in caplog.text
    with pytest.raises(SnapshotError, match="is damaged"):
        store.load(newest.name[9:21])
    again = save(store, 2)  # the same content heals it
    healed = store.latest()
    assert healed is not None
    assert healed.manifest == again


def test_nothing_readable_is_an_error_not_a_cold_start(store: SnapshotStore) -> None:
    save(store, 1)
    for file in store.directory.iterdir():
        file.write_bytes(b"ARMWISE\nrubbish")
    with pytest.raises(SnapshotError, match=r"none of the 1 snapshot\(s\)"):
        store.latest()
    assert store.list() == []


def test_unknown_and_ambiguous_versions(store: SnapshotStore) -> None:
    versions = [save(store, position).version for position in range(17)]
    with pytest.raises(SnapshotError, match="unknown snapshot 'zzz'"):
        store.load("zzz")
    digits = [version[0] for version in versions]
    shared = next(digit for digit in digits if digits.count(digit) > 1)  # 17 versions, 16 digits
    with pytest.raises(SnapshotError, match="several snapshots begin with"):
        store.load(shared)


def test_prune_keeps_the_newest_good_ones(store: SnapshotStore) -> None:
    versions = [save(store, position).version for position in range(5)]
    newest = sorted(store.directory.iterdir())[-1]
    newest.write_bytes(b"damaged")
    assert store.prune(2) == versions[:2]
    assert [item.position for item in store.list()] == [2, 3]
    assert newest.exists()
    with pytest.raises(BadInput, match="at least 1"):
        store.prune(0)


def test_prune_sweeps_up_after_the_dead(store: SnapshotStore) -> None:
    save(store, 1)
    old, new = store.directory / ".dead.tmp", store.directory / ".alive.tmp"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    store.prune(1)
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("position", [-1, 1.0, True, None])
def test_a_bad_position_is_refused(store: SnapshotStore, position: object) -> None:
    with pytest.raises(BadInput, match="position must be"):
        store.save({}, position=position, feature_version="f")  # type: ignore[arg-type]


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError, match="cannot"):
        save(SnapshotStore(tmp_path / "file" / "store"), 1)


def _save_many(directory: Path, start: int) -> None:
    for position in range(start, start + 10):
        save(SnapshotStore(directory), position)


def test_several_processes_save_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_save_many, args=(tmp_path, start)) for start in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted(item.position for item in SnapshotStore(tmp_path).list()) == [*range(10), *range(100, 110)]


def test_a_full_disk_leaves_what_was_there(store: SnapshotStore) -> None:
    save(store, 1)
    code = f"""
import resource, numpy as np
from armwise.errors import SnapshotError
from armwise.registry import SnapshotStore
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    SnapshotStore({str(store.directory)!r}).save({{"x": np.zeros(1000)}}, position=2, feature_version="f")
except SnapshotError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "cannot write the snapshot" in done.stdout
    assert "File too large" in done.stdout
    assert len(list(store.directory.iterdir())) == 1
    found = store.latest()
    assert found is not None
    assert found.position == 1


def test_a_kill_while_saving_leaves_whole_files(store: SnapshotStore) -> None:
    code = f"""
import numpy as np
from armwise.registry import SnapshotStore
store = SnapshotStore({str(store.directory)!r})
position = 0
while True:
    position += 1
    store.save({{"x": np.full(200_000, float(position))}}, position=position, feature_version="f")
    print(position, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(5)][-1]
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()
    positions = [item.position for item in store.list()]
    assert positions == list(range(1, len(positions) + 1))
    assert len(positions) >= acknowledged
    found = store.latest()
    assert found is not None
    np.testing.assert_array_equal(found.state["x"], np.full(200_000, float(found.position)))
