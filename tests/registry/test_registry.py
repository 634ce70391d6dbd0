"""The registry: who promotes what, two at once, damage, and bad disks."""

from __future__ import annotations

import json
import multiprocessing
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from armwise.contracts import RolloutChange
from armwise.errors import ArmwiseError, BadInput, SnapshotError
from armwise.registry import Registry, registry_directory
from armwise.registry.differences import differences
from helpers import decider, play

PROCESSES = multiprocessing.get_context("forkserver")


def put(registry: Registry, seed: int = 0, count: int = 40) -> str:
    """A trained policy in the registry; its version."""
    one = decider({"name": "squarecb"})
    play(one, count=count, seed=seed)
    return registry.snapshots.save(
        one.state(), position=count, feature_version=one.feature_version, policy={"name": "squarecb"}
    ).version


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.of(tmp_path / "armwise.duckdb")


def test_it_stands_beside_the_log(tmp_path: Path) -> None:
    assert registry_directory(tmp_path / "a.duckdb") == tmp_path / "a.duckdb.models"


def test_what_serves_is_what_the_history_says(registry: Registry) -> None:
    assert registry.standing() == ("initial", (), None)
    first, second = put(registry, 1), put(registry, 2)
    registry.promote(first, by="ada", reason="better")
    registry.promote(second, stage="canary", share=0.1, by="cron")
    now = registry.standing()
    assert (now.serving, now.trial and now.trial.version) == (first, second)
    registry.promote(second)
    assert registry.standing() == (second, ("initial", first), None)
    assert [(change.sequence, change.by) for change in registry.history.after(0)] == [(1, "ada"), (2, "cron"), (3, "")]


def test_rollback_takes_the_trial_off_and_then_goes_back_step_by_step(registry: Registry) -> None:
    first, second = put(registry, 1), put(registry, 2)
    registry.promote(first)
    registry.promote(second, stage="shadow")
    assert registry.rollback().stage == "stop"
    assert registry.standing().trial is None
    registry.promote(second)
    assert registry.rollback().version == first
    assert registry.rollback().version == "initial"
    with pytest.raises(BadInput, match="nothing to go back to"):
        registry.rollback()


def test_a_policy_comes_back_as_it_was(registry: Registry) -> None:
    one = decider({"name": "squarecb"})
    play(one)
    version = put(registry)
    trained = registry.fetch(version[:6])
    assert trained.version == version
    assert list(trained.arms) == ["small", "middle", "large", "newcomer"]
    assert dict(trained.policy.spec) == dict(one.policy.spec)


def test_of_two_promoters_at_once_one_is_told(registry: Registry) -> None:
    versions = [put(registry, seed) for seed in range(4)]
    seen = registry.history.last

    def promote(version: str) -> object:
        try:
            return registry.promote(version, seen=seen)
        except ArmwiseError as error:
            return error

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(promote, versions))
    won = [result for result in results if isinstance(result, RolloutChange)]
    lost = [result for result in results if isinstance(result, SnapshotError)]
    assert (len(won), len(lost)) == (1, 3)
    assert all("published by another meanwhile" in str(error) for error in lost)
    assert registry.history.last == 1
    assert not list(registry.directory.glob("changes/.*"))


def test_a_snapshot_with_a_wrong_checksum_is_not_promoted(registry: Registry) -> None:
    version = put(registry)
    [file] = registry.snapshots.directory.glob("*.snapshot")
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)
    with pytest.raises(SnapshotError, match="damaged"):
        registry.promote(version)
    assert registry.history.last == 0


def test_a_snapshot_from_a_newer_armwise_says_so(registry: Registry) -> None:
    version = put(registry)
    [file] = registry.snapshots.directory.glob("*.snapshot")
    data = bytearray(file.read_bytes())
    data[8] = 9
    file.write_bytes(data)
    with pytest.raises(SnapshotError, match="newer one; upgrade armwise"):
        registry.promote(version)


