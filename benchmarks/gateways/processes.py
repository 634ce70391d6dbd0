"""The servers under test, each in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = Path(os.environ.get("ARMWISE_PEERS", ROOT / ".venv-peers")) / "bin"
"""Where ``make bench-gateway`` installs the peers."""
KEY = "sk-benchmark"

Running = AbstractContextManager[int]
"""A server that runs while its block does; gives its process id."""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: Sequence[str | Path], port: int, *, env: dict[str, str], log: Path) -> Iterator[int]:
    """A server, once its port takes connections; ended when the block is left. Gives its process id."""
    with log.open("wb") as out:
        child = subprocess.Popen([str(part) for part in command], env={**os.environ, **env}, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[0]} does not serve: {log.read_text()[-2000:]}") from None
                time.sleep(0.1)
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def upstream(port: int, folder: Path, delay_ms: float = 0.0) -> Running:
    """The mock upstream."""
    env = {"PYTHONPATH": str(ROOT / "benchmarks")}
    return running(
        [sys.executable, "-m", "gateways.upstream", str(port), str(delay_ms)],
        port,
        env=env,
        log=folder / "upstream.log",
    )


def armwise(port: int, upstream_port: int, folder: Path) -> Running:
    """Our gateway: two models to decide between, a DuckDB log, one key."""
    base_url = f"http://127.0.0.1:{upstream_port}/v1"
    models = [
        {"name": "small", "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4, "base_url": base_url},
        {"name": "large", "input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0, "base_url": base_url},
    ]
    config = {
        "models": models,
        "log": str(folder / "armwise.duckdb"),
        "gateway": {"port": port, "tenants": [{"name": "bench", "keys": ["env:BENCH_KEY"]}]},
    }
    path = folder / "armwise.yaml"
    path.write_text(yaml.safe_dump(config))
    return serve(path, port, folder)


def serve(config: Path, port: int, folder: Path) -> Running:
    """``armwise serve`` with a configuration."""
    env = {"BENCH_KEY": KEY, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", "from armwise.cli import main; main()", "serve", str(config)]
    return running(command, port, env=env, log=folder / "armwise.log")


def litellm(port: int, upstream_port: int, folder: Path) -> Running:
    """The LiteLLM proxy: the same two models under one name, one worker, one key, no database."""
    base = f"http://127.0.0.1:{upstream_port}/v1"
    params = [{"model": f"openai/{name}", "api_base": base, "api_key": "x"} for name in ("small", "large")]
    config = {
        "model_list": [{"model_name": "auto", "litellm_params": one} for one in params],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    path = folder / "litellm.yaml"
    path.write_text(yaml.safe_dump(config))
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
    command = [
        str(PEERS / "litellm"),
        "--config",
        str(path),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--num_workers",
        "1",
    ]
    return running(command, port, env=env, log=folder / "litellm.log")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no process {pid}")
