"""The view ``rewarded`` says what ``armwise.rewards.resolve`` says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making_events import make_decision, make_draw, make_retraction, make_signal, make_source_change

from armwise.contracts import Decision, Signal, SourceChange
from armwise.log import DuckDBLog
from armwise.log.publish import read_published
from armwise.rewards import KINDS, NOT_OF_USERS, RULES, Standing, opinions, resolve, without_retracted

MEASURED = ["cost_usd", "latency_ms", "output_tokens", "judge_cost_usd"]
NAMES = [*MEASURED, *KINDS, "quality", "judge_score", "thumbs_up", "thumbs_down"]
SOURCES = ["app", "user", "judge:a", "judge:b"]
START = 1.7e9


def close(one: Any, other: Any) -> bool:
    return one is other if one is None or other is None else math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-15)


def random_signal(rng: np.random.Generator, decision: Decision) -> Signal:
    event_id, source = f"e-{int(rng.integers(8))}", SOURCES[int(rng.integers(4))]
    if rng.random() < 0.15:
        return make_retraction(decision.id, event_id, f"r-{event_id}", source)
    kind = NAMES[int(rng.integers(len(NAMES)))]
    value = float(rng.integers(2)) if kind == "error" else float(rng.random())
    at = START + float(rng.integers(0, 20 * 86_400))
    return Signal(decision_id=decision.id, kind=kind, value=value, source=source, event_id=event_id, at=at)


def random_change(rng: np.random.Generator) -> SourceChange:
    return make_source_change(
        SOURCES[int(rng.integers(1, 4))],
        START + float(rng.integers(10)) * 86_400,
        offset=float(rng.normal(0, 0.2)),
        slope=float(rng.uniform(0.5, 1.5)),
        noise=None if rng.random() < 0.3 else float(rng.choice([0.0, 0.1, 0.4])),
        weight=float(rng.choice([0.0, 0.5, 1.0])),
        training=bool(rng.random() < 0.8),
    )


@pytest.mark.parametrize("seed", range(3))
def test_rewarded_agrees_with_the_learner_on_random_streams(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decisions = [make_decision(rng, number) for number in range(200)]
    changes: list[SourceChange] = []
    drawn: dict[str, float] = {}
    with DuckDBLog(tmp_path / "log.duckdb") as log:
        for decision in decisions:
            log.append(decision)
            if rng.random() < 0.5:
                drawn[decision.id] = float(rng.random())
                log.append(make_draw(decision.id, drawn[decision.id]))
        for _ in range(1_500):
            if rng.random() < 0.02:
                changes.append(random_change(rng))
                log.append(changes[-1])
            log.append(random_signal(rng, decisions[int(rng.integers(150))]))  # the last fifty hear nothing
        log.publish()
        standing = Standing(changes)
        with read_published(log.path) as published:
            for reading in (log, published):
                rows = {row["id"]: row for row in reading.query("SELECT * FROM rewarded").to_pylist()}
                assert len(rows) == len(decisions)
                for decision in decisions:
                    check(rows[decision.id], decision, log.signals(decision.id), standing, drawn.get(decision.id))
    assert sum(row["quality"] is None for row in rows.values()) >= 50
    assert sum(row["error"] for row in rows.values()) > 10
    assert sum(row["judging_probability"] is not None for row in rows.values()) > 25
    assert sum(row["corrected_late"] for row in rows.values()) > 25


def check(
    row: dict[str, Any], decision: Decision, signals: list[Signal], standing: Standing, probability: float | None
) -> None:
    outcome = resolve(signals, RULES, standing)
    for name in ("quality", "cost_usd", "latency_ms", "output_tokens", "judging_usd"):
        assert close(row[name], getattr(outcome, name)), (name, row[name], outcome, signals)
    assert close(row["quality_deviation"], None if outcome.quality is None else outcome.deviation)
    assert row["error"] == outcome.error
    kept = without_retracted(signals)
    assert row["signals"] == len(kept)
    assert row["quality_signals"] == sum(signal.kind == "quality" for signal in kept)
    assert row["judge_signals"] == sum(signal.kind == "judge_score" for signal in kept)
    assert row["user_signals"] == sum(signal.kind in KINDS.keys() - NOT_OF_USERS for signal in kept)
    assert (row["last_signal_position"] is None) == (not kept)
    unasked = opinions([signal for signal in kept if signal.kind != "judge_score"], RULES, standing)
    assert row["judging_probability"] == (None if unasked else probability)
    assert row["final_unix_time"] == decision.at + RULES.final_after_s
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
        ([("unavailable", 1.0)], None),
        ([("error", 1.0), ("error", 0.0)], None),
        ([("thumbs_up", 1.0), ("thumbs_down", 1.0)], 0.0),
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


def test_judges_that_draw_independently(tmp_path: Path) -> None:
    decision = make_decision(np.random.default_rng(0), 1)
    with DuckDBLog(tmp_path / "log.duckdb") as log:
        log.append(decision)
        for judge, probability in (("judge:a", 0.1), ("judge:b", 0.5), ("judge:a", 0.9)):  # the last is a repetition
            log.append(make_draw(decision.id, probability, judge))
        log.append(make_signal(decision.id, "j", "judge_score", 0.5))
        log.flush()
        [row] = log.query("SELECT judging_probability FROM rewarded").to_pylist()
        assert row["judging_probability"] == pytest.approx(1 - 0.9 * 0.5)
