"""Metrics, traces and logs: what they tell, and what they must not."""

from __future__ import annotations

import io
import json
import logging
import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from serving import Serve, Served

from armwise.contracts import Budget
from armwise.gateway import Gateway
from armwise.gateway.journal import write_journal
from armwise.gateway.tracing import Tracing
from armwise.log.publish import published_directory
from armwise.testing.simulator import Failures, ProviderSimulator


def samples(served: Served) -> dict[tuple[str, tuple[str, ...]], float]:
    time.sleep(0.05)  # an exchange is counted just after its client has the answer
    text = served.http.get("/metrics").text
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_add_up(served: Served, simulator: ProviderSimulator) -> None:
    cost = 0.0
    for n in range(5):
        cost += served.ask(f"What is {n} + 30?", model="small").json()["armwise"]["cost_usd"]
    simulator.script("large", ["server_error"] * 3)
    cost += served.ask(armwise={"arms": ["large", "small"]}).json()["armwise"]["cost_usd"]
    served.ask(model="none")
    found = samples(served)
    assert found["armwise_requests_total", ("chat", "200")] == 6
    assert found["armwise_requests_total", ("chat", "404")] == 1
    assert found["armwise_errors_total", ("model_not_found", "chat")] == 1
    billed = sum(value for (name, _), value in found.items() if name == "armwise_cost_usd_total")
    assert billed == pytest.approx(cost)
    assert found["armwise_attempts_total", ("small", "ok")] >= 5
    assert found["armwise_tokens_total", ("input", "small")] > 0
    assert found["armwise_in_flight", ()] == 0
    assert found["armwise_log_healthy", ()] == found["armwise_log_published", ()] == 1
    assert found["armwise_arm_in_use", ("large",)] == 1
    assert found["armwise_model_healthy", ("small",)] == 1
    assert found["armwise_request_duration_seconds_count", ("chat",)] == 6
    shares = [key for key in found if key[0] == "armwise_policy_share"]
    assert [set(labels) for _, labels in shares] == [{"serving", served.router.rollout()["serving"]}]
    assert found[shares[0]] == 1.0


def test_a_log_that_cannot_be_published_is_told(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "log.duckdb"
    published_directory(log).write_text("in the way")
    served = serve(log=str(log), publish_every_s=0.02)
    served.ask("What is 3 + 4?", model="small")
    until = time.monotonic() + 20
    while samples(served)["armwise_log_published", ()] == 1:
        assert time.monotonic() < until
    found = samples(served)
    assert found["armwise_log_healthy", ()] == 1
    assert found["armwise_log_lost", ()] == 0


def test_budgets_policies_and_resumed_streams_are_told(serve: Serve, simulator: ProviderSimulator) -> None:
    served = serve()
    served.router.set_budget(Budget(usd=0.5, per="day"))
    served.ask(model="large")
    simulator.script("large", ["cut"])
    served.ask(model="large", stream=True)
    served.router.disable_model("small")
    found = samples(served)
    assert found["armwise_streams_resumed_total", ("repeated",)] == 1
    assert found["armwise_arm_in_use", ("small",)] == 0
    left = [value for (name, _), value in found.items() if name == "armwise_budget_left_usd"]
    spent = [value for (name, _), value in found.items() if name == "armwise_budget_spent_usd"]
    assert left == [pytest.approx(0.5 - spent[0])]
    assert 0 < spent[0] < 0.5


def test_labels_never_come_from_clients(served: Served) -> None:
    served.ask(model="from-a-client")
    served.http.get("/v1/from-a-client")
    assert "from-a-client" not in served.http.get("/metrics").text


def test_spans_follow_the_conventions(serve: Serve, simulator: ProviderSimulator) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    served = serve()
    served.gateway.observers.append(Tracing(served.router, provider).observe)
    simulator.script("small", ["server_error"])
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    told = served.ask(
        "my secret plan", model="small", headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    ).json()["armwise"]
    spans = exporter.get_finished_spans()
    [root] = [span for span in spans if span.kind.name == "SERVER"]
    attempts = [span for span in spans if span.kind.name == "CLIENT"]
    assert f"{root.context.trace_id:032x}" == trace_id
    assert root.name == "chat small"
    assert root.attributes["gen_ai.operation.name"] == "chat"
    assert root.attributes["gen_ai.response.model"] == "small"
    assert root.attributes["gen_ai.usage.input_tokens"] > 0
    assert root.attributes["armwise.decision.id"] == told["decision_id"]
    assert root.attributes["armwise.cost_usd"] == pytest.approx(told["cost_usd"])
    assert root.attributes["armwise.propensity"] == 1.0
    assert [span.attributes.get("error.type") for span in attempts] == ["http_500", None]
    assert attempts[1].attributes["gen_ai.provider.name"] == "openai"
    assert all(span.parent.span_id == root.context.span_id for span in attempts)
    assert all(root.start_time <= span.start_time + 5_000_000 and span.end_time >= span.start_time for span in attempts)
    assert "secret plan" not in "".join(span.to_json() for span in spans)


def test_logs_hold_no_prompt_no_answer_and_no_key(serve: Serve, simulator: ProviderSimulator) -> None:
    out = io.StringIO()
    before = {name: list(logging.getLogger(name).handlers) for name in ("armwise", "uvicorn")}
    write_journal(out, logging.DEBUG)
    try:
        served = serve({"tenants": [{"name": "acme", "keys": ["env:K"]}]}, environment={"K": "key-of-acme"})
        headers = {"authorization": "Bearer key-of-acme"}
        prompt = "my-secret-plan: what is 12 + 30?"
        assert served.ask(prompt, headers=headers).status_code == 200
        assert served.ask(prompt, headers=headers, stream=True).status_code == 200
        simulator.set_failures(None, Failures(retry_after_s=0.01))
        for fault in ("server_error", "garbage", "cut", "bad_request", "rate_limit", "refusal", "reset"):
            simulator.script(None, [fault] * 8)
            served.ask(f"{prompt} {fault}", headers=headers, stream=fault == "cut")
            simulator.clear()
        served.ask(prompt, model=prompt, headers=headers)
        served.ask(prompt, headers={"authorization": "Bearer my-secret-plan"})
        served.http.post("/v1/chat/completions", content=b"my-secret-plan", headers=headers)
        served.ask(prompt, headers=headers, armwise={"task": "my-secret-plan", "metadata": {"a": "my-secret-plan"}})
        served.stop()
    finally:
        for name, handlers in before.items():
            logging.getLogger(name).handlers = handlers
            logging.getLogger(name).propagate = True
    text = out.getvalue()
    assert "my-secret-plan" not in text
    assert "key-of-acme" not in text
    assert "forty" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert {line["status"] for line in requests} >= {200, 401, 404, 400}
    good = next(line for line in requests if line["status"] == 200)
    assert good["tenant"] == "acme"
    assert good["cost_usd"] > 0
    assert good["decision_id"]


def test_observers_of_your_own_see_each_exchange(serve: Serve) -> None:
    served = serve()
    seen = []
    served.gateway.observers.append(seen.append)
    served.ask()
    served.stop()
    [exchange] = seen
    assert exchange.answer.text
    assert isinstance(served.gateway, Gateway)
