"""Old decisions leave the log; what they taught stays, bit for bit; and the files become small again."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from armwise import Request, Router
from armwise.errors import BadInput, LogError, UnknownDecision
from armwise.features import VectorEncoder
from armwise.log import open_reader
from armwise.log.compact import compact
from armwise.registry import codec
from helpers import DIMENSION, contexts, models


def make(path: Path, **settings: object) -> Router:
    return Router(**{"models": models(), "log": path, "seed": 1, "encoder": VectorEncoder(DIMENSION), **settings})


def serve(router: Router, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    made = []
    for x in contexts(count, seed):
        decision = router.decide(Request(vector=x, input_tokens=100))
        router.observe(decision.id, quality=float(rng.random()), cost_usd=1e-3)
        made.append(decision.id)
    return made


def learned(router: Router) -> str:
    return codec.content_hash(router._learner.state(), {})


def rows(router: Router) -> int:
    return int(router._log.query("SELECT count(*) AS n FROM decisions").to_pylist()[0]["n"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.duckdb"


def test_what_was_learned_stays_and_late_feedback_is_refused_alike_with_and_without_a_restart(path: Path) -> None:
    with make(path) as router:
        old = serve(router, 60, 1)
        time.sleep(0.3)
        boundary = time.time()
        time.sleep(0.3)
        new = serve(router, 40, 2)
        before = learned(router)
        assert router.prune(time.time() - boundary) == 60
        assert rows(router) == 40
        assert learned(router) == before
        with pytest.raises(UnknownDecision, match=old[0]):
            router.observe(old[0], quality=0.1, event_id="late")
        assert router.observe(new[0], quality=0.1, event_id="late")
        serve(router, 10, 3)
        after = learned(router)
    with make(path) as again:
        assert learned(again) == after
        with pytest.raises(UnknownDecision):
            again.observe(old[0], quality=0.1, event_id="late")
        [gap] = again._log.gaps()
        assert gap.reason == "pruned"
    with open_reader(path) as reader:
        assert len(list(reader.events())) == 40 * 3 + 1 + 10 * 3 + 3  # the pool's three arms stay


def test_a_killed_service_comes_back_to_the_state_it_had_after_pruning(path: Path) -> None:
    router = make(path)
    serve(router, 50, 1)
    router.prune(0.0)
    serve(router, 30, 2)
    router.flush()
    state = learned(router)
    router._log.close()  # as a kill: no snapshot is saved at the end
    with make(path) as again:
        assert learned(again) == state


def test_another_policy_learns_from_what_is_left_and_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with make(path) as router:
        serve(router, 30, 1)
        router.prune(0.0)
        serve(router, 20, 2)
    with caplog.at_level(logging.WARNING), make(path, policy="epsilon") as other:
        assert other._decider.policy.model.lessons == 20
    assert "learns anew from the decisions that are left" in caplog.text


def test_published_stretches_go_too_and_publishing_goes_on(path: Path) -> None:
    with make(path, publish_every_s=None) as router:
        serve(router, 20, 1)
        router._log.publish()
        router.prune(0.0)
        kept = serve(router, 5, 2)
        router._log.publish()
        with open_reader(path.with_name(path.name + ".parquet")) as reader:
            assert reader.query("SELECT id FROM decisions ORDER BY position").column(0).to_pylist() == kept
            assert reader.decision(kept[0]) is not None


def test_a_router_prunes_by_itself(path: Path) -> None:
    with make(path) as router:
        serve(router, 20, 1)
    time.sleep(0.05)
    with make(path, keep_days=0.02 / 86_400) as router:
        for _ in range(200):
            if rows(router) == 0:
                break
            time.sleep(0.05)
        assert rows(router) == 0


def test_compacting_frees_the_disk_and_changes_no_answer(path: Path) -> None:
    with make(path, publish_every_s=None) as router:
        serve(router, 3_000, 0)  # DuckDB's blocks are large: fewer rows leave nothing to free
        router.prune(0.0)
        serve(router, 10, 9)
        for turn in range(3):
            serve(router, 10, 10 + turn)
            router._log.publish()
        state = learned(router)
    question = "SELECT id, arm, quality, cost_usd, position FROM rewarded ORDER BY position"
    with open_reader(path) as reader:
        answer = reader.query(question)
    done = compact(path)
    assert done.bytes_after < done.bytes_before
    assert (done.files_before, done.files_after) == (3, 1)
    for place in (path, path.with_name(path.name + ".parquet")):
        with open_reader(place) as reader:
            assert reader.query(question).equals(answer)
    with make(path) as again:
        assert learned(again) == state


def test_a_log_in_use_is_not_compacted(path: Path) -> None:
    with make(path) as router:
        serve(router, 3, 1)
        router.flush()
        with pytest.raises(LogError, match="open in this process already"):
            compact(path)
        assert rows(router) == 3


@pytest.mark.parametrize("keep_s", [-1.0, float("nan")])
def test_a_wrong_age_is_refused(path: Path, keep_s: float) -> None:
    with make(path) as router, pytest.raises(BadInput, match="keep_s"):
        router.prune(keep_s)


def test_only_a_file_can_be_pruned() -> None:
    with Router(models(), encoder=VectorEncoder(DIMENSION)) as router, pytest.raises(BadInput, match="in a file"):
        router.prune(0.0)


def test_a_log_that_is_no_file_has_nothing_to_prune_by_itself() -> None:
    with Router(models(), encoder=VectorEncoder(DIMENSION), keep_days=1.0) as router:
        assert router._retention is None
