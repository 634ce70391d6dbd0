"""What an answer costs, each side in a fresh process."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from armwise.evaluation import LoggedFeedback, evaluate
from off_policy.machine import SPEED_ARMS, child, peak_mib, speed_arrays
from off_policy.obp_side import peer


def speed(rows: int, obp: str | None) -> dict[str, Any]:
    """Print ours beside theirs."""
    ours = child([sys.executable, "-m", "off_policy.speed", str(rows)])
    theirs = peer(obp, ["--rows", str(rows)]) if obp else {}
    print(f"\n### {rows} rows x 10 arms, 1,000 resamples, one process each")
    print("| | armwise s | obp s | ratio | armwise interval | obp interval |\n|---|---|---|---|---|---|")
    for name in ("dr", "snips", "ips"):
        a, b = ours[name], theirs.get(name)
        beside = f"{b['seconds']:.2f} | {b['seconds'] / a['seconds']:.1f}x" if b else " | "
        interval = f"{b['lower']:.5f} {b['upper']:.5f}" if b else ""
        print(f"| {name} | {a['seconds']:.3f} | {beside} | {a['lower']:.5f} {a['upper']:.5f} | {interval} |")
    print(
        f"peak memory of the dr run: armwise {ours['peak_mib']:.0f} MiB (inputs alone {ours['inputs_mib']:.0f})", end=""
    )
    print(f", obp {theirs['peak_mib']:.0f} MiB (inputs alone {theirs['inputs_mib']:.0f})" if theirs else "")
    return {"ours": ours, "obp": theirs}


def of_arrays(rows: int) -> dict[str, Any]:
    """Seconds and the peak memory of the first."""
    x = speed_arrays(rows)
    out: dict[str, Any] = {"inputs_mib": peak_mib()}
    for estimator in ("dr", "snips", "ips"):
        start = time.perf_counter()
        feedback = LoggedFeedback(
            arms=SPEED_ARMS, arm=x["arm"], propensity=x["propensity"], outcomes={"reward": x["reward"]}
        )
        result = evaluate(
            feedback,
            {"t": x["target"]},
            estimator=estimator,
            interval="bootstrap",
            predictions=x["q"] if estimator == "dr" else None,
            rng=np.random.default_rng(1),
        )
        seconds = time.perf_counter() - start
        e = result.estimate("t")
        out[estimator] = {"seconds": seconds, "value": e.value, "lower": e.lower, "upper": e.upper}
        out.setdefault("peak_mib", peak_mib())
    return out


if __name__ == "__main__":
    print(json.dumps(of_arrays(int(sys.argv[1]))))
