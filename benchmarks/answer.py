"""What ``Router.acomplete`` costs over a bare httpx call, beside LiteLLM's router.

    python benchmarks/answer.py [--calls 500] [--rounds 5] [--json]

Each asks the same mock upstream the same question, one call after another, in a process of its own; rounds alternate,
and the overhead is the difference of medians in the same round. armwise decides between two models and logs to DuckDB.
The peer chooses between two deployments by its default strategy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from gateways import processes

BODY = {
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is the capital of Mongolia?"},
    ],
    "temperature": 0,
}

COMMON = """
import asyncio, json, sys, time
port, body = int(sys.argv[1]), json.loads(sys.argv[2])
base = f"http://127.0.0.1:{port}/v1"

async def serve(ask):
    for _ in range(50):
        await ask()
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            began = time.perf_counter()
            await ask()
            times.append(1e3 * (time.perf_counter() - began))
        print(json.dumps(times), flush=True)
"""

BARE = """
import httpx
async def main():
    async with httpx.AsyncClient() as client:
        async def ask():
            response = await client.post(f"{base}/chat/completions", json={**body, "model": "small"})
            response.raise_for_status()
            return response.json()
        await serve(ask)
asyncio.run(main())
"""

OURS = """
import tempfile
from armwise import Model, Router
async def main():
    models = [Model("small", input_usd_per_mtok=0.1, output_usd_per_mtok=0.4, base_url=base),
              Model("large", input_usd_per_mtok=3.0, output_usd_per_mtok=15.0, base_url=base)]
    with tempfile.TemporaryDirectory() as folder:
        router = Router(models, log=f"{folder}/answer.duckdb", seed=1)
        async def ask():
            return await router.acomplete(body)
        await serve(ask)
        await router.aclose()
asyncio.run(main())
"""

THEIRS = """
import litellm
litellm.suppress_debug_info = True
async def main():
    router = litellm.Router(model_list=[
        {"model_name": "auto", "litellm_params": {"model": f"openai/{name}", "api_base": base, "api_key": "x"}}
        for name in ("small", "large")])
    async def ask():
        return await router.acompletion(model="auto", **body)
    await serve(ask)
asyncio.run(main())
"""


class Caller:
    """A process that makes calls when told to."""

    def __init__(self, python: str | Path, code: str, port: int, log: Path) -> None:
        env = {**os.environ, "PYTHONPATH": str(processes.ROOT / "src"), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        self._child = subprocess.Popen(
            [str(python), "-c", COMMON + code, str(port), json.dumps(BODY)],
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
        )
        assert self._child.stdout is not None
        if "ready" not in self._child.stdout.readline():
            raise RuntimeError(f"it does not start: {log.read_text()[-2000:]}")

    def call(self, count: int) -> np.ndarray:
        """Latencies in milliseconds."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(count, file=self._child.stdin, flush=True)
        return np.array(json.loads(self._child.stdout.readline()))

    def close(self) -> None:
        self._child.communicate(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, port = Path(name), processes.free_port()
        stack.enter_context(processes.upstream(port, folder))
        callers = {
            "httpx": Caller(sys.executable, BARE, port, folder / "httpx"),
            "armwise": Caller(sys.executable, OURS, port, folder / "armwise"),
        }
        if (processes.PEERS / "python").exists():
            callers["litellm"] = Caller(processes.PEERS / "python", THEIRS, port, folder / "litellm")
        rounds = [{who: caller.call(options.calls) for who, caller in callers.items()} for _ in range(options.rounds)]
        for caller in callers.values():
            caller.close()
    told: dict[str, float] = {}
    for who in callers:
        told[f"{who}_p50_ms"] = float(np.median([np.median(one[who]) for one in rounds]))
        if who != "httpx":
            for q in (0.5, 0.99):
                extra = [np.quantile(one[who], q) - np.quantile(one["httpx"], q) for one in rounds]
                told[f"{who}_overhead_p{round(100 * q)}_ms"] = float(np.median(extra))
    if "litellm" in callers:
        told["ratio_p50"] = told["armwise_overhead_p50_ms"] / told["litellm_overhead_p50_ms"]
    if options.json:
        print(json.dumps(told))
        return
    for key, value in told.items():
        print(f"{key:28} {value:8.3f}")
    if "litellm" not in callers:
        print(f"no peer: {processes.PEERS / 'python'} is not there; make bench-gateway installs it")


if __name__ == "__main__":
    main()
