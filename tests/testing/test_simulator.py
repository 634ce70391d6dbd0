"""The simulator over real HTTP: right formats, deterministic answers, skills that show, and faults on demand."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from armwise.errors import BadInput
from armwise.testing.simulator import FAULTS, Failures, ProviderSimulator, SimulatedModel
from armwise.testing.tasks import TOOLS, generate, score

MODELS = (
    SimulatedModel("weak", skill=0.2, latency_ms=0, verbosity=0),
    SimulatedModel("strong", skill={"default": 0.9, "facts": 0.0}, latency_ms=0, caching=True),
)


@pytest.fixture(scope="module")
def running() -> Iterator[ProviderSimulator]:
    with ProviderSimulator(MODELS, seed=7) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: ProviderSimulator) -> ProviderSimulator:
    running.clear()
    return running


@pytest.fixture
def http(simulator: ProviderSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=simulator.base_url, timeout=5) as client:
        yield client


def chat(text: str, model: str = "strong", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def said(http: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    response = http.post("/chat/completions", json=body)
    assert response.status_code == 200, response.text
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


def test_the_same_question_gets_the_same_answer_in_every_format(http: httpx.Client) -> None:
    question = "What is 123 + 456 - 78?"
    text = said(http, chat(question))["content"]
    again = said(http, chat(question))["content"]
    messages = http.post("/messages", json=chat(question, max_tokens=200)).json()["content"][0]["text"]
    contents = {"contents": [{"role": "user", "parts": [{"text": question}]}]}
    gemini = http.post("/models/strong:generateContent", json=contents).json()
    responses = http.post("/responses", json={"model": "strong", "input": question}).json()
    assert text == again == messages == gemini["candidates"][0]["content"]["parts"][0]["text"]
    assert text == responses["output"][0]["content"][0]["text"]


def test_streams_say_what_plain_answers_say(http: httpx.Client) -> None:
    question = "What is 12 + 30? Ünïcödé 漢字 🙂"
    events = http.post("/chat/completions", json=chat(question, stream=True, stream_options={"include_usage": True}))
    chunks = [json.loads(line[6:]) for line in events.text.split("\n") if line.startswith("data: {")]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert text == said(http, chat(question))["content"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert events.text.endswith("data: [DONE]\n\n")


def test_skill_shows_in_the_scores(http: httpx.Client) -> None:
    def mean(model: str, kind: str) -> float:
        tasks = list(generate(60, seed=11, kinds=[kind]))
        tools = {"tools": list(TOOLS)} if kind == "tool" else {}
        return sum(score(task, said(http, chat(task.prompt, model, **tools))) for task in tasks) / len(tasks)

    assert mean("strong", "arithmetic") > mean("weak", "arithmetic") + 0.3
    assert mean("strong", "tool") > mean("weak", "tool") + 0.15
    assert mean("strong", "facts") < 0.3


def test_temperature_without_a_seed_gives_fresh_answers(http: httpx.Client) -> None:
    question = 'How many times does the letter "e" occur in "aeinrstaeinrst"?'
    fresh = {said(http, chat(question, "weak", temperature=1.0))["content"] for _ in range(12)}
    fixed = {said(http, chat(question, "weak", temperature=1.0, seed=1))["content"] for _ in range(5)}
    assert len(fresh) > 1
    assert len(fixed) == 1


def test_json_mode_choices_and_log_probabilities(http: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert isinstance(json.loads(said(http, chat("What is 2 + 2?", response_format=shape))["content"])["answer"], int)
    response = http.post("/chat/completions", json=chat("What is 2 + 2?", n=3, logprobs=True)).json()
    assert [choice["index"] for choice in response["choices"]] == [0, 1, 2]
    assert all(choice["logprobs"]["content"][0]["logprob"] < 0 for choice in response["choices"])


def test_a_tool_call_and_its_result(http: httpx.Client) -> None:
    tools = [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
        }
    ]
    body = chat("Use weather for Paris please", tools=tools)
    message = said(http, body)
    call = message["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    body["messages"] += [message, {"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"}]
    assert "21 degrees" in said(http, body)["content"]


def test_earlier_turns_are_cached_by_the_model_that_answered_them(http: httpx.Client) -> None:
    body = chat("Remember this rather long sentence about nothing at all")

    def cached(model: str) -> int:
        usage = http.post("/chat/completions", json=body | {"model": model}).json()["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    assert cached("strong") == 0
    body["messages"] += [{"role": "assistant", "content": "Yes"}, {"role": "user", "content": "And now?"}]
    assert cached("strong") > 10
    assert cached("weak") == 0


def test_embeddings_put_like_near_like(http: httpx.Client) -> None:
    texts = ["the cat sat on the mat", "a cat sat on a mat", "quarterly revenue grew"]
    rows = http.post("/embeddings", json={"model": "weak", "input": texts}).json()["data"]
    a, b, c = (row["embedding"] for row in rows)
    assert sum(x * y for x, y in zip(a, b, strict=True)) > sum(x * y for x, y in zip(a, c, strict=True)) + 0.2
    body = {"model": "weak", "input": texts[0], "encoding_format": "base64"}
    packed = base64.b64decode(http.post("/embeddings", json=body).json()["data"][0]["embedding"])
    assert struct.unpack("<64f", packed) == pytest.approx(a, abs=1e-6)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_strike_when_told(simulator: ProviderSimulator, http: httpx.Client, fault: str, stream: bool) -> None:
    simulator.set_failures("strong", Failures(stall_s=0.02, retry_after_s=0.03))
    simulator.script("strong", [fault])
    body = chat("What is 1 + 1?", stream=stream, stream_options={"include_usage": True})
    fine = body | {"model": "weak"}
    if fault in ("reset", "cut"):
        with pytest.raises(httpx.TransportError):
            http.post("/chat/completions", json=body)
    else:
        response = http.post("/chat/completions", json=body)
        status = {"server_error": 500, "rate_limit": 429, "bad_request": 400}.get(fault, 200)
        if fault == "error_in_stream":
            status = 200 if stream else 500
            assert "had an error" in response.text
        assert response.status_code == status
        if fault == "rate_limit":
            assert response.headers["retry-after"] == "1"
            assert response.headers["retry-after-ms"] == "30"
        if fault == "missing_usage":
            assert "usage" not in response.text
        if fault == "refusal":
            assert "content_filter" in response.text
    assert simulator.requests()[-1]["fault"] == fault
    assert http.post("/chat/completions", json=fine).status_code == 200
    assert http.post("/chat/completions", json=body).status_code == 200


def test_outage_begins_and_ends(simulator: ProviderSimulator, http: httpx.Client) -> None:
    simulator.outage("strong")
    assert http.post("/chat/completions", json=chat("hi")).status_code == 503
    assert http.post("/chat/completions", json=chat("hi", "weak")).status_code == 200
    simulator.outage("strong", reset=True)
    with pytest.raises(httpx.TransportError):
        http.post("/chat/completions", json=chat("hi"))
    simulator.outage("strong", False)
    assert http.post("/chat/completions", json=chat("hi")).status_code == 200


def test_rates_are_kept_and_repeat_with_the_seed(http: httpx.Client) -> None:
    def statuses() -> list[int]:
        with ProviderSimulator(MODELS, seed=5) as fresh:
            fresh.set_failures("weak", Failures(server_error=0.3))
            with httpx.Client(base_url=fresh.base_url) as client:
                return [client.post("/chat/completions", json=chat("hi", "weak")).status_code for _ in range(60)]

    first = statuses()
    assert first == statuses()
    assert 8 <= first.count(500) <= 28


def test_a_client_that_leaves_is_noticed(simulator: ProviderSimulator, http: httpx.Client) -> None:
    simulator.set_failures("strong", Failures(stall_s=20))
    simulator.script("strong", ["stall"])
    with pytest.raises(httpx.ReadTimeout):
        http.post("/chat/completions", json=chat("hi"), timeout=0.1)
    http.get("/models")
    assert [entry["disconnected"] for entry in simulator.requests() if entry["fault"] == "stall"] == [True]


def test_keys_are_checked() -> None:
    with ProviderSimulator(MODELS, keys=["right"]) as simulator, httpx.Client(base_url=simulator.base_url) as client:
        for name in ("authorization", "x-api-key", "x-goog-api-key"):
            prefix = "Bearer " if name == "authorization" else ""
            assert client.get("/models", headers={name: prefix + "right"}).status_code == 200
            assert client.get("/models", headers={name: prefix + "wrong"}).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/chat/completions", {"model": "strong", "messages": []}, "non-empty"),
        ("/chat/completions", {"model": "strong", "messages": [{"role": "robot"}]}, "role"),
        ("/chat/completions", {"model": "nobody", "messages": []}, "does not exist"),
        ("/messages", {"model": "strong", "messages": [{"role": "user", "content": "hi"}]}, "max_tokens"),
        ("/models/strong:generateContent", {"contents": [{"role": "robot", "parts": [{"text": "hi"}]}]}, "role"),
        ("/nowhere", {}, "Unknown request URL"),
    ],
)
def test_bad_requests_are_refused(http: httpx.Client, path: str, body: dict[str, Any], text: str) -> None:
    response = http.post(path, json=body)
    assert response.status_code in (400, 404)
    assert text in response.text


def test_a_process_of_its_own(http: httpx.Client) -> None:
    with ProviderSimulator(MODELS, seed=7, process=True) as apart, httpx.Client(base_url=apart.base_url) as client:
        assert said(client, chat("What is 12 + 30?")) == said(http, chat("What is 12 + 30?"))
        apart.outage()
        assert client.post("/chat/completions", json=chat("hi")).status_code == 503
        port = apart.port
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/v1/models")
    with pytest.raises(BadInput, match="not running"):
        _ = apart.port


def test_bad_settings_are_named(simulator: ProviderSimulator) -> None:
    with pytest.raises(BadInput, match="did you mean 'strong'"):
        simulator.outage("strnog")
    with pytest.raises(BadInput, match="did you mean 'stall'"):
        simulator.script("strong", ["stal"])
    with pytest.raises(BadInput, match="at most 1"):
        Failures(stall=0.7, cut=0.7)
    with pytest.raises(BadInput, match="different names"):
        ProviderSimulator([MODELS[0], MODELS[0]])
    with pytest.raises(BadInput, match="did you mean 'code'"):
        SimulatedModel("x", skill={"cod": 1.0})
