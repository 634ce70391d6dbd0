"""Small things that many tests need: a pool, a decider with no router around it, and a world to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from armwise.contracts import Arm, Context, Event, Model, PoolChange, Request, Signal, State
from armwise.decider import Decider
from armwise.learning import OnlineLearner
from armwise.pacing import Objective, make_pacer
from armwise.policies import make_policy

DIMENSION = 4
PRICES = {"small": (0.1, 0.4), "middle": (0.5, 1.5), "large": (3.0, 15.0)}


def model(name: str, **settings: Any) -> Model:
    """A model with a price."""
    input_, output = PRICES.get(name, (1.0, 2.0))
    return Model(name, **{"input_usd_per_mtok": input_, "output_usd_per_mtok": output, **settings})


def models() -> list[Model]:
    return [model(name) for name in PRICES]


def context(vector: Any = None, **settings: Any) -> Context:
    """A context of the tests' dimension; the first entry is the intercept."""
    vector = [1.0, *[0.0] * (DIMENSION - 1)] if vector is None else vector
    return Context(**{"vector": np.asarray(vector, float), "task": "chat", "input_tokens": 100, **settings})


def contexts(count: int, seed: int = 0, dimension: int = DIMENSION) -> np.ndarray:
    """Vectors with an intercept, exactly representable in float32; shape (count, dimension)."""
    x = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32).astype(float)
    x[:, 0] = 1.0
    return x


def decider(policy: dict[str, Any] | None = None, objective: Objective | None = None, arms: Any = None) -> Decider:
    """A decider over the tests' pool."""
    out = Decider(
        policy=make_policy(dimension=DIMENSION, **(policy or {"name": "thompson"})),
        pacer=make_pacer(objective or Objective.tradeoff(), cost_ref_usd=1e-3),
        dimension=DIMENSION,
        policy_version="test",
        feature_version="vector-4",
    )
    for item in models() if arms is None else arms:
        out.change_pool(PoolChange(action="add", arm=Arm.of(item)))
    return out


def spent_usd(one: Decider, budget: int = 0, at: float = 0.0) -> float:
    """All that a budget of the decider's has to count on."""
    return one.pacer.report(at)[budget].spent_usd


def differences(left: Any, right: Any, path: str = "state") -> Iterator[str]:
    """Where two states differ, bit for bit."""
    if isinstance(left, dict) and isinstance(right, dict):
        if list(left) != list(right):
            yield f"{path}: keys {list(left)} != {list(right)}"
        for key in left.keys() & right.keys():
            yield from differences(left[key], right[key], f"{path}.{key}")
    elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        if len(left) != len(right):
            yield f"{path}: {len(left)} != {len(right)} items"
        for i, (a, b) in enumerate(zip(left, right, strict=False)):
            yield from differences(a, b, f"{path}[{i}]")
    elif isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        a, b = np.asarray(left), np.asarray(right)
        if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
            yield f"{path}: {a!r} != {b!r}"
    elif type(left) is not type(right) or left != right:
        yield f"{path}: {left!r} != {right!r}"


def assert_same_state(left: State, right: State) -> None:
    found = list(differences(left, right))
    assert not found, "\n".join(found[:5])


def play(one: Decider, count: int = 40, seed: int = 0) -> list[Event]:
    """Decide, act and learn ``count`` times; returns the events, of which some come late, twice or revised."""
    learner = OnlineLearner(one, recall=lambda *_: None)
    rng = np.random.default_rng(seed)
    events: list[Event] = []

    def take(event: Event) -> None:
        events.append(event)
        learner.apply(event, len(events))

    made = []
    for i, x in enumerate(contexts(count, seed)):
        decision = one.decide(
            Request(), context(x, input_tokens=int(rng.integers(1, 2000))), id=f"d{i}", at=1e9 + i, seed=seed + i
        )
        take(decision)
        made.append(decision)
        for kind in ("cost_usd", "latency_ms", "quality"):
            of = made[int(rng.integers(max(0, i - 20), i + 1))]
            scale = {"cost_usd": 1e-3, "latency_ms": 900.0, "quality": 1.0}[kind]
            take(
                Signal(
                    decision_id=of.id,
                    kind=kind,
                    value=float(rng.random()) * scale,
                    event_id=f"{kind}{int(rng.integers(2))}",
                )
            )
        if i % 5 == 0:
            kind = ("thumbs_up", "thumbs_down", "error")[i // 5 % 3]
            take(Signal(decision_id=decision.id, kind=kind, source="user", event_id="u"))
        if i == count // 2:
            take(PoolChange(action="add", arm=Arm.of(model("newcomer"))))
        if i == 3 * count // 4:
            take(PoolChange(action="remove", arm=Arm.of(model("middle"))))
    return events
