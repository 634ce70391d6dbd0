"""Whatever comes: an error of the OpenAI shape with the right status, nothing leaked, nothing lost."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Serve, Served

from armwise import Model
from armwise.gateway.protocol import BoundedProtocol
from armwise.testing.simulator import ProviderSimulator

CHAT = "/v1/chat/completions"


def post(served: Served, content: bytes, path: str = CHAT, **headers: str) -> tuple[int, dict]:
    response = served.http.post(path, content=content, headers={"content-type": "application/json", **headers})
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the body is empty"),
        (b'{"messages": [', "the body is not JSON: Expecting value at line 1 column 15"),
        (b"[1, 2]", "the body must be a JSON object, got list"),
        (b'{"messages": "\xff\xfe"}', "not valid UTF-8"),
        (b'{"x": NaN}', "NaN is not a JSON number"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b'{"x": ' + b"9" * 5000 + b"}", "the body is not JSON"),
        (b"{}", "the body has no messages"),
        (b'{"messages": "hello"}', "messages must be a list"),
        (b'{"messages": [7]}', "messages[0] must be an object, got int"),
        (b'{"messages": [{"role": "user", "content": 7}]}', "messages[0].content must be a string"),
        (b'{"messages": [], "model": 7}', "model must be a string, got int"),
        (b'{"messages": [], "stream": "yes"}', "stream must be true or false, got str"),
        (b'{"messages": [], "tools": "no"}', "tools must be a list"),
        (b'{"messages": [], "max_tokens": -1}', "max_output_tokens must be finite and at least 0"),
        (b'{"messages": [], "armwise": 3}', "armwise must be an object, got int"),
        (b'{"messages": [], "armwise": {"sesion": "x"}}', "did you mean 'session'"),
        (b'{"messages": [], "armwise": {"arms": "small"}}', "armwise.arms must be a list of strings"),
        (b'{"messages": [], "armwise": {"sensitivity": "top"}}', "armwise.sensitivity must be one of public"),
        (b'{"messages": [], "armwise": {"max_cost_usd": "x"}}', "max_cost_usd must be a number"),
        (b'{"messages": [], "stream": true, "stream_options": 5}', "stream_options must be an object, got int"),
        (
            b'{"messages": [], "armwise": {"task": "' + b"x" * 600 + b'"}}',
            "task must be at most 512 characters",
        ),
        (
            b'{"messages": [], "prompt_cache_key": "' + b"x" * 600 + b'"}',
            "name must be at most 512 characters",
        ),
    ],
)
def test_what_cannot_be_read_is_told_by_place(
    served: Served, simulator: ProviderSimulator, content: bytes, says: str
) -> None:
    status, data = post(served, content)
    assert status == 400
    assert says in data["error"]["message"]
    assert data["error"]["type"] == "invalid_request_error"
    assert simulator.requests() == []


ILL_FORMED: list[dict[str, Any]] = [
    {"stop": 5},
    {"n": "3"},
    {"temperature": "hot"},
    {"tool_choice": 5},
    {"tools": [{"type": "function"}]},
    {"tools": [{"type": "function", "function": 5}]},
    {"response_format": {"type": "json_schema", "json_schema": 5}},
    {"stream": True, "stream_options": 5},
    {"max_tokens": 1.5},
    {"reasoning_effort": {}},
    {"messages": [{"role": "tool", "content": "x"}]},
    {"messages": [{"role": "assistant", "tool_calls": [5]}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]},
]


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
def test_fields_of_the_wrong_form_are_the_callers_fault_in_every_wire_format(
    serve: Serve, simulator: ProviderSimulator, wire: str
) -> None:
    served = serve(models=simulator.models(wire))
    for field in ILL_FORMED:
        response = served.ask(**field)
        assert response.status_code in (200, 400), (field, response.text)
        if response.status_code == 400:
            error = response.json()["error"]
            assert error["type"] == "invalid_request_error"
            assert "127.0.0.1" not in error["message"]  # where a provider lives is not the client's business


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400", "invalid_http"),
        (b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", b"400", "invalid_http"),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: " + b"y" * 100_000, b"431", "head_too_large"),
        (b"GET /healthz HTTP/1.1\r\n" + b"x-a: y\r\n" * 20_000, b"431", "head_too_large"),
    ],
)
def test_heads_that_are_none_or_do_not_end_get_an_error_in_json(
    served: Served, content: bytes, status: bytes, code: str
) -> None:
    head, _, body = raw(served, content).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert json.loads(body)["error"]["code"] == code
    assert served.ask().status_code == 200


def test_a_head_that_takes_too_long_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_timeout_s", 0.1)
    assert b" 408 " in raw(served, b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
    assert raw(served, b"") == b""  # nothing at all was said
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as link:  # a kept connection is not hurried
        for _ in range(2):
            link.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert link.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.25)


def test_unknown_models_and_routes(served: Served) -> None:
    status, data = post(served, b'{"model": "larg", "messages": [{"role": "user", "content": "hi"}]}')
    assert (status, data["error"]["code"], data["error"]["param"]) == (404, "model_not_found", "model")
    assert "did you mean 'large'" in data["error"]["message"]
    assert post(served, b"{}", "/v1/chat")[0] == 404
    assert served.http.get(CHAT).status_code == 405
    assert served.http.get(CHAT).json()["error"]["code"] == "wrong_method"


def test_a_body_that_is_too_large_is_not_read(serve: Serve) -> None:
    served = serve({"max_body_bytes": 1000})
    status, data = post(served, b"x" * 1001)
    assert (status, data["error"]["code"]) == (413, "body_too_large")

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"y" * 100

    response = served.http.post(CHAT, content=chunks())
    assert response.status_code == 413
    assert served.ask().status_code == 200


def raw(served: Served, *parts: bytes, wait_s: float = 0.0) -> bytes:
    """Send bytes as they are; what came back until the connection closed."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(wait_s)
        received = b""
        while part := connection.recv(65536):
            received += part
            if b"\r\n\r\n" in received and b"connection: close" not in received.lower():
                break
        return received


