"""What a whole run of retraining costs: reading, learning, choosing, confirming and publishing.

    python benchmarks/retrain.py [--rows 1000000] [--candidates 5] [--arms 12]

A DuckDB log of so many decisions over contexts of the text encoder's size, each with a bill, a latency and a quality,
logged by a policy that explores. `retrain` runs in a process of its own; seconds and processor seconds by step, and the
peak of resident memory. On a busy machine processor seconds are the ones to compare.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from armwise import Model
from armwise.config import parse_config
from armwise.contracts import Arm, PoolChange
from armwise.features import TextEncoder
from armwise.log import DuckDBLog
from armwise.retraining import retrain

CANDIDATES = (
    {"name": "thompson", "policy": "thompson"},
    {"name": "linear", "policy": {"name": "thompson", "engine": "linear"}},
    {"name": "forgetful", "policy": {"name": "thompson", "engine": "linear", "model": {"forgetting": 0.9995}}},
    {"name": "squarecb", "policy": {"name": "squarecb", "engine": "logistic"}},
    {"name": "recent", "policy": {"name": "epsilon", "epsilon": 0.02, "horizon": None}, "window_rows": 200_000},
)
BLOCK = 50_000


def model(k: int) -> Model:
    return Model(f"m{k}", input_usd_per_mtok=0.1 * (k + 1), output_usd_per_mtok=0.4 * (k + 1))


def build(path: Path, rows: int, arms: int) -> None:
    """Write the log, a block at a time and past the writer, which would have to make a record of each event."""
    encoder = TextEncoder()
    d, names = len(encoder.names), [f"m{k}" for k in range(arms)]
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(d, arms)) * 0.08
    with DuckDBLog(path) as log:
        for k in range(arms):
            log.append(PoolChange(action="add", arm=Arm.of(model(k)), at=1e9))
        log.flush()
        cursor = log.cursor()
        for start in range(0, rows, BLOCK):
            n = min(BLOCK, rows - start)
            position = arms + 1 + 4 * np.arange(start, start + n, dtype=np.int64)
            x = rng.normal(size=(n, d)).astype(np.float32)
            x[:, 0] = 1.0
            score = x @ weights + np.linspace(-0.5, 0.8, arms)
            quality = 1.0 / (1.0 + np.exp(-score))
            p = np.exp(1.5 * score - (1.5 * score).max(axis=1, keepdims=True)) + 0.05
            p /= p.sum(axis=1, keepdims=True)
            arm = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=arms - 1)
            at = np.arange(n)
            cost = 1e-4 * (arm + 1) * rng.gamma(4.0, 0.25, size=n)
            latency = 200.0 * (arm + 1) * rng.gamma(4.0, 0.25, size=n)
            told = (rng.random(n) < quality[at, arm]).astype(float)
            ids = pa.array([f"d{i}" for i in range(start, start + n)])
            flat = pa.array(np.arange(0, n * arms + 1, arms, dtype=np.int32))
            chosen = pa.array(np.array(names, dtype=object)[arm])
            decisions = pa.table(
                {
                    "position": position,
                    "id": ids,
                    "unix_time": 1e9 + start + at.astype(float),
                    "arm": chosen,
                    "propensity": p[at, arm],
                    "predicted_quality": quality[at, arm],
                    "predicted_cost_usd": 1e-4 * (arm + 1.0),
                    "predicted_latency_ms": 200.0 * (arm + 1.0),
                    "cost_weight": np.full(n, 0.02),
                    "latency_weight": np.zeros(n),
                    "cost_ref_usd": np.full(n, 1e-3),
                    "latency_ref_ms": np.full(n, 1e3),
                    "task": pa.array(np.array(["chat", "code", "maths", "law"], dtype=object)[at % 4]),
                    "input_tokens": rng.integers(20, 2_000, size=n),
                    "tools": np.zeros(n, dtype=bool),
                    "policy_version": pa.array(["bench"] * n),
                    "feature_version": pa.array([encoder.version] * n),
                    "method": pa.array(["exact"] * n),
                    "seed": rng.integers(0, 2**63, size=n).astype(np.uint64),
                    "arms": pa.ListArray.from_arrays(flat, pa.array(names * n)),
                    "probability_of": pa.ListArray.from_arrays(flat, pa.array(p.ravel())),
                    "vector": pa.ListArray.from_arrays(
                        pa.array(np.arange(0, n * d + 1, d, dtype=np.int32)), pa.array(x.ravel())
                    ),
                }
            )
            parts = (("cost_usd", cost, 1), ("latency_ms", latency, 2), ("quality", told, 3))
            signals = pa.concat_tables(
                pa.table(
                    {
                        "position": position + offset,
                        "decision_id": ids,
                        "kind": pa.array([kind] * n),
                        "value": values,
                        "source": pa.array(["app"] * n),
                        "event_id": pa.array([kind] * n),
                        "unix_time": 1e9 + start + at.astype(float),
                    }
                )
                for kind, values, offset in parts
            )
            for name, table in (("decisions", decisions), ("signals", signals)):
                cursor.register("block", table)
                cursor.execute(f"INSERT INTO {name} BY NAME SELECT * FROM block")
                cursor.unregister("block")
        cursor.close()


def config(path: Path, arms: int, candidates: int) -> dict[str, object]:
    return {
        "models": [
            {
                "name": one.name,
                "input_usd_per_mtok": one.input_usd_per_mtok,
                "output_usd_per_mtok": one.output_usd_per_mtok,
            }
            for one in map(model, range(arms))
        ],
        "log": str(path),
        "retrain": {"candidates": list(CANDIDATES[:candidates]), "report": None},
    }


def child(path: str, arms: int, candidates: int) -> None:
    """One run; prints what it cost as JSON."""
    began, used = time.perf_counter(), time.process_time()
    steps: dict[str, list[float]] = {}

    def tell(step: str, done: int, total: int) -> None:
        now = [time.perf_counter() - began, time.process_time() - used]
        steps.setdefault(step, [*now, *now])[2:] = now

    found = retrain(parse_config(config(Path(path), arms, candidates)), on_progress=tell)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "processor_seconds": time.process_time() - used,
                "peak_gb": peak,
                "rows": found.data["rows"],
                "winner": found.winner,
                "promoted": found.promoted,
                "reason": found.reason,
                "steps_ended_at": {step: times[2] for step, times in steps.items()},
                "steps_ended_at_processor_s": {step: times[3] for step, times in steps.items()},
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--arms", type=int, default=12)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.arms, args.candidates)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "armwise.duckdb"
        began = time.perf_counter()
        build(path, args.rows, args.arms)
        print(f"built {args.rows:,} rows in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
        command = [sys.executable, __file__, "--child", str(path), "--arms", str(args.arms)]
        done = subprocess.run(
            [*command, "--candidates", str(args.candidates)], capture_output=True, text=True, check=False
        )
        print(done.stdout or done.stderr)


if __name__ == "__main__":
    main()
