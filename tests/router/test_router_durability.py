"""The log is the source of truth: restarts, kills and bad disks."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import service
from armwise import Objective, Request, Router
from armwise.contracts import PoolChange
from armwise.errors import LogError, SnapshotError
from armwise.features import VectorEncoder
from armwise.log import MemoryLog
from helpers import DIMENSION, assert_same_state, contexts, models
from service import make, rounds

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["service", "armwise.log.duckdb"])


def state(router: Router) -> Any:
    return router._decider.state()


def reference(events: list[Any], **settings: Any) -> Any:
    """State of a router that is fed these events from the very beginning, with no snapshot and no disk."""
    log = MemoryLog()
    for event in events:
        log.append(event)
    with make(log, models=(), **settings) as router:
        return state(router)


def forget_snapshots(path: Path) -> None:
    for folder in path.parent.glob(f"{path.name}*snapshots*"):
        shutil.rmtree(folder)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "armwise.duckdb"


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Any]]:
    """Starts a function of ``service`` in a process, and kills it in the end."""
    running = []

    def run(work: Callable[..., None], *args: Any) -> tuple[Any, Any]:
        ours, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=work, args=(str(path), *args, theirs), daemon=True)
        process.start()
        theirs.close()
        running.append(process)
        return process, ours

    yield run
    for process in running:
        process.kill()
        process.join()


@pytest.mark.parametrize("snapshots", ["kept", "lost"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"policy": {"name": "squarecb", "engine": "linear", "model": {"forgetting": 0.99}}},
        {"objective": Objective.min_cost(reference="large")},
        {"objective": Objective.max_quality(spend_usd_per_day=2.0), "policy": "epsilon"},
    ],
    ids=["thompson", "squarecb", "min_cost", "per_day"],
)
def test_a_restart_is_as_if_it_had_never_died(path: Path, snapshots: str, settings: dict[str, Any]) -> None:
    for seed in range(3):
        with make(path, **settings) as router:
            rounds(router, seed, 40)
            live = state(router)
        if snapshots == "lost":
            forget_snapshots(path)
        with make(path, models=(), **settings) as router:
            assert_same_state(state(router), live)
            assert_same_state(reference([event for _, event in router._log.events()], **settings), live)


def test_a_snapshot_that_is_behind_is_caught_up(path: Path) -> None:
    with make(path, snapshot_every=10**9) as router:
        rounds(router, 1, 30)
        assert router.snapshot() is not None
        rounds(router, 2, 30)
        router.flush()
        live = state(router)
        router._snapshots = None  # none at the end
    with make(path, models=()) as router:
        assert_same_state(state(router), live)


def test_feedback_after_a_restart_reaches_the_decision_of_before(path: Path) -> None:
    with make(path) as router:
        decision = router.decide(Request(vector=contexts(1, 1)[0]))
        router.observe(decision.id, cost_usd=1e-3)
    with make(path) as router:
        assert not router.observe(decision.id, cost_usd=1e-3)
        assert router.observe(decision.id, quality=0.5)
        assert router.explain(decision.id) == decision.explain()
        assert state(router)["policy"]["state"]["model"]["lessons"] == 1


@pytest.mark.parametrize("snapshots", ["kept", "lost"])
def test_a_changed_encoder_is_refused(path: Path, snapshots: str) -> None:
    with make(path) as router:
        rounds(router, 1, 10)
    if snapshots == "lost":
        forget_snapshots(path)
    for other in (VectorEncoder(DIMENSION, label="other"), VectorEncoder(DIMENSION + 1)):
        with pytest.raises(SnapshotError, match="of features 'vector-4', the encoder now gives 'vector-") as caught:
            make(path, encoder=other)
        assert "restore the former feature settings, or start with a new log" in str(caught.value)
    make(path).close()  # and the log is free again


@pytest.mark.parametrize("policy", ["squarecb", {"name": "thompson", "engine": "linear"}])
def test_a_changed_policy_is_rebuilt_from_the_log(path: Path, policy: Any) -> None:
    with make(path) as router:
        rounds(router, 1, 60)
    with make(path, policy=policy) as router:
        events = [event for _, event in router._log.events()]
        assert_same_state(state(router), reference(events, policy=policy))
        assert state(router)["policy"]["state"]["model"]["lessons"] > 10


def test_a_changed_pool_is_reconciled_at_the_start(path: Path) -> None:
    with make(path) as router:
        rounds(router, 1, 10)
        everything = router.pool()
    with make(path, models=[everything[0].models[0], everything[2].models[0]]) as router:
        assert router.arms == ("small", "large")
    with make(path, models=()) as router:
        assert router.arms == ("small", "large")


@pytest.mark.parametrize("snapshots", ["kept", "lost"])
def test_a_disabled_arm_stays_disabled_whatever_ends_the_process(
    path: Path, start: Callable[..., Any], snapshots: str
) -> None:
    process, out = start(service.disable)
    disabled, before = out.recv()
    process.kill()
    process.join()
    if snapshots == "lost":
        forget_snapshots(path)
    assert disabled == ["large"]
    with make(path) as router:  # replayed from the log
        assert router.disabled == {"large"}
        assert_same_state(router._learner.state(), before)
        decision = router.decide(Request(vector=np.ones(DIMENSION), input_tokens=10))
        assert decision.excluded["large"] == "disabled"
        changes = [event for _, event in router._log.events() if isinstance(event, PoolChange)]
        assert [(c.action, c.arm.name, c.by) for c in changes if c.action in ("disable", "enable")] == [
            ("disable", "large", "admin 1"),
            ("disable", "small", ""),
            ("enable", "small", "admin 2"),
        ]
    if snapshots == "lost":
        forget_snapshots(path)
    dearer = [replace(one, input_usd_per_mtok=9.0) if one.name == "large" else one for one in models()]
    with make(path, models=dearer) as router:  # from the snapshot of the close; new particulars are no reason
        assert router.disabled == {"large"}
        assert router.arm("large").models[0].input_usd_per_mtok == 9.0
    others = [one for one in models() if one.name != "large"]
    with make(path, models=others) as router:  # the configuration took it out ...
        assert not router.disabled
    with make(path) as router:  # ... and brought it back since: that is its latest word
        assert not router.disabled
        assert "large" in router.decide(Request(vector=np.ones(DIMENSION), input_tokens=10)).arms


def test_nothing_acknowledged_is_lost_by_twenty_kills(path: Path, start: Callable[..., Any]) -> None:
    chance = random.Random(20)
    acknowledged: dict[str, int] = {}
    for kill in range(20):
        process, out = start(service.serve, kill)
        out.recv()  # it is up
        for _ in range(chance.randrange(3)):
            acknowledged.update(out.recv())
        out.poll(chance.random() * 0.03)
        process.kill()
        process.join()
        try:
            while out.poll():
                acknowledged.update(out.recv())
        except (EOFError, OSError):
            pass  # what it was saying when it died
    with make(path) as router:
        for decision_id, signals in acknowledged.items():
            assert router._log.decision(decision_id) is not None, decision_id
            assert len(router._log.signals(decision_id)) >= signals, decision_id
        events = [event for _, event in router._log.events()]
        assert_same_state(state(router), reference(events))
        assert router.decide(Request(vector=contexts(1, 1)[0])).arm in router.arms
    assert len(acknowledged) > 100


def test_a_log_that_another_process_holds_is_refused_and_free_when_it_dies(
    path: Path, start: Callable[..., Any]
) -> None:
    process, out = start(service.hold)
    out.recv()
    with pytest.raises(LogError, match=str(path)):
        make(path)
    process.kill()
    process.join()
    with make(path) as router:
        assert router._decider.decisions == 1


def test_a_log_where_nothing_can_be_written_is_refused(path: Path) -> None:
    path.write_text("this is no database, and no folder")
    for bad in (path, path / "below.duckdb"):
        with pytest.raises(LogError):
            make(bad)
    assert path.read_text() == "this is no database, and no folder"


def test_a_full_disk_stops_no_decision_and_loses_nothing_once_there_is_space(
    path: Path, start: Callable[..., Any]
) -> None:
    process, out = start(service.starve)
    decided, refusal = out.recv()
    process.join(20)
    assert decided == 40
    assert refusal.startswith("LogError")
    with make(path) as router:
        assert router._decider.decisions == 60
        assert_same_state(state(router), reference([event for _, event in router._log.events()]))