def test_a_slow_client_is_told_so_and_let_go(serve: Serve) -> None:
    served = serve({"body_timeout_s": 0.2})
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
    began = time.monotonic()
    answer = raw(served, head, b'{"mess')
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"request_timeout"' in answer
    assert time.monotonic() - began < 5
    assert served.gateway.limits.in_flight == 0


def test_headers_cannot_be_injected(serve: Serve) -> None:
    """Neither by what a client sends, which is never sent back in a header, nor by the name of an arm."""
    served = serve()
    small = served.router.arm("small").models[0]
    evil = "evil\r\nset-cookie: x=1\r\n\r\n<script> ünïcode 😀"
    served.router.add_model(
        Model(
            evil,
            input_usd_per_mtok=1,
            output_usd_per_mtok=1,
            base_url=small.base_url,
            upstream="small",
        )
    )
    response = served.ask(model=evil, headers={"x-armwise-task": "code", "x-request-id": "mine"})
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    assert "\n" not in response.headers["x-armwise-arm"]
    assert response.headers["x-request-id"] != "mine"
    assert response.json()["armwise"]["arm"] == evil
    answer = raw(
        served,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-armwise-task: a\rb\r\ncontent-length: 2\r\n\r\n{}",
    )
    assert answer.startswith(b"HTTP/1.1 400")


