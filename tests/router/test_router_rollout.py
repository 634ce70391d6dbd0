"""A serving router follows its registry: swaps under load, rollback, restarts, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from armwise import Request, Router
from armwise.contracts import Decision, Experience, RolloutChange
from armwise.errors import BadInput, LogError, SnapshotError
from armwise.log import MemoryLog
from armwise.registry import Registry
from helpers import assert_same_state, contexts, decider
from service import make, rounds

SQUARE = {"name": "squarecb", "engine": "linear"}


def put(registry: Registry, settings: dict[str, Any] | None = None, seed: int = 0) -> str:
    """A policy trained elsewhere on the pool of the tests; its version."""
    one = decider(settings or SQUARE)
    for i, x in enumerate(contexts(20, seed)):
        one.policy.learn(Experience(x, i % 3, i % 2))
    return registry.snapshots.save(
        one.state(), position=20, feature_version=one.feature_version, policy=settings or SQUARE
    ).version


def soon(true: Any, within_s: float = 5.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "armwise.duckdb"


@pytest.fixture
def router(path: Path) -> Iterator[Router]:
    with make(path, policy="thompson") as made:
        yield made


def ask(router: Router, seed: int = 0) -> Decision:
    return router.decide(Request(vector=contexts(1, seed)[0]))


def test_another_process_promotes_and_the_service_follows_and_learns_on(router: Router, path: Path) -> None:
    rounds(router, 1, 20)
    version = put(Registry.of(path))
    run = [sys.executable, "-m", "armwise", "models"]
    promote = [*run, "promote", version[:8], "--log", str(path), "--by", "ada", "--json"]
    done = subprocess.run(promote, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["sequence"] == 1
    soon(lambda: router.rollout()["serving"] == version)
    assert ask(router).policy_version == version
    before = router._decider.policy.state()["model"]["lessons"]
    rounds(router, 2, 20)
    assert router._decider.policy.state()["model"]["lessons"] > before
    subprocess.run([*run, "rollback", "--log", str(path)], capture_output=True, check=True)
    soon(lambda: router.rollout()["serving"] == router.rollout()["initial"])
    assert ask(router).policy_version.startswith("thompson-")


def test_the_log_says_what_every_policy_was_that_its_decisions_name(router: Router, path: Path) -> None:
    ask(router)
    canary = put(router.registry)
    router.promote(canary, stage="canary", share=0.5)
    ask(router)
    served = put(router.registry, {"name": "epsilon"}, seed=1)
    router.promote(served)
    ask(router)
    router.flush()
    named = {
        row["version"]
        for row in router._log.query("SELECT DISTINCT policy_version AS version FROM decisions").to_pylist()
    }
    rows = router._log.query("SELECT version, feature_version, spec FROM policy_versions").to_pylist()
    told = {row["version"]: json.loads(row["spec"])["name"] for row in rows}
    assert len(named) == 2  # a canary's decisions are drawn from the mixture, and name what serves
    assert set(named) <= set(told)
    assert (told[canary], told[served]) == ("squarecb", "epsilon")
    assert "thompson" in told.values()
    assert {row["feature_version"] for row in rows} == {router.encoder.version}


def test_decisions_go_on_while_policies_are_swapped(router: Router, path: Path) -> None:
    registry = Registry.of(path)
    versions = [put(registry, seed=seed) for seed in range(3)]
    failures: list[BaseException] = []
    seen: list[str] = []
    stop = threading.Event()

    def load(seed: int) -> None:
        try:
            while not stop.is_set():
                decision = ask(router, seed)
                router.observe(decision.id, quality=0.5)
                seen.append(decision.policy_version)
        except Exception as error:  # noqa: BLE001  # whatever it is, the test fails
            failures.append(error)

    threads = [threading.Thread(target=load, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for version in [*versions, versions[0]]:
        registry.promote(version)
        soon(lambda version=version: router.rollout()["serving"] == version and seen[-1:] == [version])
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(versions) <= set(seen)


def test_a_restart_serves_what_was_promoted_with_or_without_a_snapshot(path: Path) -> None:
    with make(path, policy="thompson") as router:
        rounds(router, 1, 20)
        version = put(router.registry)  # type: ignore[arg-type]  # it has one
        router.promote(version, stage="canary", share=0.3)
        rounds(router, 2, 20)
        router.promote(version)
        rounds(router, 3, 20)
        state = router._learner.state()
    with make(path, policy="thompson") as router:
        assert_same_state(router._learner.state(), state)
    for file in Path(f"{path}.snapshots").iterdir():
        file.unlink()
    with make(path, policy="thompson") as router:
        assert_same_state(router._learner.state(), state)
        assert router.rollout()["serving"] == version


def test_what_was_promoted_while_the_service_was_down_is_followed_at_the_start(path: Path) -> None:
    with make(path, policy="thompson") as router:
        rounds(router, 1, 10)
    registry = Registry.of(path)
    version = put(registry)
    registry.promote(version)
    with make(path, policy="thompson") as router:
        assert ask(router).policy_version == version
        assert router.rollout()["change"] == 1


def test_a_log_whose_registry_is_gone_says_what_to_do(path: Path) -> None:
    with make(path, policy="thompson") as router:
        router.promote(put(router.registry))  # type: ignore[arg-type]  # it has one
    Path(f"{path}.models").rename(f"{path}.elsewhere")
    for file in Path(f"{path}.snapshots").iterdir():
        file.unlink()
    with pytest.raises(SnapshotError, match="unknown snapshot"):
        make(path, policy="thompson")
    with make(path, policy="thompson", registry=f"{path}.elsewhere") as router:
        assert ask(router).policy_version == router.rollout()["serving"] != router.rollout()["initial"]


def test_a_damaged_snapshot_is_not_served_and_the_next_change_is_followed(router: Router, path: Path) -> None:
    registry = Registry.of(path)
    bad, good = put(registry, seed=1), put(registry, seed=2)
    [file] = [file for file in registry.snapshots.directory.iterdir() if bad in file.name]
    data = file.read_bytes()
    file.write_bytes(data[:-100])
    registry.history.append(RolloutChange(stage="full", version=bad))
    soon(lambda: router.rollout()["error"])
    assert "damaged" in router.rollout()["error"]
    assert ask(router).policy_version.startswith("thompson-")
    registry.promote(good)
    soon(lambda: router.rollout()["serving"] == good)
    assert router.rollout()["error"] is None


def test_a_snapshot_of_other_arms_is_refused_before_it_is_published(router: Router) -> None:
    registry = router.registry
    assert registry is not None
    one = decider(SQUARE)
    one.feature_version = "other"
    version = registry.snapshots.save(one.state(), position=0, feature_version="other", policy=SQUARE).version
    with pytest.raises(SnapshotError, match="learned from features"):
        router.promote(version)
    assert registry.history.last == 0


def test_a_canary_that_does_harm_is_taken_off_in_the_registry_too(path: Path) -> None:
    with make(path, policy={"name": "fixed", "arm": "large"}) as router:
        registry = router.registry
        assert registry is not None
        version = put(registry, {"name": "fixed", "arm": "small"})
        router.promote(version, stage="canary", share=0.5, level=0.8)
        for i in range(400):
            decision = ask(router, i)
            router.observe(decision.id, quality=1.0 if decision.arm == "large" else 0.0, cost_usd=0.0)
            if router.rollout()["trial"] is None:
                break
        assert router.rollout()["trial"] is None
        soon(lambda: registry.history.last == 2)
        assert registry.history.read(2).by == "armwise"
        assert registry.standing().trial is None


def test_a_new_installation_may_start_as_an_apprentice(path: Path) -> None:
    rule = {"": "large"}
    with make(path, policy="thompson", apprentice=rule, apprentice_share=0.2) as router:
        assert ask(router).probabilities["large"] >= 0.8
        rounds(router, 1, 10)
    with make(path, policy="thompson", apprentice=rule, apprentice_share=0.2) as router:
        assert router.rollout()["trial"]["stage"] == "apprentice"
        assert router.registry is not None
        assert router.registry.history.last == 1
        router.promote("initial")
        assert ask(router).beside is None
    with make(path, policy="thompson", apprentice=rule) as router:
        assert router.rollout()["trial"] is None


def test_an_apprentice_needs_no_disk() -> None:
    with make(MemoryLog(), apprentice={"": "large"}) as router:
        assert ask(router).probabilities["large"] == 1.0
        with pytest.raises(BadInput, match="has no registry"):
            router.promote("x")


def test_a_rule_of_an_unknown_arm_is_refused(path: Path) -> None:
    with pytest.raises(BadInput, match="the rule names huge"):
        make(path, apprentice={"": "huge"})
    with make(path):
        pass  # the log was let go


def test_the_log_keeps_what_the_candidate_would_have_done(path: Path) -> None:
    with make(path, policy="thompson") as router:
        router.promote(put(router.registry), stage="shadow")  # type: ignore[arg-type]  # it has one
        rounds(router, 1, 30)
        router.flush()
        [row] = router._log.query(  # type: ignore[attr-defined]  # a DuckDB log
            "SELECT count(*) AS n, min(list_sum(candidate_probability_of)) AS low FROM decisions "
            "WHERE candidate IS NOT NULL"
        ).to_pylist()
        assert row["n"] == 30
        assert row["low"] == pytest.approx(1.0)


def test_two_services_cannot_share_a_log_but_one_registry_may_be_shared(path: Path, tmp_path: Path) -> None:
    with make(path, policy="thompson") as one:
        with pytest.raises(LogError):
            make(path)
        registry = one.registry
        assert registry is not None
        with make(tmp_path / "other.duckdb", policy="thompson", registry=registry) as other:
            version = put(registry)
            one.promote(version)
            soon(lambda: other.rollout()["serving"] == version)