def test_a_snapshot_of_an_unknown_policy_says_so(registry: Registry) -> None:
    one = decider()
    version = registry.snapshots.save(
        one.state(), position=0, feature_version="vector-4", policy={"name": "of the future"}
    ).version
    with pytest.raises(SnapshotError, match=r"cannot be built: unknown policy 'of the future'"):
        registry.promote(version)


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    version = put(registry)
    (registry.directory / "changes").write_text("in the way")
    with pytest.raises(SnapshotError, match="registry's history"):
        registry.promote(version)
    assert registry.fetch(version).version == version


def test_a_damaged_change_is_named(registry: Registry) -> None:
    registry.promote(put(registry))
    [file] = registry.directory.glob("changes/*.json")
    record = json.loads(file.read_text())
    record["change"]["stage"] = "stop"
    file.write_text(json.dumps(record))
    with pytest.raises(SnapshotError, match=r"00000001.json.*checksum is wrong"):
        registry.standing()
    file.write_text("{")
    with pytest.raises(SnapshotError, match=r"00000001.json"):
        registry.standing()


def test_a_change_of_an_unknown_stage_asks_for_an_upgrade(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    change = RolloutChange(stage="stop", version="x")
    object.__setattr__(change, "stage", "teleport")
    monkeypatch.setattr("armwise.registry.history.replace", lambda made, **_: made)
    registry.history.append(change)
    with pytest.raises(SnapshotError, match=r"of another armwise.*upgrade"):
        registry.standing()


def test_times_of_changes_need_not_be_in_order(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = put(registry, 1), put(registry, 2)
    monkeypatch.setattr("time.time", lambda: 2e9)
    registry.promote(first)
    monkeypatch.setattr("time.time", lambda: 1e9)
    registry.promote(second)
    assert registry.standing().serving == second


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"stage": "canary"}, "share of 0"),
        ({"stage": "canary", "share": 1.0}, "share of 1"),
        ({"stage": "full", "share": 0.5}, "share of 0.5"),
        ({"stage": "half"}, "must be one of apprentice, shadow"),
        ({"stage": "canary", "share": float("nan")}, "must be finite"),
    ],
)
def test_terms_that_do_not_go_together(registry: Registry, terms: dict[str, object], message: str) -> None:
    version = put(registry)
    with pytest.raises(BadInput, match=message):
        registry.promote(version, **terms)  # type: ignore[arg-type]  # wrong on purpose
    assert registry.history.last == 0


def test_what_serves_and_what_served_last_is_never_unused(registry: Registry) -> None:
    versions = [put(registry, seed) for seed in range(5)]
    registry.promote(versions[0])
    registry.promote(versions[1])
    registry.promote(versions[2], stage="shadow")
    assert registry.unused(keep=1) == [versions[3]]
    assert registry.unused(keep=9) == []
    assert registry.snapshots.delete([versions[3]]) == [versions[3]]


def test_two_snapshots_are_compared(registry: Registry) -> None:
    load = registry.snapshots.load
    first, second = put(registry, 1), put(registry, 2)
    found = differences(load(first), load(second))
    assert set(found["manifest"]) >= {"version"}
    assert found["state"]["policy.state.model.mean"] > 0
    assert differences(load(first), load(first)) == {"manifest": {}, "state": {}}


def _starve(directory: Path, version: str, out: Connection) -> None:
    """Promote on a disk that takes nothing more, and then on one that does; sends what happened."""
    registry = Registry(directory)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # no file may grow: what a full disk looks like
    said = []
    for attempt in (lambda: registry.promote(version), lambda: put(registry, seed=9)):
        try:
            attempt()
        except SnapshotError as error:
            said.append(str(error))
    left = [file.name for file in directory.rglob(".*.tmp")]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    out.send((said, left, registry.history.last, registry.promote(version).sequence))


def test_on_a_full_disk_nothing_is_promoted_and_nothing_is_lost(registry: Registry) -> None:
    version = put(registry)
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_starve, args=(registry.directory, version, theirs))
    process.start()
    (promoting, saving), left, last, after = ours.recv()
    process.join()
    assert "nothing is changed" in promoting
    assert "what was there before is untouched" in saving
    assert (left, last, after) == ([], 0, 1)
