"""What is kept of recent decisions: the same bit for bit when it was packed, and never more than allowed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from armwise import Model, Request, Router
from armwise.contracts import Context, Decision, Predictions, Signal, Trade
from armwise.contracts.decisions import Beside
from armwise.learning.cases import Case, Cases


def make(rng: np.random.Generator, number: int) -> Decision:
    arms = tuple(f"arm-{i}" for i in range(int(rng.integers(1, 9))))
    slot = int(rng.integers(len(arms)))
    vector = rng.normal(size=int(rng.integers(0, 80)))
    return Decision(
        f"d-{number}",
        1.7e9 + float(rng.random()),
        arms[slot],
        float(rng.random()),
        arms,
        rng.random(len(arms)),
        {"x": f"context window of {number} tokens"} if number % 3 == 0 else {},
        Predictions(rng.random(len(arms)), rng.random(len(arms)), rng.lognormal(6, 1, len(arms))),
        Trade(float(rng.random()), -0.0, 1e-3, 1e3),
        Context(
            vector if number % 4 == 0 else vector.astype(np.float32).astype(np.float64),
            "code",
            int(rng.integers(0, 10**9)),
            bool(number % 2),
            frozenset({"text", "image"}) if number % 5 == 0 else frozenset({"text"}),
        ),
        "quadrature:64",
        int(rng.integers(0, 2**64, dtype=np.uint64)),
        "p",
        "f",
        None if number % 2 else "tenant é",
        f"s-{number}" if number % 4 == 0 else None,
        "d-head" if number % 8 == 4 else None,
        "failure" if number % 16 == 0 else None,
        Beside("v", 0.25, rng.random(len(arms))) if number % 7 == 0 else None,
    )


def said(decision: Decision, count: int) -> list[Signal]:
    kinds = ("cost_usd", "latency_ms", "retraction", "thumbs_up")
    return [
        Signal(
            decision_id=decision.id,
            kind=kinds[n % 4],
            value=n / 3,
            source="armwise" if n % 2 else f"user:{n}",
            event_id=f"e-{n}",
            at=1.7e9 + n / 7,
            retracts="e-0" if n % 4 == 2 else None,
        )
        for n in range(count)
    ]


def plain(value: Any) -> Any:
    """Arrays as their bytes, all the way down."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    return tuple(map(plain, value)) if isinstance(value, (tuple, list)) else value


def test_what_was_packed_is_the_same_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    cases = Cases(memory=500, fresh=1)
    given = [make(rng, number) for number in range(200)]
    for number, decision in enumerate(given):
        cases.put(Case(decision, said(decision, number % 6), None, 3))
    while cases.pack():  # beside the thread that does so
        pass
    for number, decision in enumerate(given[:-1]):
        case = cases.get(decision.id)
        assert case is not None
        assert plain(case.decision) == plain(decision)
        assert case.signals == said(decision, number % 6)
        assert case.reading is None  # it has to be read again


def test_the_oldest_make_room_and_what_is_put_again_is_fresh() -> None:
    rng = np.random.default_rng(1)
    cases = Cases(memory=10, fresh=3)
    given = [make(rng, number) for number in range(30)]
    for decision in given[:10]:
        cases.put(Case(decision, [], None, 0))
    first = cases.get(given[0].id)
    assert first is not None
    cases.put(first._replace(signals=said(given[0], 2)))
    for decision in given[10:15]:
        cases.put(Case(decision, [], None, 0))
    assert len(cases) == 10
    kept = [decision.id for decision in given if cases.get(decision.id) is not None]
    assert kept == [given[0].id, *(decision.id for decision in given[6:15])]
    again = cases.get(given[0].id)
    assert again is not None
    assert again.signals == said(given[0], 2)
    cases.clear()
    assert (len(cases), cases.get(given[0].id)) == (0, None)


@pytest.mark.parametrize("fresh", [1, 1_000])
def test_what_is_learned_does_not_depend_on_what_is_packed(fresh: int) -> None:
    models = [Model(name, input_usd_per_mtok=0.1, output_usd_per_mtok=0.4) for name in ("a", "b", "c")]
    states = []
    for most_fresh in (1_000, fresh):
        with Router(models, log=None, seed=0) as router:
            router._learner._open = Cases(memory=1_000, fresh=most_fresh)
            made = [router.decide(Request.from_text(f"What is {n} + {n}?")) for n in range(60)]
            for n, decision in enumerate(made * 2):
                router.observe(decision.id, quality=(n % 5) / 4, cost_usd=1e-4 * n, event_id=str(n))
            states.append(plain(router._decider.state()))
    assert states[0] == states[1]


def test_a_thread_packs_what_is_no_longer_fresh_and_ends_with_its_cases() -> None:
    rng = np.random.default_rng(5)
    cases = Cases(memory=500, fresh=10)
    for number in range(100):
        cases.put(Case(make(rng, number), [], None, 0))
    packer = cases._packer
    assert packer is not None
    deadline = time.monotonic() + 20.0
    while len(cases._fresh) > 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (len(cases._fresh), len(cases._packed)) == (10, 90)
    del cases
    packer.join(20.0)
    assert not packer.is_alive()
