"""The process: it starts with no configuration, finishes what it has begun, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import httpx
import pytest
import yaml
from serving import Serve, Served

from armwise.config import load_config
from armwise.testing.simulator import ProviderSimulator

SERVE = [sys.executable, "-c", "from armwise.cli import main; main()", "serve"]


def started(arguments: list[str], folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The command, once it says where it serves."""
    env = {**os.environ, "COLUMNS": "200"}
    child = subprocess.Popen(
        [*SERVE, *arguments], cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout is not None
    line = child.stdout.readline()
    return child, line.split(" at ")[1].strip().removesuffix("/v1")


def await_ready(url: str) -> None:
    for _ in range(500):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError("not ready within ten seconds")


def test_a_newcomer_has_a_live_gateway_at_once(tmp_path: Path) -> None:
    child, url = started(["--simulate", "--port", "0"], tmp_path)
    try:
        await_ready(url)
        body = {"model": "armwise/auto", "messages": [{"role": "user", "content": "What is 12 + 30?"}]}
        response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20)
        assert response.json()["armwise"]["arm"].startswith("sim-")
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(20)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_stopping_finishes_what_has_begun_and_loses_nothing(tmp_path: Path, simulator: ProviderSimulator) -> None:
    models = [
        {"name": m.name, "base_url": m.base_url, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
        for m in simulator.models()
    ]
    config = {"models": models, "log": "served.duckdb", "gateway": {"port": 0}}
    (tmp_path / "served.yaml").write_text(yaml.safe_dump(config))
    child, url = started(["served.yaml"], tmp_path)
    await_ready(url)
    body = {"model": "armwise/auto", "messages": [{"role": "user", "content": "What is 12 + 30?"}]}
    answered: list[str] = []
    refused: list[str] = []

    def keep_asking(number: int) -> None:
        with httpx.Client(timeout=20) as client:
            while True:
                try:
                    response = client.post(f"{url}/v1/chat/completions", json={**body, "stream": number % 2 == 0})
                except httpx.ConnectError:
                    return  # it no longer listens: nothing was taken in
                except httpx.TransportError as error:
                    refused.append(repr(error))
                    return
                assert response.status_code == 200
                if number % 2 == 0:
                    assert response.text.endswith("data: [DONE]\n\n"), "a stream was cut by the shutdown"
                answered.append(response.headers["x-armwise-decision"])

    threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    child.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    child.wait(30)
    assert answered
    with duckdb.connect(str(tmp_path / "served.duckdb"), read_only=True) as log:
        logged = {row[0] for row in log.execute("select id from decisions").fetchall()}
        billed = {row[0] for row in log.execute("select decision_id from signals where kind = 'cost_usd'").fetchall()}
    assert set(answered) <= logged
    assert set(answered) <= billed
    assert logged <= billed, "what was decided was carried out and billed"


def test_an_answer_waits_until_its_decision_is_durable(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve({"durable_within_s": 5.0})
    gate = threading.Event()
    flushed: list[int] = []

    def flush(timeout: float | None = None) -> None:
        gate.wait(5)
        flushed.append(served.router.position)

    monkeypatch.setattr(served.gateway.durability, "_flush", flush)
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(served.ask()))
    thread.start()
    time.sleep(0.3)
    assert not answers, "it answered before the log was on disk"
    gate.set()
    thread.join(10)
    assert answers[0].status_code == 200
    assert flushed


def test_a_log_that_cannot_be_written_delays_but_does_not_stop_answers(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve({"durable_within_s": 0.2})

    def flush(timeout: float | None = None) -> None:
        time.sleep(0.5)

    monkeypatch.setattr(served.gateway.durability, "_flush", flush)
    assert served.ask().status_code == 200
    assert served.gateway.durability.missed == 1


def test_an_outage_moves_traffic_without_errors_and_without_blame(serve: Serve, simulator: ProviderSimulator) -> None:
    served: Served = serve(policy="uniform")
    simulator.outage("small")
    drawn = []
    for n in range(40):
        response = served.ask(f"What is {n} + 30?")
        assert response.status_code == 200
        assert response.json()["armwise"]["arm"] == "large"
        drawn.append(response.json()["armwise"].get("drawn", "large"))
    assert drawn[10:].count("small") <= 3, "a model that cools down is left out of decisions, but for probes"
    simulator.outage("small", on=False)
    for n in range(200):
        if served.ask(f"What is {n} + 31?").json()["armwise"]["arm"] == "small":
            break
        time.sleep(0.05)
    else:
        raise AssertionError("it never came back")


def test_the_example_is_a_configuration() -> None:
    path = Path(__file__).parents[2] / "configs" / "gateway.yaml"
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ACME_KEY", "CLINIC_KEY", "GATEWAY_ADMIN_KEY")
    config = load_config(path, env=dict.fromkeys(names, "x"))
    assert [tenant.name for tenant in config.gateway.tenants] == ["acme", "clinic"]
    assert config.sensitivity is not None
    assert json.dumps(config.gateway.aliases) == '{"gpt-4": "armwise/auto"}'
