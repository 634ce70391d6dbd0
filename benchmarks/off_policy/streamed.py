"""What a log costs that does not fit in memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from armwise.evaluation import LoggedFeedback, StreamingEvaluation
from off_policy.machine import SPEED_ARMS, environment, peak_mib


def stream(rows: int) -> None:
    """Print what it costs, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/log.parquet"
        with duckdb.connect() as connection:
            connection.sql("select setseed(0.5)")
            connection.sql(
                "copy (select floor(random() * 10)::int as arm, 0.1::double as propensity, "
                "(random() < 0.5)::int::double as reward, floor(random() * 10)::int as target "
                f"from range({rows})) to '{path}' (format parquet)"
            )
        print(f"{rows} rows, {Path(path).stat().st_size / 2**20:.0f} MiB of Parquet", flush=True)
        subprocess.run([sys.executable, "-m", "off_policy.streamed", path], check=True, env=environment())


def of_stream(path: str) -> None:
    """A log of scalar columns: pi_e of the logged arm is enough for IPS and SNIPS with a deterministic target."""
    start = time.perf_counter()
    streams = {name: StreamingEvaluation(estimator=name) for name in ("ips", "snips")}
    connection = duckdb.connect(config={"memory_limit": "300MB", "threads": 1})
    for batch in connection.sql(f"select arm, propensity, reward, target from '{path}'").to_arrow_reader(1 << 17):
        column = {name: batch.column(name).to_numpy() for name in batch.schema.names}
        feedback = LoggedFeedback(
            arms=SPEED_ARMS, arm=column["arm"], propensity=column["propensity"], outcomes={"reward": column["reward"]}
        )
        for evaluation in streams.values():
            evaluation.update(feedback, {"t": column["target"]})
    for name, evaluation in streams.items():
        e = evaluation.result().estimate("t")
        print(f"{name}: {e.value:.5f} [{e.lower:.5f}, {e.upper:.5f}]")
    print(f"{time.perf_counter() - start:.2f} s, peak {peak_mib():.0f} MiB")


if __name__ == "__main__":
    of_stream(sys.argv[1])
