"""Off-policy evaluation: do the intervals hold, and what does an answer cost?

    python benchmarks/ope.py coverage [--table routerbench_subset] [--replications 500] [--obp /path/to/venv/bin/python]
    python benchmarks/ope.py speed    [--rows 1000000] [--obp ...]
    python benchmarks/ope.py stream   [--rows 10000000]
    python benchmarks/ope.py thresholds
    python benchmarks/ope.py ranking   [--replications 500]

coverage  Full-information outcomes of twelve models on 12,002 MMLU-Pro prompts, or of eleven on RouterBench's
          (ARMWISE_DATA). A policy logs rows drawn with replacement; the truth is the target's mean over all prompts.
          Per estimator: bias, RMSE, width, and how often the 95 % interval covers, in brackets among the logs whose
          verdict did not refuse. Anytime-valid sequences are watched at every step: one miss in a run counts.
speed     One doubly robust estimate with a 1,000-resample interval; peak memory of a fresh process, inputs included.
stream    IPS and SNIPS over a Parquet log read by DuckDB in Arrow batches.
thresholds  RMSE of tuned estimators under the published SLOPE widths and under paired ones.
ranking   RMSE on a classification set turned into a bandit (scikit-learn's digits), under a logging policy near the
          target and one far from it, beside the published order.

obp (0.5.7) wants its own environment: pip install --no-deps --ignore-requires-python obp==0.5.7, then numpy scipy
pandas scikit-learn tqdm pyyaml matplotlib seaborn.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # small matrices: more threads only wait for each other

from off_policy.choices import ranking, thresholds  # noqa: E402 - numpy reads the two when it is imported
from off_policy.coverage import coverage  # noqa: E402 - as above
from off_policy.speed import speed  # noqa: E402 - as above
from off_policy.streamed import stream  # noqa: E402 - as above
from off_policy.worlds import World  # noqa: E402 - as above

ROWS = {"coverage": 10_000, "speed": 1_000_000, "stream": 10_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("coverage", "speed", "stream", "thresholds", "ranking"))
    parser.add_argument("--replications", type=int, default=500)
    parser.add_argument("--rows", type=int, help=f"by default {ROWS}")
    parser.add_argument("--table", default="mmlu_pro", choices=("mmlu_pro", "routerbench_subset"))
    parser.add_argument("--behaviour", help="only this logging policy, by its name in the report")
    parser.add_argument("--obp", help="python of an environment that has obp 0.5.7")
    parser.add_argument("--obp-replications", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the figures of coverage and speed here")
    args = parser.parse_args()
    rows = args.rows or ROWS.get(args.command, 0)
    if args.command == "coverage":
        found: list[dict[str, Any]] = []
        for part in coverage(
            World.read(args.table),
            rows=rows,
            replications=args.replications,
            only=args.behaviour,
            obp=args.obp,
            obp_replications=args.obp_replications,
        ):
            found += part
            keep(args.json, found)
    elif args.command == "speed":
        keep(args.json, speed(rows, args.obp))
    elif args.command == "stream":
        stream(rows)
    elif args.command == "thresholds":
        thresholds()
    else:
        ranking(args.replications)


def keep(path: Path | None, figures: Any) -> None:
    if path:
        path.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