UNICODE = (
    "ascii",
    "ünïcödé ß",
    "日本語のテキスト",
    "עברית ועוד \u202eright to left",
    "😀👩‍👩‍👧‍👦🏳️‍🌈",
    "a\u0300\u0301\u0302" * 50,
    "\u0000\u0001\u001f\u007f\u2028\u2029",
    "\ufeff\ufffe\uffff",
    "\ud83d lone \udc00 surrogates",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010ffff",
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", UNICODE, ids=ascii)
def test_unicode_of_every_kind_comes_through(
    served: Served, simulator: ProviderSimulator, text: str, stream: bool
) -> None:
    """To the model as it was sent, and back as the model said it (the simulator's models repeat what they are told)."""
    question = {"messages": [{"role": "user", "content": text}]}
    direct = served.router.complete({**question, "model": "small"} | {"seed": 1}).text
    body = json.dumps({**question, "seed": 1, "model": "small", "stream": stream})
    response = served.http.post(CHAT, content=body.encode())
    assert response.status_code == 200, response.text
    assert simulator.requests()[-1]["body"]["messages"] == simulator.requests()[-2]["body"]["messages"]
    response.content.decode("utf-8")
    if stream:
        events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
        chunks = [json.loads(event) for event in events[:-1]]
        said = "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
    else:
        said = response.json()["choices"][0]["message"]["content"]
    assert said == direct


@pytest.mark.parametrize("fault", ["wrong_usage", "missing_usage"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_lies_about_usage_is_not_believed(
    served: Served, simulator: ProviderSimulator, fault: str, stream: bool
) -> None:
    simulator.script("small", [fault])
    response = served.ask(model="small", stream=stream, stream_options={"include_usage": True} if stream else None)
    assert response.status_code == 200
    if stream:
        told = json.loads(response.text.split("\n\n")[-3].removeprefix("data: "))["armwise"]
    else:
        told = response.json()["armwise"]
    assert 0 < told["cost_usd"] < 1e-4


@pytest.mark.parametrize("stream", [False, True])
def test_odd_chunks_are_put_together(served: Served, simulator: ProviderSimulator, stream: bool) -> None:
    simulator.script("small", ["odd_chunks"])
    response = served.ask(model="small", stream=stream)
    assert "42" in response.text
    if stream:
        assert response.text.endswith("data: [DONE]\n\n")
        assert all(line.startswith("data: ") for line in response.text.split("\n\n") if line)


def test_a_stream_that_nobody_goes_on_with_ends_in_an_error_and_no_done(
    served: Served, simulator: ProviderSimulator
) -> None:
    simulator.script("small", ["cut", *["bad_request"] * 9])
    response = served.ask("Tell me a long story about rivers.", model="small", stream=True)
    last = json.loads([line for line in response.text.split("\n\n") if line][-1].removeprefix("data: "))
    assert "[DONE]" not in response.text
    assert last["error"]["code"] == "no_answer"
    assert last["armwise"]["gave_up"] == {"small": "cut_short"}


def test_a_client_that_goes_away_stops_the_work_and_is_billed(serve: Serve, simulator: ProviderSimulator) -> None:
    served = serve()
    simulator.script("small", ["stall"])
    body = json.dumps({"model": "small", "stream": True, "messages": [{"role": "user", "content": "What is 12 + 30?"}]})
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head.encode() + body.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    for _ in range(500):
        if served.gateway.limits.in_flight == 0 and simulator.requests()[-1]["disconnected"]:
            break
        time.sleep(0.01)
    assert served.gateway.limits.in_flight == 0
    assert simulator.requests()[-1]["disconnected"]
    events = [event for _, event in served.router._log.events()]
    [attempt] = [event for event in events if type(event).__name__ == "Attempt"]
    assert attempt.status == "cancelled"
    assert attempt.cost_usd > 0
    [cost] = [event for event in events if getattr(event, "kind", "") == "cost_usd"]
    assert cost.value == attempt.cost_usd


def test_what_fails_inside_is_not_told_outside(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("prompt: my secret plan")

    monkeypatch.setattr(served.router, "acomplete", fail)
    response = served.ask("my secret plan")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert response.headers["x-request-id"] in response.json()["error"]["message"]
    assert "secret plan" not in response.text
    assert "secret plan" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_when_no_model_can_answer_the_client_is_told_once(served: Served, simulator: ProviderSimulator) -> None:
    simulator.outage()
    response = served.ask()
    assert response.status_code in (502, 503)
    data = response.json()
    assert data["error"]["type"] == "server_error"
    assert set(data["armwise"]["gave_up"]) == {"small", "large"}
    simulator.outage(on=False)


@pytest.mark.parametrize("header", ["x-armwise-max-cost-usd", "x-armwise-max_cost_usd", "X-Armwise-Max-Cost-USD"])
def test_a_limit_in_a_header_holds_however_it_is_spelt(served: Served, header: str) -> None:
    status, data = post(served, b'{"messages": [{"role": "user", "content": "hi"}]}', **{header: "0"})
    assert (status, data["error"]["code"]) == (422, "no_eligible_arm")


def test_a_limit_in_a_header_that_is_misspelt_is_not_passed_over(served: Served) -> None:
    body = b'{"messages": [{"role": "user", "content": "hi"}]}'
    status, data = post(served, body, **{"x-armwise-max-cost": "0"})
    assert status == 400
    assert "unknown field 'max_cost'; did you mean 'max_cost_usd'" in data["error"]["message"]
    status, data = post(served, body, **{"x-armwise-max-cost-usd": "cheap"})
    assert (status, data["error"]["message"]) == (
        400,
        "the header x-armwise-max_cost_usd must be a number, got 'cheap'",
    )


def test_a_grade_that_was_forgotten_is_not_the_best_one(served: Served) -> None:
    decision = served.ask().json()["armwise"]["decision_id"]
    for kind in ("quality", "task_success", "edit_distance", "cost_usd", "tool_valid"):
        said = served.http.post("/v1/feedback", json={"decision_id": decision, "kind": kind})
        assert said.status_code == 400
        assert f"value is missing: a signal of kind '{kind}' needs a number" in said.json()["error"]["message"]
    assert served.http.post("/v1/feedback", json={"decision_id": decision, "kind": "thumbs_up"}).json()["taken"]
