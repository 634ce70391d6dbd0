"""``armwise evaluate`` at the size of a busy service: a published log of a million decisions, twelve arms.

    python benchmarks/evaluate_log.py [--rows 1000000] [--candidates 5] [--estimator dr] [--features 24]

Makes a log as a service would publish it (decisions and three signals each, in Parquet), then evaluates candidates that
learn from its first half and are judged by its second. Prints seconds of each step and the peak memory of the process
that evaluates, which is a fresh one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from armwise.contracts import Arm, Model, PoolChange
from armwise.log import DuckDBLog, open_reader
from armwise.offline import Question, evaluate_log, make_candidates, summary
from off_policy.machine import peak_mib

POLICIES = ("thompson", "squarecb", "epsilon", "softmax", "uniform", "linucb", "fastcb")
ARMS = 12


def make(folder: str, rows: int, features: int) -> str:
    """A published log, written by DuckDB itself: a service would take an hour to make so many decisions."""
    live = Path(folder) / "log.duckdb"
    with DuckDBLog(live) as log:
        for k in range(ARMS):
            model = Model(f"m{k}", input_usd_per_mtok=0.1 * (k + 1), output_usd_per_mtok=0.4 * (k + 1))
            log.append(PoolChange(action="add", arm=Arm.of(model)))
        log.flush()
    connection = duckdb.connect(str(live))
    rng = np.random.default_rng(0)
    position = ARMS
    for start in range(0, rows, 100_000):
        n = min(100_000, rows - start)
        vectors = rng.normal(size=(n, features)).astype(np.float32) * 0.3
        vectors[:, 0] = 1.0
        p = rng.dirichlet(np.ones(ARMS), n) * 0.7 + 0.3 / ARMS
        arm = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, ARMS - 1)
        quality = (rng.random(n) < 1 / (1 + np.exp(-(0.15 * arm - 0.5 + vectors[:, 1])))).astype(float)
        names = pa.array([f"m{k}" for k in range(ARMS)])
        offsets = pa.array(np.arange(n + 1) * ARMS, type=pa.int32())
        ids = pa.array([f"d{start + i}" for i in range(n)])
        at = position + 1 + np.arange(n) * 4
        decisions = pa.table(
            {
                "position": at,
                "id": ids,
                "unix_time": 1.7e9 + start + np.arange(n, dtype=float),
                "arm": names.take(pa.array(arm)),
                "propensity": p[np.arange(n), arm],
                "predicted_quality": np.full(n, 0.5),
                "predicted_cost_usd": 1e-5 * (arm + 1),
                "predicted_latency_ms": np.full(n, 500.0),
                "cost_weight": np.full(n, 0.1),
                "latency_weight": np.zeros(n),
                "cost_ref_usd": np.full(n, 1e-4),
                "latency_ref_ms": np.full(n, 1e3),
                "task": np.where(vectors[:, 2] > 0, "code", "chat"),
                "input_tokens": rng.integers(20, 400, n),
                "tools": np.zeros(n, bool),
                "feature_version": np.full(n, "bench-1"),
                "policy_version": np.full(n, "p-1"),
                "method": np.full(n, "exact"),
                "seed": rng.integers(0, 2**63, n).astype(np.uint64),
                "arms": pa.ListArray.from_arrays(offsets, names.take(pa.array(np.tile(np.arange(ARMS), n)))),
                "probability_of": pa.ListArray.from_arrays(offsets, pa.array(p.ravel())),
                "vector": pa.ListArray.from_arrays(
                    pa.array(np.arange(n + 1) * features, type=pa.int32()), pa.array(vectors.ravel())
                ),
            }
        )
        connection.register("part", decisions)
        connection.execute("INSERT INTO decisions BY NAME SELECT * FROM part")
        for i, (kind, value) in enumerate(
            (("quality", quality), ("cost_usd", 1e-5 * (arm + 1)), ("latency_ms", 300.0 + 50.0 * arm)), 1
        ):
            signals = pa.table({"position": at + i, "decision_id": ids, "value": value, "unix_time": 1.7e9 + at})
            connection.register("part", signals)
            connection.execute(
                f"INSERT INTO signals BY NAME SELECT *, '{kind}' AS kind, 'app' AS source, '{kind}' AS event_id "
                "FROM part"
            )
        position += 4 * n
    connection.close()
    with DuckDBLog(live) as log:
        log.publish()
    live.unlink()
    return f"{live}.parquet"


def measure(args: argparse.Namespace) -> None:
    """In a process of its own."""
    steps: list[tuple[str, float]] = []
    started, worked = time.perf_counter(), time.process_time()

    def step(text: str) -> None:
        steps.append((text, time.perf_counter()))

    with open_reader(args.path) as log:
        step("summary")
        about = summary(log)
        candidates = make_candidates(POLICIES[: args.candidates], log, about)
        found = evaluate_log(log, candidates, Question(estimator=args.estimator), on_step=step)
    steps.append(("", time.perf_counter()))
    took: dict[str, float] = {}
    for (text, at), (_, after) in pairwise(steps):  # a candidate is asked block by block
        took[text] = took.get(text, 0.0) + after - at
    print(
        json.dumps(
            {
                "steps": took,
                "seconds": time.perf_counter() - started,
                "core_seconds": time.process_time() - worked,
                "peak_mib": peak_mib(),
                "rows": found.rows,
                "estimates": {
                    name: [round(v, 5) for v in (e.value, e.lower, e.upper)]
                    for name in found.candidates
                    for e in [found.estimate(name, "utility")]
                },
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--features", type=int, default=24)
    parser.add_argument("--estimator", default="dr")
    parser.add_argument("--path", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.path:
        measure(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        path = make(folder, args.rows, args.features)
        size = sum(file.stat().st_size for file in Path(path).rglob("*.parquet")) / 2**20
        print(f"made {args.rows:,} decisions, {size:.0f} MiB of Parquet, in {time.perf_counter() - started:.0f} s")
        options = ["--candidates", str(args.candidates), "--estimator", args.estimator]
        child = subprocess.run(
            [sys.executable, __file__, "--path", path, *options], check=True, stdout=subprocess.PIPE, text=True
        )
    found = json.loads(child.stdout.strip().splitlines()[-1])
    print("| step | seconds |\n|---|---|")
    for step, seconds in found["steps"].items():
        print(f"| {step} | {seconds:.1f} |")
    print(f"| all | {found['seconds']:.1f} |")
    print(f"| processor time, all threads | {found['core_seconds']:.1f} |")
    print(f"peak memory {found['peak_mib']:,.0f} MiB; {found['rows']:,} rows judged {args.candidates} candidates")
    for name, (value, low, high) in found["estimates"].items():
        print(f"  {name}: utility {value} [{low}, {high}]")


if __name__ == "__main__":
    main()
