"""Feedback at the router: taken once, taken back, refused, counted, imported; and replayed bit for bit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from armwise.contracts import Request, SourceChange
from armwise.errors import BadInput, TooManySignals, UnknownDecision
from armwise.learning.imports import FIELDS
from armwise.log import DuckDBLog
from armwise.rewards import RewardRules
from armwise.router import Router
from helpers import assert_same_state, models

LINEAR = {"name": "thompson", "engine": "linear"}


def router(**settings: Any) -> Router:
    return Router(models(), **{"policy": LINEAR, "log": ":memory:", "seed": 1, **settings})


def learned(one: Router) -> Any:
    return one._learner.state()


def test_a_retraction_undoes_a_lesson_and_may_come_first() -> None:
    with router() as one, router() as other:
        for r in (one, other):
            r.decide("warm up")
        first, second = one.decide("hello there"), one.decide("another question")
        third, fourth = other.decide("hello there"), other.decide("another question")
        assert (first.arm, second.arm) == (third.arm, fourth.arm)
        one.signal(first.id, "thumbs_up", event_id="t1")
        one.signal(second.id, "rating", 0.4, event_id="r1")
        assert one.retract(first.id, "t1")
        assert not one.retract(first.id, "t1")
        other.signal(fourth.id, "rating", 0.4, event_id="r1")
        other.retract(third.id, "t1")
        other.signal(third.id, "thumbs_up", event_id="t1")  # was taken back before it came
        for name in ("mean", "covariance"):
            left, right = (learned(r)["policy"]["state"]["model"][name] for r in (one, other))
            np.testing.assert_allclose(left, right, atol=1e-12)
        assert one.feedback.as_dict() == {
            "taken": 3,
            "retractions": 1,
            "duplicates": 1,
            "invalid": 0,
            "unknown": 0,
            "foreign": 0,
            "throttled": 0,
        }


def test_feedback_for_a_foreign_tenant_looks_unknown_and_is_counted() -> None:
    with router() as one:
        decision = one.decide(Request.from_text("hi", tenant="acme"))
        before = learned(one)
        for call in (
            lambda: one.signal(decision.id, "thumbs_up", event_id="e", tenant="rival"),
            lambda: one.observe(decision.id, quality=1.0, tenant="rival"),
            lambda: one.retract(decision.id, "e", tenant="rival"),
        ):
            with pytest.raises(UnknownDecision) as refused:
                call()
        with pytest.raises(UnknownDecision) as missing:
            one.signal("nothing", "thumbs_up", event_id="e", tenant="rival")
        assert str(refused.value).replace(decision.id, "nothing") == str(missing.value)
        assert_same_state(learned(one), before)
        assert (one.feedback.foreign, one.feedback.unknown) == (3, 1)
        assert one.signal(decision.id, "thumbs_up", event_id="e", tenant="acme")


def test_bad_signals_change_nothing_and_are_counted() -> None:
    with router() as one:
        decision = one.decide("hi")
        for kind, value in (("rating", 1.5), ("rating", float("nan")), ("smile", 1.0)):
            with pytest.raises(BadInput):
                one.signal(decision.id, kind, value, event_id="e")
        with pytest.raises(BadInput, match="quality must be between 0 and 1"):
            one.observe(decision.id, quality=7.0, cost_usd=1e-3)
        assert one.feedback.invalid == 5
        assert one.feedback.taken == 0


def test_a_flood_from_one_client_is_refused() -> None:
    with router(rewards=RewardRules(client_signals_per_minute=5)) as one:
        decision = one.decide("hi")
        for i in range(5):
            one.signal(decision.id, "thumbs_down", event_id=str(i), source="user:mallory")
        with pytest.raises(TooManySignals):
            one.signal(decision.id, "thumbs_down", event_id="more", source="user:mallory")
        one.signal(decision.id, "thumbs_up", event_id="1", source="user:alice")
        assert (one.feedback.throttled, one.feedback.taken) == (1, 6)


@pytest.mark.parametrize("policy", [LINEAR, {"name": "thompson"}], ids=["linear", "default"])
def test_sources_are_weighed_and_the_log_replays_to_the_same_state(tmp_path: Path, policy: dict[str, Any]) -> None:
    path, rng = tmp_path / "log.duckdb", np.random.default_rng(0)
    with router(log=path, policy=policy) as live:
        decisions = [live.decide(f"question {i}").id for i in range(60)]
        for i in range(400):
            decision, quality = decisions[i % 60], float(rng.random())
            live.signal(decision, "judge_score", min(quality + 0.2, 1.0), event_id=str(i), source="judge:lenient")
            live.signal(decision, "rating", quality, event_id=str(i), source="user")
            if i % 7 == 0:
                live.retract(decision, str(i - 7), source="user")
        live.change_source(SourceChange(source="user", training=False, reason="test"))
        live.signal(decisions[3], "rating", 0.5, event_id="late", source="user")
        sources = live.sources()
        assert sources["judge:lenient"].offset < -0.03
        assert not sources["user"].training
        live.flush()
        snapshot, state = live._snapshots, learned(live)
        assert snapshot is not None
    with router(log=path, policy=policy) as restored:  # from the snapshot
        assert_same_state(learned(restored), state)
        assert restored.sources() == sources
    for directory in tmp_path.glob("*.snapshots"):
        directory.rename(tmp_path / "away")
    with router(log=path, policy=policy) as replayed:  # from the log alone
        assert_same_state(learned(replayed), state)


def test_a_judge_that_compresses_is_read_wider_in_the_learner_in_sql_and_in_a_replay(tmp_path: Path) -> None:
    path, rng = tmp_path / "log.duckdb", np.random.default_rng(0)
    level = {one.name: 0.2 + 0.2 * k for k, one in enumerate(models())}
    with router(log=path, policy={"name": "uniform"}) as live:
        for i in range(300):
            decision = live.decide(f"question {i}")
            quality = float(np.clip(level[decision.arm] + 0.1 * rng.normal(), 0.0, 1.0))
            live.signal(decision.id, "judge_score", 0.3 + 0.4 * quality, event_id="1", source="judge:narrow")
            live.signal(decision.id, "judge_score", quality, event_id="1", source="judge:wide")
        sources = live.sources()
        assert sources["judge:narrow"].slope > 1.5 * sources["judge:wide"].slope
        last = live.decide("one more")
        live.signal(last.id, "judge_score", 0.4, event_id="1", source="judge:narrow")
        live.flush()
        state = learned(live)
    narrow = sources["judge:narrow"]
    with DuckDBLog(path) as log:
        [row] = log.query(f"SELECT quality FROM rewarded WHERE id = '{last.id}'").to_pylist()
    assert row["quality"] == pytest.approx(narrow.slope * 0.4 + narrow.offset)
    for directory in tmp_path.glob("*.snapshots"):
        directory.rename(tmp_path / "away")
    with router(log=path, policy={"name": "uniform"}) as replayed:
        assert_same_state(learned(replayed), state)
        assert replayed.sources() == sources


ROWS = [
    {"kind": "rating", "value": 0.75, "event_id": "a"},
    {"kind": "rating", "value": 0.75, "event_id": "a"},
    {"kind": "thumbs_up", "source": "survey", "at": 1.7e9},
    {"kind": "rating", "value": 3.0},
    {"kind": "rating", "value": "high"},
    {"kind": "smile"},
    {"decision_id": "nobody", "kind": "thumbs_up"},
    {"kind": "rating", "value": 0.75, "at": "yesterday"},
    {"kind": "retraction", "event_id": "r", "retracts": "a"},
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_bulk_import_says_what_became_of_every_row(tmp_path: Path, suffix: str) -> None:
    with router() as one:
        decision = one.decide("hi")
        rows = [{"decision_id": decision.id, **row} for row in ROWS]
        path = tmp_path / f"feedback.{suffix}"
        if suffix == "jsonl":
            broken = ['{"decision_id": ', "[1]", '{"kind": "rating"}', json.dumps({**rows[0], "stars": 5})]
            path.write_text("\n".join([*map(json.dumps, rows), "", *broken]))
        else:
            whole = [row for row in rows if not isinstance(row.get("value"), str) and row.get("at") != "yesterday"]
            columns = {name: [row.get(name) for row in whole] for name in FIELDS}
            pq.write_table(pa.table(columns), path)
        report = one.import_feedback(path)
        assert (report.taken, report.duplicate, report.unknown) == (3, 1, 1)
        assert report.invalid == (8 if suffix == "jsonl" else 2)
        assert report.rows == (13 if suffix == "jsonl" else 7)
        assert len(report.problems) == report.invalid + report.unknown
        assert any("rating must be between 0 and 1, got 3.0" in problem for problem in report.problems)
        again = one.import_feedback(path)
        assert (again.taken, again.duplicate) == (0, 4)  # a second import takes nothing twice
        outcome = one._learner.case(decision.id, one._log.position + 1)[1]
        assert {signal.source for signal in outcome} == {"import", "survey"}


def test_files_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_text("no")
    (tmp_path / "a.csv").write_text("x")
    with router() as one:
        for name, says in (
            ("none.jsonl", "there is no file"),
            ("a.csv", "got '.csv'"),
            ("broken.parquet", "not a Par"),
        ):
            with pytest.raises(BadInput, match=says):
                one.import_feedback(tmp_path / name)


def test_times_are_unix_seconds_or_have_a_zone_and_are_not_of_the_future(tmp_path: Path) -> None:
    moment = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    with router() as one:
        decision = one.decide("hello").id
        given = [
            moment.timestamp(),
            moment.isoformat(),
            moment,
            "2025-01-02T03:04:05",
            "soon",
            1.7e12,
            -1.0,
            True,
            1e300,
        ]
        rows = [{"decision_id": decision, "kind": "copy", "event_id": str(i), "at": at} for i, at in enumerate(given)]
        report = one.import_feedback(rows)
        assert (report.taken, report.invalid) == (3, 6)
        assert "row 6: at must be a time with its zone, or Unix time in seconds, at most a day" in report.problems[2]
        assert {signal.at for signal in one._learner.case(decision, one._log.position + 1)[1]} == {moment.timestamp()}
        columns = {"decision_id": [decision], "kind": ["copy"], "at": pa.array([moment])}
        pq.write_table(pa.table(columns), tmp_path / "times.parquet")
        assert one.import_feedback(tmp_path / "times.parquet").taken == 1


def test_a_row_without_its_grade_is_left_out(tmp_path: Path) -> None:
    with router() as one:
        decision = one.decide("hello")
        rows = [
            {"decision_id": decision.id, "kind": "quality", "value": None},
            {"decision_id": decision.id, "kind": "rating"},
            {"decision_id": decision.id, "kind": "thumbs_up", "value": None},
        ]
        report = one.import_feedback(rows)
        assert (report.taken, report.invalid) == (1, 2)
        assert "value is missing: a signal of kind 'quality' needs a number" in report.problems[0]
        with pytest.raises(BadInput, match="value is missing"):
            one.signal(decision.id, "quality", event_id="e1")
        assert one.feedback.invalid >= 1
