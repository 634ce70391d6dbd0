"""What the gateway costs: requests/s, overhead and time to the first byte, beside the LiteLLM proxy.

    make bench-gateway    (or: python benchmarks/gateway.py [--json] [--rounds 3] [--requests 2000] [--upstream-ms 0])

Both stand in front of the same mock upstream, which answers at once or after ``--upstream-ms``; one worker each; the
same two models to choose from, a key, and a decision. Overhead is latency beyond that of asking the upstream directly,
in the same round and with the same load. Rounds alternate between the servers, and the median of the rounds is given.
armwise decides, learns, and writes its log to disk before each answer ends, which takes longer than an upstream that
answers at once; the proxy has no database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from gateways import processes
from gateways.load import Measured, load, request

Row = dict[str, float]


def measure(port: int, model: str, requests: int) -> dict[str, Measured]:
    """One server once."""
    whole = request(model, stream=False, key=processes.KEY)
    stream = request(model, stream=True, key=processes.KEY)

    def run(content: bytes, count: int, connections: int) -> Measured:
        measured = asyncio.run(load(port, content, count=count, connections=connections))
        assert not measured.failed, f"{measured.failed} of {count} requests failed"
        return measured

    run(whole, 50, 4)
    return {
        "alone": run(whole, max(50, requests // 4), 1),
        "busy": run(whole, requests, 32),
        "stream": run(stream, max(50, requests // 4), 1),
    }


def row(server: dict[str, Measured], bare: dict[str, Measured]) -> Row:
    """The figures of one round."""
    alone, busy, stream = server["alone"], server["busy"], server["stream"]
    return {
        "rps": busy.rps,
        "overhead_p50_ms": alone.quantile(0.5) - bare["alone"].quantile(0.5),
        "overhead_p99_ms": alone.quantile(0.99) - bare["alone"].quantile(0.99),
        "busy_overhead_p50_ms": busy.quantile(0.5) - bare["busy"].quantile(0.5),
        "busy_overhead_p99_ms": busy.quantile(0.99) - bare["busy"].quantile(0.99),
        "first_byte_delay_p50_ms": stream.quantile(0.5, True) - bare["stream"].quantile(0.5, True),
        "first_byte_delay_p99_ms": stream.quantile(0.99, True) - bare["stream"].quantile(0.99, True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--upstream-ms", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: dict[str, list[Row]] = {"armwise": []}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        mock, ours, theirs = (processes.free_port() for _ in range(3))
        stack.enter_context(processes.upstream(mock, folder, options.upstream_ms))
        stack.enter_context(processes.armwise(ours, mock, folder))
        ports: dict[str, tuple[int, str]] = {"armwise": (ours, "armwise/auto")}
        if (processes.PEERS / "litellm").exists():
            stack.enter_context(processes.litellm(theirs, mock, folder))
            ports["litellm"] = (theirs, "auto")
            rows["litellm"] = []
        for _ in range(options.rounds):
            bare = measure(mock, "mock", options.requests)
            for server, (port, model) in ports.items():
                rows[server].append(row(measure(port, model, options.requests), bare))
    median: dict[str, Row] = {
        server: {key: float(np.median([one[key] for one in of])) for key in of[0]} for server, of in rows.items()
    }
    ratio: Row = {}
    if "litellm" in median:
        ratio = {key: median["armwise"][key] / median["litellm"][key] for key in median["armwise"]}
    if options.json:
        print(json.dumps({"median": median, "rounds": rows, **({"ratio": ratio} if ratio else {})}))
        return
    print(f"{'':28}" + "".join(f"{server:>12}" for server in median) + f"{'ratio':>12}")
    for key in median["armwise"]:
        cells = "".join(f"{of[key]:12.2f}" for of in median.values())
        print(f"{key:28}{cells}" + (f"{ratio[key]:12.3f}" if ratio else ""))
    if "litellm" not in median:
        print(f"no peer: {processes.PEERS / 'litellm'} is not there; make bench-gateway installs it")


if __name__ == "__main__":
    main()
