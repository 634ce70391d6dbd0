"""The facade, as a service uses it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from armwise import Arm, Model, Objective, Request, Router
from armwise.errors import BadInput, NoEligibleArm, UnknownDecision, UnknownModel
from armwise.features import VectorEncoder
from armwise.learning import OnlineLearner
from armwise.log import MemoryLog
from helpers import DIMENSION, assert_same_state, contexts, model, models


def new(log: Any = ":memory:", **settings: Any) -> Router:
    return Router(**{"models": models(), "log": log, "seed": 0, "encoder": VectorEncoder(DIMENSION), **settings})


@pytest.fixture
def router() -> Iterator[Router]:
    with new() as one:
        yield one


def ask(i: int = 0, **settings: Any) -> Request:
    return Request(vector=contexts(1, i)[0], input_tokens=200, **settings)


def state(router: Router) -> Any:
    return router._decider.state()


# -------------------------------------------------------------------------------------------- drop-in use


def test_drop_in_use_with_no_file_at_all() -> None:
    with Router(
        models=[
            Model("small", input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
            Model("large", input_usd_per_mtok=3.0, output_usd_per_mtok=15.0),
        ],
        objective=Objective.max_quality(spend_usd_per_request=6e-4),
        policy="squarecb",
        seed=0,
    ) as router:
        decision = router.decide(Request.from_text("What is the capital of France?"))
        assert decision.arm in ("small", "large")
        assert decision.propensity == decision.probabilities[decision.arm]
        assert sum(decision.probabilities.values()) == pytest.approx(1.0)
        assert decision.arm in decision.explain()
        assert router.observe(decision.id, quality=0.9, cost_usd=3e-4, latency_ms=820)
        assert router.signal(decision.id, "thumbs_down", event_id="t1")
        assert router.explain(decision.id) == decision.explain()
        router.add_model("middle", input_usd_per_mtok=0.5, output_usd_per_mtok=1.5)
        assert router.arms == ("small", "large", "middle")
        router.remove_model("large")
        assert set(router.decide("Hello").arms) == {"small", "middle"}
        router.flush()
    router.close()


@pytest.mark.parametrize("text", ["", "x" * 1_000_000, "\x00\x01\x02\x7f", "\ud800 lone \udfff", "日本語 🙂"])
def test_any_text_is_decided(text: str) -> None:
    with Router(models=models(), log=":memory:", seed=0) as router:
        decision = router.decide(text)
        assert np.isfinite(decision.context.vector).all()
        router.observe(decision.id, quality=1.0)


def test_the_same_seed_repeats_a_service_and_another_does_not() -> None:
    def arms(seed: int) -> list[str]:
        with new(seed=seed) as router:
            return [router.decide(ask(i)).arm for i in range(60)]

    assert arms(3) == arms(3)
    assert arms(3) != arms(4)


def test_identifiers_are_unique(router: Router) -> None:
    with new() as other:
        ids = [one.decide(ask()).id for one in (router, other) for _ in range(200)]
    assert len(set(ids)) == 400


# -------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (None, "decide needs a Request or a string, got NoneType"),
        ({"messages": []}, "decide needs a Request or a string, got dict"),
        (Request.from_text("x"), "vector is missing"),
        (Request(vector=np.ones(3)), r"must have shape \(4,\)"),
        (Request(vector=np.array([1.0, np.nan, 0, 0])), "finite"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_and_the_service_goes_on(
    router: Router, request_: Any, says: str
) -> None:
    before = state(router)
    with pytest.raises(BadInput, match=says):
        router.decide(request_)
    assert_same_state(state(router), before)
    assert router.decide(ask()).arm in router.arms


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"quality": 1.5}, r"quality must be between 0 and 1, got 1.5"),
        ({"quality": -0.1}, r"quality must be between 0 and 1"),
        ({"quality": float("nan")}, r"Signal.value must be finite, got nan"),
        ({"quality": "good"}, r"Signal.value must be a number, got str 'good'"),
        ({"cost_usd": -1e-6}, r"cost_usd must be at least 0"),
        ({"cost_usd": 1e-3, "latency_ms": float("inf")}, r"Signal.value must be finite"),
        ({"cost_usd": 1e-3, "quality": 7}, r"quality must be between 0 and 1, got 7"),
        ({}, r"observe needs at least one of quality"),
        ({"quality": 1.0, "event_id": 3.5, "source": ""}, r"Signal.source must be a non-empty string"),
    ],
)
def test_a_bad_observation_is_refused_whole(router: Router, outcome: dict[str, Any], says: str) -> None:
    decision = router.decide(ask())
    before, position = state(router), router._log.position
    with pytest.raises(BadInput, match=says):
        router.observe(decision.id, **outcome)
    assert_same_state(state(router), before)
    assert router._log.position == position


def test_an_unknown_decision_is_an_error_and_logs_nothing(router: Router) -> None:
    position = router._log.position
    for call in (
        lambda: router.observe("nobody", quality=1.0),
        lambda: router.signal("nobody", "thumbs_up", event_id="1"),
        lambda: router.explain("nobody"),
    ):
        with pytest.raises(UnknownDecision, match="no decision 'nobody'"):
            call()
    assert router._log.position == position


def test_signals_of_unknown_kind(router: Router) -> None:
    decision = router.decide(ask())
    with pytest.raises(BadInput, match="did you mean 'thumbs_up'"):
        router.signal(decision.id, "thumb_up", event_id="1")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"models": [model("a"), model("a")]}, "duplicate arm 'a'"),
        ({"policy": "tompson"}, "did you mean 'thompson'"),
        ({"objective": Objective.min_cost(reference="larg")}, "unknown reference arm 'larg'; did you mean 'large'"),
        ({"log": 3}, "log must be a path"),
        ({"arms": [Arm.of(model("small"))]}, "duplicate arm 'small'"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        new(**settings)


# -------------------------------------------------------------------------------------------- learning


def test_a_second_report_of_the_same_measure_changes_nothing(router: Router) -> None:
    decision = router.decide(ask())
    assert router.observe(decision.id, quality=0.9, cost_usd=1e-3)
    before = state(router)
    assert not router.observe(decision.id, quality=0.1, cost_usd=9.0)
    assert_same_state(state(router), before)
    assert router.observe(decision.id, quality=0.1, latency_ms=500.0)  # one of the two is new
    assert state(router)["policy"]["state"]["model"]["lessons"] == 1


def test_parts_add_up_to_the_whole() -> None:
    with new() as parts, new() as whole:
        for router, steps in (
            (parts, [{"cost_usd": 1e-3}, {"latency_ms": 700.0}, {"quality": 0.4}]),
            (whole, [{"quality": 0.4, "cost_usd": 1e-3, "latency_ms": 700.0}]),
        ):
            decision = router.decide(ask())
            for step in steps:
                router.observe(decision.id, **step)
        assert_same_state(state(parts), state(whole))


def test_a_revision_under_a_new_event_id_replaces() -> None:
    with (
        new(policy={"name": "squarecb", "engine": "linear"}) as revised,
        new(policy={"name": "squarecb", "engine": "linear"}) as right,
    ):
        decision = revised.decide(ask())
        assert revised.observe(decision.id, quality=0.1)
        assert revised.observe(decision.id, quality=0.9, event_id="corrected")
        assert right.observe(right.decide(ask()).id, quality=0.9)
        for left, other in zip(
            state(revised)["policy"]["state"]["model"].values(),
            state(right)["policy"]["state"]["model"].values(),
            strict=True,
        ):
            np.testing.assert_allclose(left, other, atol=1e-14)


def test_a_failed_call_reported_at_once_teaches_no_length(router: Router) -> None:
    decision = router.decide(ask())
    before = state(router)
    router.observe(decision.id, cost_usd=0.0, latency_ms=30_000.0, error=True)
    after = state(router)
    assert_same_state(after["costs"], before["costs"])
    assert_same_state(after["latencies"], before["latencies"])
    assert after["policy"]["state"]["model"]["lessons"] == 1


def test_a_decision_that_left_memory_is_recalled_from_the_log() -> None:
    with new() as small, new() as large:
        small._learner = OnlineLearner(small._decider, recall=small._recall, memory=2)
        for router in (small, large):
            made = [router.decide(ask(i)) for i in range(20)]
            for decision in made:
                router.observe(decision.id, cost_usd=2e-3)
            for decision in made:
                router.observe(decision.id, quality=0.7)
                assert not router.observe(decision.id, quality=0.1)
            assert router.explain(made[0].id) == made[0].explain()
        assert_same_state(state(small), state(large))


def test_without_a_log_only_recent_decisions_can_be_reported_on() -> None:
    with new(log=None) as router:
        router._learner = OnlineLearner(router._decider, recall=router._recall, memory=2)
        made = [router.decide(ask(i)) for i in range(5)]
        assert router.observe(made[-1].id, quality=1.0)
        with pytest.raises(UnknownDecision, match="made without a log and more than 2 decisions ago"):
            router.observe(made[0].id, quality=1.0)


def test_it_learns_which_arm_is_better() -> None:
    with new(objective=Objective.tradeoff(cost_weight=0.0)) as router:
        for i in range(400):
            decision = router.decide(ask(i))
            router.observe(decision.id, quality=0.95 if decision.arm == "small" else 0.3)
        assert router.decide(ask(1_000)).probabilities["small"] > 0.9


# -------------------------------------------------------------------------------------------- the pool


def test_models_come_go_and_change_while_running(router: Router) -> None:
    first = router.decide(ask())
    router.remove_model(first.arm)
    assert first.arm not in router.decide(ask()).arms
    assert router.observe(first.id, quality=1.0, cost_usd=1e-3)
    with pytest.raises(UnknownModel, match=f"unknown arm '{first.arm}'"):
        router.remove_model(first.arm)
    router.add_model(model(first.arm))
    router.add_model(model("fourth", context_window=100))
    assert "fourth" in router.decide(ask(max_output_tokens=10)).excluded
    router.add_model(model("fourth"))
    assert "fourth" in router.decide(ask(max_output_tokens=10)).arms
    with pytest.raises(BadInput, match="price"):
        router.add_arm(Arm.of(Model("no price of this name anywhere")))
    for name in router.arms:
        router.remove_model(name)
    with pytest.raises(NoEligibleArm, match="the pool is empty"):
        router.decide(ask())
    assert router.pool() == ()


def test_a_log_kept_in_memory_writes_no_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with new() as router:
        router.observe(router.decide(ask()).id, quality=1.0)
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------- many at once


def test_many_threads_lose_nothing_and_the_log_replays_to_the_same_state() -> None:
    log = MemoryLog()
    router = new(log)
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for i in range(60):
                decision = router.decide(ask(thread * 100 + i))
                router.observe(decision.id, quality=0.5, cost_usd=1e-3)
                router.observe(decision.id, quality=0.1)
                if i % 20 == 0:
                    router.add_model(model(f"t{thread}-{i}"))
                    router.pool()
        except BaseException as error:  # noqa: BLE001 (told to the main thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert router._decider.decisions == 360
    assert log.position == 3 + 360 * 3 + 18
    again = new(log, models=())
    assert_same_state(state(again), state(router))


def test_asyncio_tasks_may_share_a_router(router: Router) -> None:
    async def one(i: int) -> str:
        decision = router.decide(ask(i))
        await asyncio.sleep(0)
        router.observe(decision.id, quality=0.5)
        return decision.id

    async def everything() -> list[str]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as executor:
            other = [loop.run_in_executor(executor, router.decide, ask(i)) for i in range(20)]
            ids = await asyncio.gather(*(one(i) for i in range(50)))
            return [*ids, *(decision.id for decision in await asyncio.gather(*other))]

    assert len(set(asyncio.run(everything()))) == 70
