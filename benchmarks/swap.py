"""Swapping policies under load: failed decisions, how long deciding takes meanwhile, and how soon the new one serves.

    python benchmarks/swap.py [--swaps 30] [--seconds 0.5] [--arms 12]

A service with a DuckDB log decides and learns without a pause. Another process promotes one snapshot after another, as
`armwise models promote` does. A decision is *during* a swap if it ends between the promotion and the first decision of
the new policy, or within 50 ms after. In the same run, as a null, the same windows are taken half-way between swaps.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from armwise import Model, Request, Router
from armwise.contracts import Arm, Experience, PoolChange
from armwise.decider import Decider
from armwise.features import VectorEncoder
from armwise.pacing import Objective, make_pacer
from armwise.policies import make_policy
from armwise.registry import Registry

SETTLE_S = 0.05


def models(count: int) -> list[Model]:
    return [Model(f"m{k}", input_usd_per_mtok=0.1 * (k + 1), output_usd_per_mtok=0.4 * (k + 1)) for k in range(count)]


def put(registry: Registry, arms: int, dimension: int, seed: int) -> str:
    """A policy trained elsewhere; its version."""
    decider = Decider(
        policy=make_policy("thompson", dimension),
        pacer=make_pacer(Objective.tradeoff(), cost_ref_usd=1e-3),
        dimension=dimension,
        policy_version="bench",
        feature_version=VectorEncoder(dimension).version,
    )
    for model in models(arms):
        decider.change_pool(PoolChange(action="add", arm=Arm.of(model)))
    rng = np.random.default_rng(seed)
    for _ in range(500):
        x = rng.normal(size=dimension)
        x[0] = 1.0
        decider.policy.learn(Experience(x, int(rng.integers(arms)), float(rng.random() < 0.5)))
    saved = registry.snapshots.save(
        decider.state(), position=0, feature_version=decider.feature_version, policy={"name": "thompson"}
    )
    return saved.version


def promote(directory: str, versions: list[str], swaps: int, every_s: float, out: Connection) -> None:
    """Another process: promote in turn; sends when each was published, by the monotonic clock."""
    registry = Registry(directory)
    times = []
    for i in range(swaps):
        time.sleep(every_s)
        registry.promote(versions[i % len(versions)], by="bench")
        times.append(time.monotonic())
    time.sleep(every_s)
    out.send(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1.0, help="between two swaps")
    parser.add_argument("--arms", type=int, default=12)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "armwise.duckdb"
        registry = Registry.of(path)
        versions = [put(registry, args.arms, args.dimension, seed) for seed in range(3)]
        rng = np.random.default_rng(9)
        x = rng.normal(size=(512, args.dimension)).astype(np.float32).astype(float)
        x[:, 0] = 1.0
        requests = [Request(vector=row, input_tokens=200) for row in x]
        router = Router(
            models(args.arms), log=path, encoder=VectorEncoder(args.dimension), seed=1, objective=Objective.tradeoff()
        )
        ends, took, served, failed = [], [], [], 0
        with router:
            for i in range(2_000):  # warm
                router.observe(router.decide(requests[i % 512]).id, quality=0.5)
            ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
            other = multiprocessing.get_context("spawn").Process(
                target=promote, args=(str(registry.directory), versions, args.swaps, args.seconds, theirs)
            )
            other.start()
            i, until = 0, time.monotonic() + 600.0
            while not ours.poll():
                if time.monotonic() > until:
                    raise SystemExit("the promoting process did not end")
                began = time.perf_counter()
                try:
                    decision = router.decide(requests[i % 512])
                except Exception as error:  # noqa: BLE001  # whatever it is, it is a failure
                    failed += 1
                    print(f"failed: {error!r}")
                    continue
                took.append(time.perf_counter() - began)
                ends.append(time.monotonic())
                served.append(decision.policy_version)
                router.observe(decision.id, quality=float(i % 3 == 0), cost_usd=1e-4)
                i += 1
                if other.exitcode is not None and not ours.poll():
                    raise SystemExit("the promoting process died")
            times = ours.recv()
            other.join()
    end, spent = np.array(ends), np.array(took) * 1e6
    during, null, delays = np.zeros(len(end), bool), np.zeros(len(end), bool), []
    for number, at in enumerate(times):
        version = versions[number % len(versions)]
        first = next((t for t, v in zip(ends, served, strict=True) if t > at and v == version), None)
        if first is None:
            failed += 1
            continue
        delays.append(first - at)
        during |= (end >= at) & (end <= first + SETTLE_S)
        shift = args.seconds / 2
        null |= (end >= at + shift) & (end <= first + SETTLE_S + shift)
    usual = ~during
    found = {
        "decisions": len(end),
        "failed": failed,
        "swaps": len(times),
        "usual_p50_us": float(np.median(spent[usual])),
        "usual_p99_us": float(np.quantile(spent[usual], 0.99)),
        "during_p99_us": float(np.quantile(spent[during], 0.99)),
        "null_p99_us": float(np.quantile(spent[null & usual], 0.99)),
        "during_over_usual": float(np.quantile(spent[during], 0.99) / np.quantile(spent[usual], 0.99)),
        "longest_during_us": float(spent[during].max()),
        "longest_usual_us": float(spent[usual].max()),
        "effect_after_s_median": float(np.median(delays)),
        "effect_after_s_max": float(np.max(delays)),
    }
    if args.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<24} {value:,.3f}" if isinstance(value, float) else f"{name:<24} {value:,}")


if __name__ == "__main__":
    main()
