"""The view ``rewarded`` says what ``armwise.rewards.resolve`` says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making_events import make_decision, make_signal

from armwise.contracts import Decision, Signal
from armwise.log import DuckDBLog
from armwise.log.publish import read_published
from armwise.rewards import QUALITY_OF, resolve

KINDS = ["quality", "cost_usd", "latency_ms", "output_tokens", "error", *QUALITY_OF]


def close(one: Any, other: Any) -> bool:
    return one is other if one is None or other is None else math.isclose(one, other, rel_tol=1e-12)


def test_rewarded_agrees_with_the_learner(tmp_path: Path, rng: np.random.Generator) -> None:
    decisions = [make_decision(rng, number) for number in range(200)]
    with DuckDBLog(tmp_path / "log.duckdb") as log:
        for decision in decisions:
            log.append(decision)
        for _ in range(900):
            number = int(rng.integers(150))  # the last fifty hear nothing
            kind = KINDS[int(rng.integers(len(KINDS)))]
            value = float(rng.integers(2)) if kind == "error" else float(rng.random())
            event_id = f"e-{int(rng.integers(8))}"  # some repeat a key
            log.append(make_signal(decisions[number].id, event_id, kind, value))
        log.publish()
        with read_published(log.path) as published:
            for reading in (log, published):
                rows = {row["id"]: row for row in reading.query("SELECT * FROM rewarded").to_pylist()}
                assert len(rows) == len(decisions)
                for decision in decisions:
                    check(rows[decision.id], decision, log.signals(decision.id))
    assert sum(row["quality"] is None for row in rows.values()) >= 50
    assert sum(row["error"] for row in rows.values()) > 20


def check(row: dict[str, Any], decision: Decision, signals: list[Signal]) -> None:
    outcome = resolve(signals)
    for name in ("quality", "cost_usd", "latency_ms", "output_tokens"):
        assert close(row[name], getattr(outcome, name)), (name, row[name], outcome, signals)
    assert row["error"] == outcome.error
    assert row["signals"] == len(signals)
    assert row["quality_signals"] == sum(signal.kind == "quality" for signal in signals)
    assert row["user_signals"] == sum(signal.kind in QUALITY_OF for signal in signals)
    assert (row["last_signal_position"] is None) == (not signals)
    slot = decision.arms.index(decision.arm)
    assert row["arm"] == decision.arm
    assert row["propensity"] == decision.propensity == row["probability_of"][slot]
    assert row["predicted_quality"] == decision.predictions.quality[slot]
    assert row["predicted_cost_usd"] == decision.predictions.cost_usd[slot]
    assert row["predicted_latency_ms"] == decision.predictions.latency_ms[slot]
    assert (row["cost_weight"], row["task"]) == (decision.trade.cost_weight, decision.context.task)
    assert (row["tenant"], row["session"], row["unix_time"]) == (decision.tenant, decision.session, decision.at)
    assert dict(row["excluded"]) == decision.excluded


@pytest.mark.parametrize(
    ("signals", "quality"),
    [
        ([], None),
        ([("cost_usd", 0.1)], None),
        ([("error", 1.0)], 0.0),
        ([("error", 0.0)], None),
        ([("error", 1.0), ("error", 0.0)], None),
        ([("thumbs_up", 1.0), ("thumbs_down", 1.0)], 0.5),
        ([("rating", 0.3)], 0.3),
        ([("thumbs_up", 1.0), ("quality", 0.2), ("thumbs_up", 1.0)], 0.2),
        ([("quality", 0.2), ("quality", 0.7)], 0.7),
    ],
)
def test_the_rule(tmp_path: Path, signals: list[tuple[str, float]], quality: float | None) -> None:
    decision = make_decision(np.random.default_rng(0), 1)
    with DuckDBLog(tmp_path / "log.duckdb") as log:
        log.append(decision)
        for number, (kind, value) in enumerate(signals):
            log.append(make_signal(decision.id, str(number), kind, value))
        log.flush()
        [row] = log.query("SELECT quality FROM rewarded").to_pylist()
        assert row["quality"] == quality == resolve(log.signals(decision.id)).quality
