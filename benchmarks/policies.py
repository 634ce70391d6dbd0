"""Time of a choice and of a lesson, per policy: twelve arms, 24 features, as a ratio to the default in the same run.

    python benchmarks/policies.py [--rounds 1000] [--arms 12] [--dimension 24] [--json]

The policy alone, with no router around it: a context vector goes in, probabilities come out. Each policy has learned
500 lessons before it is timed. Policies take turns in blocks of 20 calls, so that what disturbs one disturbs all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from armwise.contracts import Arm, Experience, Model
from armwise.policies import POLICIES, make_policy
from armwise.policies.vw import REDUCTIONS

LEARNED, BLOCK = 500, 20
DEFAULT = "thompson"
CASES: dict[str, dict[str, Any]] = {name: {"name": name} for name in POLICIES if name not in ("fixed", "vw", "river")}
CASES["fixed"] = {"name": "fixed", "arm": "m0"}
CASES["thompson, shared engine"] = {"name": "thompson", "engine": "shared"}
CASES["thompson, calibrated"] = {"name": "thompson", "model": {"calibrate": True}}
CASES["squarecb, vw engine"] = {"name": "squarecb", "engine": "vw"}
CASES |= {f"vw, {reduction}": {"name": "vw", "reduction": reduction} for reduction in REDUCTIONS}
CASES |= {f"river, {bandit}": {"name": "river", "bandit": bandit} for bandit in ("linucb", "ucb", "thompson")}


def measure(rounds: int, arms: int, dimension: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(LEARNED + rounds, dimension)) / np.sqrt(dimension)).astype(np.float32).astype(float)
    vectors[:, 0] = 1.0
    slots, penalty = np.arange(arms, dtype=np.intp), np.linspace(0.0, 0.1, arms)
    policies = {label: make_policy(dimension=dimension, **settings) for label, settings in CASES.items()}
    lessons = [Experience(vector, int(rng.integers(arms)), float(rng.random() < 0.7), 1.0 / arms) for vector in vectors]
    for policy in policies.values():
        for k in range(arms):
            policy.add_arm(Arm.of(Model(f"m{k}", input_usd_per_mtok=0.1 + k, output_usd_per_mtok=1.0 + k)))
        for lesson in lessons[:LEARNED]:
            policy.learn(lesson)
    choosing: dict[str, list[int]] = {label: [] for label in policies}
    learning: dict[str, list[int]] = {label: [] for label in policies}
    now = time.perf_counter_ns
    for start in range(LEARNED, LEARNED + rounds, BLOCK):
        for label, policy in policies.items():
            for place, vector in enumerate(vectors[start : start + BLOCK]):
                since = now()
                policy.choose(vector, slots, penalty, seed=start + place)
                choosing[label].append(now() - since)
            for lesson in lessons[start : start + BLOCK]:
                since = now()
                policy.learn(lesson)
                learning[label].append(now() - since)
    reference = statistics.median(choosing[DEFAULT])
    return [
        {
            "policy": label,
            "choose_us": statistics.median(choosing[label]) / 1e3,
            "choose_p99_us": float(np.quantile(choosing[label], 0.99)) / 1e3,
            "learn_us": statistics.median(learning[label]) / 1e3,
            "ratio": statistics.median(choosing[label]) / reference,
        }
        for label in policies
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--arms", type=int, default=12)
    parser.add_argument("--dimension", type=int, default=24)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.rounds, options.arms, options.dimension)
    if options.json:
        json.dump(rows, sys.stdout)
        print()
        return
    board = Table("policy", "choose p50 us", "p99", f"to {DEFAULT}", "learn p50 us")
    for row in sorted(rows, key=lambda row: row["choose_us"]):
        board.add_row(
            row["policy"],
            f"{row['choose_us']:.1f}",
            f"{row['choose_p99_us']:.0f}",
            f"{row['ratio']:.1f}",
            f"{row['learn_us']:.1f}",
        )
    console = Console(width=100)
    console.print(f"{options.arms} arms, {options.dimension} features, {options.rounds:,} calls each")
    console.print(board)


if __name__ == "__main__":
    main()
