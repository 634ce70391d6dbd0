"""Time of a decision and of a lesson, beside ParetoBandit in the same run.

    python benchmarks/decide.py [--rounds 3000]

Both get a ready context vector (armwise 64 features, ParetoBandit 25, its own size), compute the score of every arm and
choose. armwise also predicts cost and latency, computes all probabilities, draws, and queues the decision for its
DuckDB log. Calls alternate in blocks, so that what disturbs one disturbs the other; ratios hold better than
microseconds. Needs ``pip install armwise[bench]``; without ParetoBandit its column is empty.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from armwise import Model, Objective, Request, Router
from armwise.features import TextEncoder, VectorEncoder

DIMENSION, PEER_DIMENSION = 64, 25
BLOCK = 50
TARGETS = {"squarecb": {3: 0.8, 10: 0.5, 32: 0.5}, "thompson": {3: 1.2, 10: 1.0, 32: 0.8}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for arms in (3, 10, 32):
            peer = pareto_bandit(arms)
            for policy in ("squarecb", "thompson"):
                rows.append(beside(policy, arms, peer, options.rounds, Path(folder)))
        text = text_to_decision(options.rounds // 3)
    imports = import_time()
    if options.json:
        print(json.dumps({"decide": rows, "text_to_decision_us": text, "import_s": imports}))
        return
    console = Console()
    table = Table("policy", "arms", "decide p50 us", "p99", "ParetoBandit route p50", "ratio", "goal", "observe p50 us")
    for row in rows:
        peer_us = row["peer_p50"]
        table.add_row(
            row["policy"],
            str(row["arms"]),
            f"{row['p50']:.1f}",
            f"{row['p99']:.0f}",
            "-" if peer_us is None else f"{peer_us:.1f}",
            "-" if peer_us is None else f"{row['p50'] / peer_us:.2f}",
            f"{TARGETS[row['policy']][row['arms']]:.1f}",
            f"{row['observe_p50']:.1f}",
        )
    console.print(table)
    console.print(f"text to decision, sketch included, 500 characters: p50 {text:.0f} us (goal 300)")
    console.print(f"import armwise: {imports:.3f} s (goal 0.35)")


def beside(policy: str, arms: int, peer: Callable[[Any], Any] | None, rounds: int, folder: Path) -> dict[str, Any]:
    """Blocks of armwise and of the peer in turn."""
    rng = np.random.default_rng(0)
    models = [Model(f"m{i}", input_usd_per_mtok=0.1 + i, output_usd_per_mtok=0.4 + 2 * i) for i in range(arms)]
    router = Router(
        models,
        objective=Objective.tradeoff(),
        policy=policy,
        encoder=VectorEncoder(DIMENSION),
        log=folder / f"{policy}-{arms}.duckdb",
        seed=0,
    )
    decided: list[float] = []
    observed: list[float] = []
    routed: list[float] = []
    with router:
        for start in range(0, rounds + BLOCK, BLOCK):
            vectors = (rng.normal(size=(BLOCK, DIMENSION)) / 8).astype(np.float32).astype(float)
            requests = [Request(vector=vector, input_tokens=200) for vector in vectors]
            decisions = []
            for request in requests:
                since = time.perf_counter_ns()
                decisions.append(router.decide(request))
                decided.append(time.perf_counter_ns() - since)
            for decision in decisions:
                since = time.perf_counter_ns()
                router.observe(decision.id, quality=float(rng.random() < 0.7), cost_usd=2e-4, latency_ms=700.0)
                observed.append(time.perf_counter_ns() - since)
            if peer is not None:
                for vector in rng.normal(size=(BLOCK, PEER_DIMENSION)):
                    since = time.perf_counter_ns()
                    peer(vector)
                    routed.append(time.perf_counter_ns() - since)
            if start == 0:  # the first block warms up
                for taken in (decided, observed, routed):
                    taken.clear()
    return {
        "policy": policy,
        "arms": arms,
        "p50": statistics.median(decided) / 1e3,
        "p99": float(np.quantile(decided, 0.99)) / 1e3,
        "observe_p50": statistics.median(observed) / 1e3,
        "peer_p50": statistics.median(routed) / 1e3 if routed else None,
    }


def pareto_bandit(arms: int) -> Callable[[Any], Any] | None:
    """ParetoBandit's route over as many models, on ready vectors of its own size; None where it is not installed."""
    try:
        from pareto_bandit import BanditRouter, FeatureService
    except ImportError:
        return None
    registry = {f"m{i}": {"input_cost_per_m": 0.1 + i, "output_cost_per_m": 0.4 + 2 * i} for i in range(arms)}
    router = BanditRouter(registry, feature_service=FeatureService.for_precomputed(PEER_DIMENSION))
    route: Callable[[Any], Any] = router.route
    return route


def text_to_decision(rounds: int) -> float:
    """Median microseconds from a text of 500 characters to a decision."""
    words = ["model", "router", "learns", "from", "feedback", "which", "answer", "is", "worth", "its", "price"]
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(words, 120))[:500] for _ in range(rounds)]
    models = [Model(f"m{i}", input_usd_per_mtok=0.1 + i, output_usd_per_mtok=1.0 + i) for i in range(3)]
    taken = []
    with Router(models, encoder=TextEncoder(), seed=0) as router:
        for text in texts:
            since = time.perf_counter_ns()
            router.decide(Request.from_text(text))
            taken.append(time.perf_counter_ns() - since)
    return statistics.median(taken) / 1e3


def import_time() -> float:
    """Best of five times that a fresh interpreter takes to import the package, less its own start."""

    def best(code: str) -> float:
        taken = []
        for _ in range(5):
            since = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            taken.append(time.perf_counter() - since)
        return min(taken)

    return best("import armwise") - best("pass")


if __name__ == "__main__":
    main()
