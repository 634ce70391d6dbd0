"""Many requests through the gateway while its providers fail in every way they can.

    python benchmarks/soak.py [--requests 100000] [--faults 0.05] [--streamed 0.2] [--connections 32] [--json]

Every question has one right answer, and every simulated model knows it: an answer that is wrong was mixed up, cut or
made up on the way. Counted: requests without an answer, wrong answers, what is no answer; decisions and billed
costs in the log against the requests; resident memory of the gateway, at each tenth of the way and as a slope over the
second half. Every answer must be right, those of streams too that broke and were gone on with: they are counted as
``resumed``. Half of the streams ask for a temperature, so that the same call made again says something else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import numpy as np
import yaml

from armwise.testing.simulator import Failures, ProviderSimulator, SimulatedModel
from gateways import processes
from gateways.load import exchange, request

_PLACE = "sim-a", "sim-b", "sim-c", "sim-d"


def answer_of(head: bytes, body: bytes) -> tuple[str, str]:
    """(outcome, text): ``ok``, ``resumed``, ``broken`` (a stream that ended in an error), or the error's code."""
    if b"text/event-stream" not in head:
        data = json.loads(body)
        if not head.startswith(b"http/1.1 200"):
            return str(data["error"]["code"]), ""
        return "ok", data["choices"][0]["message"]["content"] or ""
    events = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    if not events or events[-1] != b"[DONE]":
        return "broken", ""
    chunks = [json.loads(event) for event in events[:-1]]
    resumed = chunks[-1]["armwise"].get("resumed")
    outcome = f"resumed, {resumed[-1]['how']}" if resumed else "ok"
    return outcome, "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


def slope(values: list[float]) -> tuple[float, float]:
    """Rise per step of a series and its standard error, which allows for neighbours that are alike (Newey & West)."""
    y = np.asarray(values)
    x = np.arange(len(y)) - (len(y) - 1) / 2
    rise = float(x @ y / (x @ x))
    score = x * (y - y.mean() - rise * x)
    lags = int(4 * (len(y) / 100) ** (2 / 9)) + 1
    spread = score @ score + sum(2 * (1 - k / (lags + 1)) * (score[k:] @ score[:-k]) for k in range(1, lags + 1))
    return rise, float(np.sqrt(max(spread, 0.0)) / (x @ x))


class Soak:
    """Args:
    port: of the gateway.
    pid: of its process.
    count, streamed: how many requests, and the share of them that is streamed.
    """

    def __init__(self, port: int, pid: int, count: int, streamed: float) -> None:
        self.outcomes: dict[str, Counter[str]] = {"whole": Counter(), "streamed": Counter()}
        self.wrong: list[str] = []
        self.slowest_ms = 0.0
        self.memory_mb: list[float] = []
        self._port, self._pid, self._count, self._streamed = port, pid, count, streamed
        self._next = 0

    async def client(self) -> None:
        """Ask one question after another."""
        reader = writer = None
        while (number := self._next) < self._count:
            self._next += 1
            if number % max(1, self._count // 100) == 0:
                self.memory_mb.append(processes.memory_mb(self._pid))
            rng = Random(number)
            left, right, stream = rng.randrange(1000), rng.randrange(1000), rng.random() < self._streamed
            question = f"What is {left} + {right}? (question {number})"
            temperature = 1.0 if stream and number % 2 else 0.0
            content = request("armwise/auto", stream=stream, key="any", text=question, temperature=temperature)
            kind = "streamed" if stream else "whole"
            began = time.perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
                assert reader is not None
                head, body = await asyncio.wait_for(exchange(reader, writer, content), 60)
            except (OSError, EOFError, TimeoutError) as error:
                self.outcomes[kind][f"lost: {type(error).__name__}"] += 1
                reader = writer = None
                continue
            self.slowest_ms = max(self.slowest_ms, 1e3 * (time.perf_counter() - began))
            outcome, text = answer_of(head, body)
            right_answer = text.endswith(f"Answer: {left + right}") and text.count("Answer:") == 1
            if outcome.startswith(("ok", "resumed")) and not right_answer:
                outcome = "wrong"
                self.wrong.append(f"{left} + {right}: {text!r}")
            self.outcomes[kind][outcome] += 1
        if writer is not None:
            writer.close()


def audit(path: Path) -> dict[str, Any]:
    """What the log says: decisions, and those whose billed cost is there and is the sum of their attempts'."""
    with duckdb.connect(str(path), read_only=True) as log:
        decisions, billed, agreeing = log.execute(
            """
            with spent as (select decision_id, sum(coalesce(cost_usd, 0)) as usd from attempts group by 1),
            told as (select decision_id, max(value) as usd from signals where kind = 'cost_usd' group by 1)
            select count(*), count(told.usd), count(*) filter (abs(told.usd - coalesce(spent.usd, 0)) < 1e-12)
            from decisions left join told on told.decision_id = decisions.id
            left join spent on spent.decision_id = decisions.id
            """
        ).fetchone() or (0, 0, 0)
        statuses = log.execute("select status, count(*) from attempts group by 1 order by 2 desc").fetchall()
    return {
        "attempts": dict(statuses),
        "decisions": decisions,
        "with_billed_cost": billed,
        "cost_is_sum_of_attempts": agreeing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--streamed", type=float, default=0.2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    failures = Failures.every(options.faults, retry_after_s=0.02, stall_s=30.0)
    models = [SimulatedModel(name, skill=3.0, latency_ms=2.0, verbosity=0.3, failures=failures) for name in _PLACE]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        simulator = stack.enter_context(ProviderSimulator(models, seed=1, process=True))
        port, log = processes.free_port(), folder / "soak.duckdb"
        config = {
            "models": [
                {
                    "name": model.name,
                    "input_usd_per_mtok": model.input_usd_per_mtok,
                    "output_usd_per_mtok": model.output_usd_per_mtok,
                    "base_url": simulator.base_url,
                }
                for model in simulator.models()
            ],
            "log": str(log),
            "fallback": {"arm_timeout_s": 2.0},
            "gateway": {"port": port},
        }
        (folder / "soak.yaml").write_text(yaml.safe_dump(config))
        began = time.perf_counter()
        with processes.serve(folder / "soak.yaml", port, folder) as pid:
            soak = Soak(port, pid, options.requests, options.streamed)

            async def play() -> None:
                await asyncio.gather(*(soak.client() for _ in range(options.connections)))

            asyncio.run(play())
        seconds = time.perf_counter() - began
        rise, error = slope(soak.memory_mb[len(soak.memory_mb) // 2 :])
        scale = 10_000 / max(1, options.requests // 100)  # memory is looked at a hundred times
        told = {
            "requests": options.requests,
            "seconds": seconds,
            "outcomes": {kind: dict(counter) for kind, counter in soak.outcomes.items()},
            "wrong": soak.wrong[:5],
            "slowest_ms": soak.slowest_ms,
            "log": audit(log),
            "memory_mb": [round(float(np.mean(tenth)), 1) for tenth in np.array_split(soak.memory_mb, 10)],
            "memory_mb_per_10000_requests": {"second half": rise * scale, "plus or minus": 1.96 * error * scale},
        }
    if options.json:
        print(json.dumps(told))
        return
    for key, value in told.items():
        print(f"{key:12} {value}")


if __name__ == "__main__":
    main()
