"""A service's log: a router over a small world, with action sets that differ, bills, judgements and silence."""

from __future__ import annotations

from typing import Any

import numpy as np

from armwise.contracts import Model, Request
from armwise.features import VectorEncoder
from armwise.pacing import Objective
from armwise.router import Router

MODELS = (
    Model("small", input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
    Model("middle", input_usd_per_mtok=0.5, output_usd_per_mtok=1.5),
    Model("large", input_usd_per_mtok=3.0, output_usd_per_mtok=12.0),
)
QUALITY = np.array([0.45, 0.6, 0.85])
COST = np.array([0.05, 0.2, 1.6]) * 1e-3
LATENCY = np.array([300.0, 600.0, 1500.0])


def true_quality(vectors: np.ndarray) -> np.ndarray:
    """[n, 3]: the small model is good where the second feature is high."""
    bonus = 0.4 * np.tanh(vectors[:, 1:2]) * np.array([1.0, 0.4, 0.1])
    return np.clip(QUALITY + bonus, 0.02, 0.98)


def serve(
    router: Router, count: int, *, seed: int = 0, judged: float = 1.0, narrow: float = 0.3
) -> list[tuple[np.ndarray, str]]:
    """So many requests, some of which allow two arms only; their vectors and the arms that answered."""
    rng = np.random.default_rng(seed)
    names = [model.name for model in MODELS]
    seen = []
    for _ in range(count):
        x = rng.normal(size=4).astype(np.float32).astype(float)
        x[0] = 1.0
        arms = frozenset(names[1:]) if rng.random() < narrow else None
        decision = router.decide(
            Request(vector=x, input_tokens=int(rng.integers(50, 400)), task="code" if x[2] > 0 else "chat", arms=arms)
        )
        k = names.index(decision.arm)
        measures: dict[str, Any] = {"cost_usd": COST[k] * rng.gamma(4.0, 0.25), "latency_ms": LATENCY[k]}
        if rng.random() < judged:
            measures["quality"] = float(rng.random() < true_quality(x[None])[0, k])
        router.observe(decision.id, **measures)
        seen.append((x, decision.arm))
    return seen


def make_router(path: Any, policy: Any = None, **settings: Any) -> Router:
    return Router(
        settings.pop("models", MODELS),
        log=path,
        policy=policy or {"name": "epsilon", "epsilon": 0.5, "horizon": None},
        objective=settings.pop("objective", Objective.tradeoff(cost_weight=0.1, cost_ref_usd=1e-3)),
        encoder=VectorEncoder(4),
        seed=1,
        **settings,
    )
