"""The provider that is used most goes down: how long until traffic has moved, and until it is back.

    python benchmarks/outage.py [--rate 50] [--json]

Requests come at an even rate through the gateway. After a while the provider most used answers 503 to everything, in a
second run it resets connections, in a third it falls silent. Given: errors that clients saw; from when on no more than
one decision in five goes to it in any second (the rest are probes); the slowest answer; how long after the end of the
outage until the provider answers again, and until it has nine tenths of its former share (over two seconds).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from armwise.testing.simulator import Failures, ProviderSimulator, SimulatedModel
from gateways import processes
from gateways.load import exchange, post, request

BEFORE_S, DOWN_S, AFTER_S = 20.0, 10.0, 20.0
"""Seconds; before the outage, long enough to have learned which provider is to be used most: the cheapest."""
KINDS = ("503", "reset", "silence")


class Call:
    """One request: when it was sent, how long it took, what came."""

    def __init__(self, at: float, seconds: float, status: int, told: dict[str, Any]) -> None:
        self.at, self.seconds, self.status = at, seconds, status
        self.arm = told.get("arm", "")
        self.drawn = told.get("drawn", self.arm)


async def ask(port: int, number: int, began: float, calls: list[Call]) -> None:
    at = time.perf_counter()
    content = request("armwise/auto", stream=False, key="any", text=f"What is {number} + 30?")
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, body = await asyncio.wait_for(exchange(reader, writer, content), 60)
        status, told = int(head.split(b" ", 2)[1]), json.loads(body).get("armwise", {})
        calls.append(Call(at - began, time.perf_counter() - at, status, told))
        if status == 200 and number % 3 == 0:  # a third of the answers are judged, and all of them are right
            rated = {"decision_id": told["decision_id"], "kind": "quality", "value": 1.0}
            await exchange(reader, writer, post("/v1/feedback", rated))
        writer.close()
    except (OSError, EOFError, TimeoutError):
        calls.append(Call(at - began, time.perf_counter() - at, 0, {}))


async def traffic(port: int, rate: float, seconds: float, began: float, calls: list[Call]) -> None:
    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(port, number, began, calls)))
    await asyncio.gather(*tasks)


async def play(simulator: ProviderSimulator, port: int, rate: float, kind: str) -> dict[str, Any]:
    began = time.perf_counter()
    calls: list[Call] = []
    running = asyncio.create_task(traffic(port, rate, BEFORE_S + DOWN_S + AFTER_S, began, calls))
    await asyncio.sleep(BEFORE_S)
    most = Counter(call.arm for call in calls if call.at > BEFORE_S / 2).most_common(1)[0][0]
    if kind == "silence":
        await asyncio.to_thread(simulator.set_failures, most, Failures(stall=1.0, stall_s=3600.0))
    else:
        await asyncio.to_thread(simulator.outage, most, reset=kind == "reset")
    down = time.perf_counter() - began
    await asyncio.sleep(DOWN_S)
    await asyncio.to_thread(simulator.clear)
    up = time.perf_counter() - began
    await running
    seconds = [
        float(np.mean([call.drawn == most for call in calls if start <= call.at < start + 1.0] or [0.0]))
        for start in np.arange(down, up - 1.0, 0.25)
    ]
    moved = max((0.25 * (at + 1) for at, share in enumerate(seconds) if share > 0.2), default=0.0)
    drawn_down = [call for call in calls if down <= call.at < up and call.drawn == most]
    back = [call.at for call in calls if call.at >= up and call.arm == most and call.status == 200]
    before = float(np.mean([call.arm == most for call in calls if BEFORE_S / 2 <= call.at < down]))
    regained = next(
        (
            float(start) - up
            for start in np.arange(up, BEFORE_S + DOWN_S + AFTER_S - 2.0, 0.1)
            if np.mean([call.arm == most for call in calls if start <= call.at < start + 2.0]) >= 0.9 * before
        ),
        float("inf"),
    )
    return {
        "most_used": most,
        "requests": len(calls),
        "errors_seen": sum(call.status != 200 for call in calls),
        "drawn_while_down": len(drawn_down),
        "moved_within_s": moved,
        "slowest_s": max(call.seconds for call in calls),
        "back_after_s": min(back, default=float("inf")) - up,
        "share_regained_after_s": regained,
        "share_before": before,
        "share_while_down": float(np.mean([call.arm == most for call in calls if down + 2 <= call.at < up])),
        "share_after": float(np.mean([call.arm == most for call in calls if call.at > up + 6])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    told = {}
    for kind in options.kinds:
        models = [SimulatedModel(name, skill=3.0, latency_ms=20.0, verbosity=0.2) for name in ("one", "two", "three")]
        with tempfile.TemporaryDirectory() as name, ProviderSimulator(models, process=True) as simulator:
            folder, port = Path(name), processes.free_port()
            prices = {"one": 0.1, "two": 10.0, "three": 15.0}
            config = {
                "models": [
                    {
                        "name": model.name,
                        "input_usd_per_mtok": prices[model.name],
                        "output_usd_per_mtok": 4 * prices[model.name],
                        "base_url": simulator.base_url,
                    }
                    for model in simulator.models()
                ],
                "log": str(folder / "outage.duckdb"),
                "fallback": {"arm_timeout_s": 1.0},
                "rewards": {"client_signals_per_minute": 1e6, "max_client_share": 1.0},
                "gateway": {"port": port},
            }
            (folder / "outage.yaml").write_text(yaml.safe_dump(config))
            with processes.serve(folder / "outage.yaml", port, folder):
                told[kind] = asyncio.run(play(simulator, port, options.rate, kind))
    if options.json:
        print(json.dumps(told))
        return
    for kind, found in told.items():
        print(kind)
        for key, value in found.items():
            print(f"  {key:18} {value if isinstance(value, (str, int)) else round(value, 3)}")


if __name__ == "__main__":
    main()
