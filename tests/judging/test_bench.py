"""The bench at a router: in the background, within its budget, on the log, and under watch."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging_cases import case

from armwise.contracts import JudgeDraw, Model, Request
from armwise.errors import BadInput
from armwise.judging import Anchor, Bench, Case, DriftGuard, JudgeFailed, JudgeSampler, Seat, Verdict
from armwise.judging.checks import FunctionJudge
from armwise.log import MemoryLog
from armwise.router import Router
from helpers import assert_same_state, models


def router(*seats: Seat, **settings: Any) -> Router:
    bench = {key: settings.pop(key) for key in ("queue", "workers", "timeout_s") if key in settings}
    return Router(
        models(), **{"log": MemoryLog(), "seed": 3, **settings}, judging=lambda desk: Bench(seats, desk, **bench)
    )


def seat(function: Callable[[Case], Any], rate: float = 1.0, name: str = "f", **settings: Any) -> Seat:
    return Seat(name=name, judge=FunctionJudge(function), sampler=JudgeSampler(rate, ahead=0.0), **settings)


def bench_of(one: Router) -> Bench:
    assert one.judging is not None
    return one.judging


def ask(one: Router, count: int, answer: str = "42", **fields: Any) -> list[str]:
    ids = []
    for i in range(count):
        request = Request.from_text(f"question {i}", **fields)
        decision = one.decide(request)
        one.judge(decision, request, answer)
        ids.append(decision.id)
    assert bench_of(one).drain(20)
    return ids


def test_verdicts_reach_the_log_with_their_draws_and_replay_to_the_same_state(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with router(seat(lambda about: 0.8), seat(lambda about: 0.3, rate=0.2, name="g"), log=path) as one:
        ask(one, 60)
        one.flush()
        rows = one._log.query("SELECT * FROM rewarded").to_pylist()  # type: ignore[attr-defined]  # a DuckDBLog
        draws = one._log.query("SELECT * FROM judge_draws").to_pylist()  # type: ignore[attr-defined]
        assert len(draws) == 120
        assert all(row["quality"] is not None and row["judging_probability"] == 1.0 for row in rows)
        drawn = [draw for draw in draws if draw["judge"] == "judge:g" and draw["drawn"]]
        assert 3 < len(drawn) < 30
        assert sum(row["judge_signals"] for row in rows) == 60 + len(drawn)
        assert bench_of(one).as_dict()["judged"] == 60 + len(drawn)
        state = one._learner.state()
    for directory in tmp_path.glob("*.snapshots"):
        directory.rename(tmp_path / "away")
    with router(log=path) as again:
        assert_same_state(again._learner.state(), state)


def test_the_request_path_does_not_wait_and_the_queue_is_bounded() -> None:
    gate = threading.Event()

    async def slow(about: Case) -> float:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        return 0.5

    with router(seat(slow), queue=5) as one:
        began = time.monotonic()
        decisions = []
        for i in range(50):
            request = Request.from_text(f"question {i}")
            decisions.append(one.decide(request))
            one.judge(decisions[-1], request, "42")
        assert time.monotonic() - began < 2.0  # one verdict would never come
        numbers = bench_of(one).as_dict()
        assert (numbers["drawn"], numbers["dropped"], numbers["waiting"]) == (5, 45, 5)
        gate.set()
        assert bench_of(one).drain(10)
        draws = [event for _, event in one._log.events() if isinstance(event, JudgeDraw)]
        assert [(draw.probability, draw.drawn) for draw in draws] == [(1.0, True)] * 5 + [(0.0, False)] * 45


@pytest.mark.parametrize(
    ("failure", "counter", "billed"),
    [
        (JudgeFailed("prose", why="unreadable", cost_usd=0.01), "unreadable", 0.01),
        (JudgeFailed("no", why="failed"), "failed", 0.0),
        (JudgeFailed("late", why="timed_out"), "timed_out", 0.0),
        (None, "silent", 0.0),
        ("hangs", "timed_out", 0.0),
    ],
)
def test_a_judge_that_gives_no_verdict_teaches_nothing_but_is_billed(failure: Any, counter: str, billed: float) -> None:
    class Failing:
        async def judge(self, about: Case) -> Verdict | None:
            if failure == "hangs":
                await asyncio.sleep(60)
            if failure is None:
                return None
            raise failure

    one_seat = Seat(name="f", judge=Failing(), sampler=JudgeSampler(1.0))
    with router(one_seat, timeout_s=0.05) as one:
        [decision_id] = ask(one, 1)
        assert bench_of(one).as_dict()[counter] == 1
        assert bench_of(one).cost_usd == billed
        signals = one._log.signals(decision_id)
        assert [(signal.kind, signal.value) for signal in signals] == ([("judge_cost_usd", billed)] if billed else [])


def test_a_judge_sees_only_what_its_model_may_see() -> None:
    seen: list[Case] = []

    def look(about: Case) -> float:
        seen.append(about)
        return 1.0

    model = Model("outside", input_usd_per_mtok=1, output_usd_per_mtok=1, clearance="internal", residency="eu")
    pool = [Model("home", input_usd_per_mtok=1, output_usd_per_mtok=1, clearance="restricted", residency="us")]
    judge = seat(look, model=model)
    with Router(pool, log=MemoryLog(), judging=lambda desk: Bench([judge], desk)) as one:
        ask(one, 1, sensitivity="confidential")
        ask(one, 1, residency=frozenset({"us"}))
        assert not seen
        assert [draw.probability for _, draw in one._log.events() if isinstance(draw, JudgeDraw)] == [0.0, 0.0]
        ask(one, 1, sensitivity="internal")
        assert len(seen) == 1


def anchored(bias: dict[str, float], rng: np.random.Generator, **settings: Any) -> Seat:
    """A judge of anchors with a bias that can be changed under way."""
    quality = rng.uniform(0.1, 0.7, 12)
    anchors = [Anchor(case=case(str(i), quality=str(q)), quality=float(q)) for i, q in enumerate(quality)]

    def grade(about: Case) -> float:
        truth = float(about.metadata.get("quality", 0.5))
        liked = bias.get("of some", 0.0) if about.answer in {"1", "4", "5", "8", "10"} else 0.0
        return float(np.clip(truth + bias["now"] + liked + 0.05 * rng.normal(), 0, 1))

    return seat(grade, anchors=anchors, guard=DriftGuard(len(anchors)), **settings)


def test_a_judge_that_drifts_is_stopped_recalibrated_and_the_log_says_so() -> None:
    bias, rng = {"now": 0.1}, np.random.default_rng(5)
    with router(anchored(bias, rng, anchor_every=2), workers=1) as one:
        ask(one, 40)
        calibrated = one.sources()["judge:f"]
        assert calibrated.training
        assert calibrated.offset == pytest.approx(-0.1, abs=0.03)
        assert "calibrated on 12 anchors" in calibrated.reason
        bias["now"] = 0.25
        suspended, lessons = False, []
        for _ in range(200):
            ask(one, 1)
            standing = one.sources()["judge:f"]
            if not standing.training:
                suspended = True
                lessons.append(one._decider.policy.state()["model"])
                assert "drift alarm" in standing.reason
            elif suspended:
                break
        assert suspended
        assert_same_state({"model": lessons[0]}, {"model": lessons[-1]})  # meanwhile nothing was learned
        again = one.sources()["judge:f"]
        assert again.training
        assert again.offset == pytest.approx(-0.25, abs=0.03)
        numbers = bench_of(one).as_dict()
        assert (numbers["alarms"], numbers["calibrations"], numbers["f.suspended"]) == (1, 2, 0)
        assert numbers["anchors"] > 48


def test_a_judge_that_comes_to_like_some_answers_stays_out_and_the_log_says_why() -> None:
    bias, rng = {"now": 0.0}, np.random.default_rng(5)
    with router(anchored(bias, rng, anchor_every=1), workers=1) as one:
        ask(one, 40)
        bias["of some"] = 0.3
        for _ in range(250):
            ask(one, 1)
            if bench_of(one).as_dict()["uneven"]:
                break
        standing = one.sources()["judge:f"]
        assert not standing.training
        assert "grades of some anchors moved and of others did not" in standing.reason
        graded = bench_of(one).as_dict()["anchors"]
        ask(one, 10)
        assert bench_of(one).as_dict()["anchors"] == graded + 10  # in turn, not all at once
        assert bench_of(one).as_dict()["f.suspended"] == 1


def test_length_is_corrected_where_asked() -> None:
    rng = np.random.default_rng(0)

    def likes_length(about: Case) -> float:
        return float(np.clip(0.3 + 0.06 * np.log(len(about.answer)) + 0.02 * rng.normal(), 0, 1))

    with router(seat(likes_length, correct_length=True), workers=1) as one:
        for i in range(300):
            ask(one, 1, answer="x" * int(np.exp(rng.uniform(2, 7))) if i < 298 else "x" * (10 if i == 298 else 1_000))
        assert bench_of(one).as_dict()["f.length_slope"] == pytest.approx(0.06, abs=0.01)
        events = [event for _, event in one._log.events()]
        short, long = (event.value for event in events[-4:] if getattr(event, "kind", "") == "judge_score")
        assert abs(long - short) < 0.1  # uncorrected: 0.28


def test_a_verdict_for_a_decision_that_is_gone_is_counted() -> None:
    with router(seat(lambda about: 0.5), log=None) as one:
        request = Request.from_text("hi")
        decision = one.decide(request)
        one._learner._open.clear()
        one.judge(decision, request, "42")
        assert bench_of(one).drain(10)
        assert bench_of(one).as_dict()["unreported"] == 1


def test_closing_judges_what_waits_and_takes_no_more() -> None:
    one = router(seat(lambda about: 0.5))
    for i in range(20):
        request = Request.from_text(f"question {i}")
        one.judge(one.decide(request), request, "42")
    one.close()
    assert bench_of(one).as_dict()["judged"] == 20
    bench_of(one).close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: router(seat(len), seat(len)), "every judge needs its own name"),
        (lambda: router(seat(len), queue=0), "judging needs queue"),
        (lambda: seat(len, name=""), "a judge needs a name"),
        (lambda: seat(len, anchor_every=0), "anchor_every must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make()
