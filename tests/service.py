"""A small service around a router, run in a process of its own so that it can be killed, starved and locked out."""

from __future__ import annotations

import resource
import signal
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from armwise import Objective, Request, Router
from armwise.errors import ArmwiseError
from armwise.features import VectorEncoder
from helpers import DIMENSION, contexts, model, models


def make(log: Any, **settings: Any) -> Router:
    """The router of the service."""
    return Router(
        **{
            "models": models(),
            "objective": Objective.max_quality(spend_usd_per_request=8e-4),
            "log": log,
            "seed": 1,
            "encoder": VectorEncoder(DIMENSION),
            "snapshot_every": 60,
            **settings,
        }
    )


def rounds(router: Router, seed: int, count: int) -> list[tuple[str, int]]:
    """Decide and report, some late, twice or never; (decision, number of its signals) of what was taken in."""
    rng = np.random.default_rng(seed)
    made: list[str] = []
    signals: dict[str, int] = {}
    for i, x in enumerate(contexts(count, seed)):
        decision = router.decide(Request(vector=x, input_tokens=int(rng.integers(10, 2_000))))
        made.append(decision.id)
        signals[decision.id] = 0
        of = made[int(rng.integers(max(0, i - 10), i + 1))]
        quality = float(rng.random())
        event_id = ("first", "second")[int(rng.integers(2))]
        if router.observe(of, quality=quality, event_id=event_id):
            signals[of] += 1
        if router.observe(decision.id, cost_usd=float(rng.random()) * 1e-3, latency_ms=500.0 * quality):
            signals[decision.id] += 2
        if i % 50 == 20:
            router.add_model(model(f"guest{seed}"))
        if i % 50 == 40:
            router.remove_model(f"guest{seed}")
    return list(signals.items())


def serve(path: str, seed: int, out: Connection) -> None:
    """Serve until killed; sends what flush() has acknowledged."""
    router = make(path)
    out.send([])
    for turn in range(10_000):
        taken = rounds(router, seed * 10_000 + turn, 8)
        router.flush()
        out.send(taken)


def disable(path: str, out: Connection) -> None:
    """Disable one arm, and another for a while; send what is disabled once it would survive; wait to be killed."""
    router = make(path)
    rounds(router, 1, 15)
    router.disable_model("large", by="admin 1")
    router.disable_model("small")
    router.enable_model("small", by="admin 2")
    rounds(router, 2, 15)
    router.secure()
    out.send((sorted(router.disabled), router._learner.state()))
    signal.pause()


def hold(path: str, out: Connection) -> None:
    """Hold the log open until killed."""
    router = make(path)
    router.decide(Request(vector=contexts(1, 1)[0]))
    router.flush()
    out.send("held")
    signal.pause()


def starve(path: str, out: Connection) -> None:
    """Serve on a disk that is full from some moment on; sends what happened."""
    router = make(path)
    rounds(router, 1, 20)
    router.flush()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # no file may grow: what a full disk looks like
    decided = len(rounds(router, 2, 20))
    try:
        router.flush(timeout=2.0)
        refusal = ""
    except ArmwiseError as error:
        refusal = f"{type(error).__name__}: {error}"
    decided += len(rounds(router, 3, 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # space again
    router.flush(timeout=20.0)
    out.send((decided, refusal))
    router.close()
