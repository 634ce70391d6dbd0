"""Events for the tests: seeded, varied, and awkward where a log might trip."""

from __future__ import annotations

import numpy as np

from armwise.contracts import (
    Arm,
    Attempt,
    Beside,
    Budget,
    BudgetChange,
    Context,
    Decision,
    Event,
    JudgeDraw,
    Model,
    PoolChange,
    Predictions,
    RolloutChange,
    Signal,
    SourceChange,
    Trade,
)

POOL = tuple(f"model-{i}" for i in range(12))


def make_decision(rng: np.random.Generator, number: int, *, arms: int | None = None, dimension: int = 24) -> Decision:
    """A decision with every field at work."""
    names = POOL[: arms or int(rng.integers(1, 13))]
    probabilities = rng.dirichlet(np.ones(len(names)))
    slot = int(rng.integers(len(names)))
    return Decision(
        id=f"d-{number:06d}",
        at=1.7e9 + number + float(rng.random()),
        arm=names[slot],
        propensity=float(probabilities[slot]),
        arms=names,
        probability_of=probabilities,
        excluded={"model-x": "context window of 8,192 tokens"} if number % 3 == 0 else {},
        predictions=Predictions(rng.random(len(names)), rng.random(len(names)) * 1e-3, rng.lognormal(6, 1, len(names))),
        trade=Trade(cost_weight=float(rng.random()), latency_weight=-0.0, cost_ref_usd=1e-3, latency_ref_ms=1e3),
        context=Context(
            vector=rng.normal(size=dimension).astype(np.float32).astype(np.float64),
            task=("code", "maths", "chat")[number % 3],
            input_tokens=int(rng.integers(0, 100_000)),
            tools=bool(number % 2),
            modalities=frozenset({"text", "image"}) if number % 5 == 0 else frozenset({"text"}),
        ),
        method="quadrature:64",
        seed=int(rng.integers(0, 2**64, dtype=np.uint64)),
        policy_version="p-1",
        feature_version="f-1",
        tenant=None if number % 2 else "tenant é",
        session=f"s-{number}" if number % 4 == 0 else None,
        head="d-head" if number % 8 == 4 else None,
        switched="failure: model-0 failed" if number % 16 == 0 else None,
        beside=Beside("abcdef012345", 0.25, rng.dirichlet(np.ones(len(names)))) if number % 7 == 0 else None,
    )


def make_signal(decision_id: str, event_id: str = "e", kind: str = "quality", value: float = 0.5) -> Signal:
    return Signal(decision_id=decision_id, kind=kind, value=value, source="app", event_id=event_id, at=1.7e9)


def make_attempt(decision_id: str, number: int = 0) -> Attempt:
    return Attempt(
        decision_id=decision_id,
        attempt=number,
        model="model-1",
        at=1.7e9 + 0.1,
        status="ok" if number else "http_500",
        latency_ms=812.4,
        input_tokens=120 if number else None,
        output_tokens=7 if number else None,
        cost_usd=1e-7 if number else None,
    )


def make_pool_change(name: str = "model-1", action: str = "add", by: str = "") -> PoolChange:
    model = Model(
        name,
        input_usd_per_mtok=0.1,
        output_usd_per_mtok=0.3,
        modalities=frozenset({"text", "image"}),
        residency="eu",
        quality_prior=0.1 + 0.2,
        profile={"mmlu": 0.7},
    )
    arm = Arm(f"plan of {name}", models=(model, Model("other")), plan="cascade", options={"at": 0.7, "order": ["a", 1]})
    return PoolChange(action=action, arm=arm, at=1.7e9, by=by)  # type: ignore[arg-type]


def make_retraction(decision_id: str, of: str, event_id: str = "r", source: str = "app") -> Signal:
    return Signal(
        decision_id=decision_id, kind="retraction", source=source, event_id=event_id, retracts=of, at=1.7e9 + 1
    )


def make_draw(decision_id: str, probability: float = 0.1, judge: str = "judge:a") -> JudgeDraw:
    return JudgeDraw(decision_id=decision_id, judge=judge, probability=probability, drawn=probability > 0.5, at=1.7e9)


def make_source_change(source: str, at: float = 1.7e9, **settings: float) -> SourceChange:
    return SourceChange(source=source, at=at, reason="drift é", **settings)  # type: ignore[arg-type]


def make_budget_change(number: int = 0) -> BudgetChange:
    budget = Budget(
        usd=0.1 + number,
        per="day" if number % 2 else "request",
        tenant=(None, "tenant é", "*")[number % 3],
        task="code" if number % 4 == 0 else None,
        hard_stop=bool(number % 2),
    )
    return BudgetChange(
        action="remove" if number % 5 == 0 else "set", budget=budget, at=1.7e9 + number, declared=number % 7 == 0
    )


def make_rollout_change(number: int = 1) -> RolloutChange:
    if number % 2:
        return RolloutChange(stage="canary", version="abcdef012345", share=0.1, tolerance=0.1 + 0.2, sequence=number)
    return RolloutChange(stage="apprentice", version="initial", rule={"": POOL[0], "code": POOL[1]}, by="é", at=1.7e9)


def make_events(rng: np.random.Generator, count: int) -> list[Event]:
    """A mixture in which each kind follows each."""
    events: list[Event] = [make_pool_change(POOL[0]), make_pool_change(POOL[1])]
    decisions: list[Decision] = []
    while len(events) < count:
        number = len(events)
        draw = rng.random()
        if draw < 0.5 or not decisions:
            decisions.append(make_decision(rng, number))
            events.append(decisions[-1])
            continue
        about = decisions[int(rng.integers(len(decisions)))].id
        if draw < 0.8:
            kind = ("quality", "cost_usd", "thumbs_up", "error")[number % 4]
            events.append(make_signal(about, f"e-{number}", kind, float(rng.random())))
        elif draw < 0.9:
            events.append(make_attempt(about, number % 3))
        elif draw < 0.92:
            events.append(make_retraction(about, f"e-{number - 1}", f"r-{number}"))
        elif draw < 0.95:
            events.append(make_draw(about, float(rng.random())))
        elif draw < 0.96:
            events.append(make_budget_change(number))
        elif draw < 0.975:
            events.append(make_rollout_change(number))
        elif draw < 0.985:
            events.append(make_source_change("app", 1.7e9 + number, offset=float(rng.normal()), noise=0.1))
        else:
            action = ("add", "remove", "disable", "enable")[number % 4]
            events.append(make_pool_change(POOL[number % 12], action, by="admin é" if number % 3 else ""))
    return events


def same(one: object, other: object) -> bool:
    """Equal bit for bit: arrays by their bytes, floats by their bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, float) and isinstance(other, float):
        return one.hex() == other.hex()
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return one == other
