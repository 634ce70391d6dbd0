"""Chat completions: whole and streamed, tools and formats, by name and by ``armwise/auto``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from serving import Serve, Served

from armwise.contracts import Attempt
from armwise.testing.simulator import ProviderSimulator

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_an_answer_says_how_it_came_to_be(served: Served) -> None:
    response = served.ask()
    assert response.status_code == 200
    data = response.json()
    assert "42" in data["choices"][0]["message"]["content"]
    told = data["armwise"]
    assert response.headers["x-armwise-decision"] == told["decision_id"]
    assert response.headers["x-armwise-arm"] == told["arm"] in ("small", "large")
    assert float(response.headers["x-armwise-cost-usd"]) == pytest.approx(told["cost_usd"])
    assert told["cost_usd"] > 0
    assert response.headers["x-request-id"].startswith("req_")
    assert served.router.explain(told["decision_id"]).startswith(told["arm"])


def test_a_stream_says_the_same_in_its_last_chunk(served: Served) -> None:
    response = served.ask(stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert "42" in "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
    assert chunks[0]["armwise"]["decision_id"] == response.headers["x-armwise-decision"]
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert chunks[-1]["armwise"]["cost_usd"] > 0
    assert [chunk for chunk in chunks if chunk.get("usage")] == [chunks[-1]]


def test_a_stream_that_breaks_is_gone_on_with_and_says_so_in_its_last_chunk(
    served: Served, simulator: ProviderSimulator
) -> None:
    def ask() -> tuple[str, dict[str, Any]]:
        response = served.ask(model="large", stream=True, stream_options={"include_usage": True})
        events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
        assert events.pop() == "[DONE]"
        chunks = [json.loads(event) for event in events]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas), chunks[-1]

    undisturbed, _ = ask()
    for fault in ("cut", "garbage", "error_in_stream"):
        simulator.script("large", [fault])
        text, last = ask()
        assert text == undisturbed
        (resumed,) = last["armwise"]["resumed"]
        assert (resumed["how"], resumed["arm"]) == ("repeated", "large")
        assert last["armwise"]["attempts"] == 2
        decision_id, log = last["armwise"]["decision_id"], served.router._log
        attempts = [e for _, e in log.events() if isinstance(e, Attempt) and e.decision_id == decision_id]
        assert last["usage"]["completion_tokens"] == sum(attempt.output_tokens or 0 for attempt in attempts)
        billed = {signal.kind: signal.value for signal in log.signals(decision_id)}["cost_usd"]
        assert last["armwise"]["cost_usd"] == billed == sum(attempt.cost_usd or 0.0 for attempt in attempts)


def test_without_being_asked_for_no_usage_is_streamed(served: Served) -> None:
    events = [line.removeprefix("data: ") for line in served.ask(stream=True).text.split("\n\n") if line]
    last = json.loads(events[-2])
    assert last["choices"][0]["finish_reason"] == "stop"
    assert "usage" not in last
    assert last["armwise"]["cost_usd"] > 0


def test_a_model_of_the_pool_can_be_asked_by_name(served: Served) -> None:
    for name in ("small", "large"):
        assert served.ask(model=name).json()["armwise"]["arm"] == name


def test_the_body_is_passed_through(served: Served, simulator: ProviderSimulator) -> None:
    served.ask(
        temperature=0.3,
        tools=[TOOL],
        tool_choice="none",
        response_format={"type": "json_object"},
        some_new_field={"x": [1, 2]},
        armwise={"task": "code", "session": "s1"},
    )
    sent = simulator.requests()[-1]["body"]
    assert sent["some_new_field"] == {"x": [1, 2]}
    assert sent["tools"] == [TOOL]
    assert sent["response_format"] == {"type": "json_object"}
    assert "armwise" not in sent
    assert sent["model"] in ("small", "large")


def test_what_the_caller_says_narrows_the_action_set(served: Served) -> None:
    response = served.ask(armwise={"arms": ["large"], "max_cost_usd": 1.0})
    assert response.json()["armwise"]["arm"] == "large"
    response = served.ask(headers={"x-armwise-arms": "small", "x-armwise-task": "code"})
    assert response.json()["armwise"]["arm"] == "small"
    response = served.ask(headers={"x-armwise-residency": "mars"})
    assert response.status_code == 422
    error = response.json()
    assert error["error"]["code"] == "no_eligible_arm"
    assert "mars" in error["armwise"]["excluded"]["small"]


def test_aliases_stand_for_other_names(serve: Serve) -> None:
    served = serve({"aliases": {"gpt-4o": "armwise/auto", "mini": "small"}})
    assert served.ask(model="gpt-4o").status_code == 200
    assert served.ask(model="mini").json()["armwise"]["arm"] == "small"


def test_models_are_listed(served: Served) -> None:
    data = served.http.get("/v1/models").json()["data"]
    assert [entry["id"] for entry in data] == ["armwise/auto", "small", "large"]
    assert data[1]["armwise"]["input_usd_per_mtok"] == [0.1]
    assert served.http.get("/v1/models/armwise/auto").json()["id"] == "armwise/auto"
    assert served.http.get("/v1/models/lage").status_code == 404


def test_responses_and_embeddings_go_by_the_same_rules(served: Served) -> None:
    response = served.http.post("/v1/responses", json={"model": "armwise/auto", "input": "What is 12 + 30?"})
    assert response.status_code == 200, response.text
    assert response.json()["object"] == "response"
    assert response.json()["armwise"]["cost_usd"] > 0
    response = served.http.post("/v1/embeddings", json={"model": "small", "input": ["one", "two"]})
    assert len(response.json()["data"]) == 2
    response = served.http.post("/v1/embeddings", json={"model": "armwise/auto", "input": "one"})
    assert response.status_code == 400
    assert "name the model" in response.json()["error"]["message"]


def test_feedback_reaches_the_decision(served: Served) -> None:
    decision = served.ask().json()["armwise"]["decision_id"]
    body = {"decision_id": decision, "kind": "thumbs_down", "event_id": "e1"}
    assert served.http.post("/v1/feedback", json=body).json() == {"object": "feedback", "taken": True}
    assert served.http.post("/v1/feedback", json=body).json()["taken"] is False
    assert served.http.post("/v1/feedback", json={"decision_id": decision, "retracts": "e1"}).json()["taken"]
    assert served.http.post("/v1/feedback", json={**body, "decision_id": "none"}).status_code == 404
    assert served.http.post("/v1/feedback", json={**body, "kind": "applause"}).status_code == 400


def test_health(served: Served) -> None:
    assert served.http.get("/healthz").json() == {"status": "ok"}
    assert served.http.get("/readyz").json()["trouble"] == []
    served.gateway.draining = True
    assert served.http.get("/readyz").status_code == 503
