"""Sessions through the router: across a restart, in the log's own words, and over a whole conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from armwise import Request, Router
from armwise.features import VectorEncoder
from armwise.sessions import SessionRules
from helpers import DIMENSION, assert_same_state, contexts, models

USER = {"role": "user", "content": "Book a table."}
TOOL = {"type": "function", "function": {"name": "book", "parameters": {}}}


def new(log: Any, **settings: Any) -> Router:
    return Router(**{"models": models(), "log": log, "seed": 3, "encoder": VectorEncoder(DIMENSION), **settings})


def ask(session: str, i: int = 0, **settings: Any) -> Request:
    return Request(vector=contexts(1, i)[0], session=session, **settings)


@pytest.mark.parametrize("snapshots", [20_000, 3])
def test_a_session_survives_a_restart(tmp_path: Path, snapshots: int) -> None:
    path = tmp_path / "log.duckdb"
    with new(path, snapshot_every=snapshots) as router:
        heads = {f"s{i}": router.decide(ask(f"s{i}", i)) for i in range(8)}
        for head in heads.values():
            router.observe(head.id, quality=0.5, cost_usd=1e-4)
        state = router._decider.state()
    with new(path, seed=99) as router:
        assert_same_state(router._decider.state(), state)
        for session, head in heads.items():
            turn = router.decide(ask(session, 50))
            assert (turn.arm, turn.head, turn.propensity) == (head.arm, head.id, 1.0)


def test_the_log_credits_as_the_learner_does(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with new(path) as router:
        head, second, third = (router.decide(ask("s", i)) for i in range(3))
        alone = router.decide(ask("t"))
        router.observe(head.id, quality=1.0)
        router.signal(second.id, "judge_score", 0.2, event_id="j", source="judge:a")
        router.signal(third.id, "thumbs_down", event_id="t")
        router.signal(alone.id, "thumbs_up", event_id="t")
        sessions = router._decider.sessions.state()
        router.flush()
        rows = {row["id"]: row for row in router._log.query("SELECT * FROM rewarded").to_pylist()}  # type: ignore[attr-defined]
    credited = {head: (quality, deviation) for head, _, _, quality, deviation in sessions["credits"]}
    for decision in (head, alone):
        row = rows[decision.id]
        assert (row["quality"], row["quality_deviation"]) == pytest.approx(credited[decision.id])
    assert rows[head.id]["quality"] == pytest.approx((1.0 + 0.6 * 0.2) / (1.0 + 0.6 + 0.35))
    assert rows[second.id]["quality"] == pytest.approx(0.2)
    assert (rows[second.id]["head"], rows[second.id]["method"]) == (head.id, "session")
    assert rows[head.id]["head"] is None


def test_an_agent_without_a_session_can_be_given_one() -> None:
    later = [USER, {"role": "assistant", "content": "Where?"}, {"role": "user", "content": "Lima."}]
    with Router(models=models(), seed=0, sessions=SessionRules(infer=True)) as router:
        first = router.decide(Request(messages=[USER], tools=[TOOL]))
        assert router.decide(Request(messages=later, tools=[TOOL])).head == first.id
        assert router.decide(Request(messages=[USER])).session is None
    with Router(models=models(), seed=0) as router:
        assert router.decide(Request(messages=[USER], tools=[TOOL])).session is None
