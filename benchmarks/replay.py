"""How fast does a policy replay a table of outcomes?

    python benchmarks/replay.py [--sweep] [--jobs 2]

Rounds a second of one core's time (so that others on the machine count little), default policy and others, on the
packaged table (12,002 prompts, 12 arms): decide, reveal, learn, and all the accounting of a run. ``--sweep`` runs
8 settings x 20 seeds of the whole table through the study runner, cells and Parquet included, and prints the minutes,
and those of processor time that the replays took: what the clock would show on idle cores.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # one core is one core

from armwise.simulation import OutcomeTable, parse_study, replay  # noqa: E402 - numpy reads the two when it is imported
from armwise.simulation.sweep import run_cells  # noqa: E402 - as above
from armwise.simulation.worlds import TableWorld  # noqa: E402 - as above

POLICIES = ("thompson", "squarecb", "epsilon", "linucb", "uniform")
BUDGETS = [0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]


def one_core(repeats: int) -> None:
    table = OutcomeTable.packaged()
    episode = TableWorld(table).episode(0)
    print(f"{len(table):,} rounds, {len(table.arms)} arms, {table.dimension} features; best of {repeats}")
    print("| policy | rounds a second | mean quality | USD per 1,000 |\n|---|---|---|---|")
    for policy in POLICIES:
        best = 0.0
        for _ in range(repeats):
            started = time.process_time()
            run = replay(episode, policy=policy, cost_weight=0.1)
            best = max(best, len(run) / (time.process_time() - started))
        print(f"| {policy} | {best:,.0f} | {run.mean_quality:.4f} | {1e3 * run.mean_cost_usd:.4f} |", flush=True)


def sweep(jobs: int) -> None:
    study = parse_study(
        {
            "worlds": [{"name": "mmlu_pro", "kind": "packaged"}],
            "policies": ["thompson"],
            "budgets": BUDGETS,
            "seeds": 20,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        results = run_cells(study, Path(folder), jobs=jobs)
        seconds = time.perf_counter() - started
    rounds, core = sum(results["rounds"].to_pylist()), sum(results["seconds"].to_pylist())
    print(
        f"{results.num_rows} replays, {rounds:,} rounds on {jobs} processes: {seconds / 60:.1f} minutes by the clock; "
        f"{core / 60:.1f} minutes of processor time ({rounds / core:,.0f} rounds a second and core), so "
        f"{core / 60 / jobs:.1f} on {jobs} idle cores"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if args.sweep:
        sweep(args.jobs)
    else:
        one_core(args.repeats)


if __name__ == "__main__":
    main()
