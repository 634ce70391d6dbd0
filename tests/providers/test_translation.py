"""Wire formats, translated there and back without a network."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armwise.contracts import Model
from armwise.providers.accumulate import ChatAccumulator
from armwise.providers.deployment import FORMATS
from armwise.providers.errors import BadResponse, Rejected, ServerFault, UpstreamError
from armwise.providers.sse import ServerSentEvent
from armwise.providers.usage import measure

MODEL = Model("m", upstream="their/name", max_output_tokens=777)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "Look"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": '{"degrees": 21}'},
    {"role": "user", "content": "So?"},
    {"role": "assistant", "content": "Warm."},
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "Thanks"},
]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def prepared(provider: str, body: dict[str, Any], *, stream: bool = False) -> tuple[str, dict[str, Any]]:
    path, payload = FORMATS[provider].prepare("chat", MODEL, body, stream=stream)
    json.dumps(payload)
    return path, payload


def test_openai_request() -> None:
    body = {"model": "armwise/auto", "messages": TALK, "stream": False, "odd": 1, "stream_options": {"x": 1}}
    path, payload = prepared("openai", body)
    assert path == "chat/completions"
    assert payload == {"model": "their/name", "messages": TALK, "odd": 1}
    _, payload = prepared("openai", body, stream=True)
    assert payload["stream_options"] == {"x": 1, "include_usage": True}
    assert body["stream_options"] == {"x": 1}


def test_anthropic_request() -> None:
    body = {
        "messages": TALK,
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "temperature": 1.7,
        "stop": ["END", " "],
        "user": "u1",
        "seed": 3,
    }
    path, payload = prepared("anthropic", body)
    assert path == "messages"
    assert payload == {
        "model": "their/name",
        "max_tokens": 777,
        "system": [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [{"type": "text", "text": '{"degrees": 21}'}],
                    },
                    {"type": "text", "text": "So?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "Warm."}]},
            {"role": "user", "content": [{"type": "text", "text": "Thanks"}]},
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
    }


def test_gemini_request() -> None:
    body = {
        "messages": TALK,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "max_tokens": 50,
        "temperature": 0.2,
        "top_p": 0.9,
        "stop": "END",
        "n": 2,
        "reasoning_effort": "low",
    }
    path, payload = prepared("gemini", body, stream=True)
    assert path == "models/their%2Fname:streamGenerateContent?alt=sse"
    assert payload == {
        "systemInstruction": {"parts": [{"text": "Be kind."}, {"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Look"}, {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Paris"}}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"degrees": 21}}},
                    {"text": "So?"},
                ],
            },
            {"role": "model", "parts": [{"text": "Warm."}]},
            {"role": "user", "parts": [{"text": "Thanks"}]},
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "parametersJsonSchema": {"type": "object", "properties": {}}}
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "maxOutputTokens": 50,
            "temperature": 0.2,
            "topP": 0.9,
            "stopSequences": ["END"],
            "candidateCount": 2,
            "thinkingConfig": {"thinkingBudget": 1024},
        },
    }


def test_translation_changes_nothing_of_the_callers() -> None:
    body = {"messages": TALK, "tools": [TOOL]}
    before = json.dumps(body)
    for provider in FORMATS:
        prepared(provider, body)
        prepared(provider, body, stream=True)
    assert json.dumps(body) == before


@pytest.mark.parametrize(
    ("provider", "body", "text"),
    [
        ("anthropic", {"messages": TALK, "n": 2}, "one choice only"),
        ("anthropic", {"messages": []}, "at least one message"),
        ("anthropic", {"messages": [{"role": "robot", "content": "x"}]}, "'robot'"),
        ("anthropic", {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "'input_audio'"),
        ("anthropic", {"messages": [{"role": "user", "content": 7}]}, "a string or a list of parts, got int"),
        ("anthropic", {"messages": TALK, "tools": [{"type": "web_search"}]}, "'web_search'"),
        ("anthropic", {"messages": TALK, "tools": [TOOL], "response_format": {"type": "json_object"}}, "beside tools"),
        ("gemini", {"messages": [{"role": "user", "content": "x"}, *TALK[3:4]]}, "no earlier message called"),
        ("gemini", {"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "'file'"),
        ("gemini", {"messages": TALK[:1]}, "at least one message"),
    ],
)
def test_what_a_format_cannot_carry_is_refused(provider: str, body: dict[str, Any], text: str) -> None:
    with pytest.raises(Rejected, match=text):
        prepared(provider, body)


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_only_chat_is_translated(provider: str) -> None:
    with pytest.raises(Rejected, match="has no embeddings"):
        FORMATS[provider].prepare("embeddings", MODEL, {"input": "x"}, stream=False)


def test_anthropic_answer() -> None:
    data = {
        "id": "msg_1",
        "type": "message",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "text", "text": "Let me "},
            {"type": "text", "text": "look."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Zürich"}},
        ],
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 2,
            "output_tokens": 8,
        },
    }
    answer = FORMATS["anthropic"].parse("chat", MODEL, data)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert (message["content"], message["reasoning_content"]) == ("Let me look.", "Hm.")
    assert message["tool_calls"] == [
        {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}
    ]
    assert answer["usage"]["prompt_tokens"] == 17
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 5, "cache_write_tokens": 2}
    body = {"messages": [*TALK[1:2], message, {"role": "tool", "tool_call_id": "t1", "content": "21"}]}
    _, payload = prepared("anthropic", body)
    assert payload["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "s"}


def test_gemini_answer_and_its_thought_signatures() -> None:
    part = {"functionCall": {"name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "sig"}
    data = {
        "responseId": "r",
        "modelVersion": "gemini",
        "candidates": [
            {
                "content": {"parts": [{"text": "Hm.", "thought": True}, {"text": "I look."}, part]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 6},
    }
    answer = FORMATS["gemini"].parse("chat", MODEL, data)
    message = answer["choices"][0]["message"]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert (message["content"], message["reasoning_content"]) == ("I look.", "Hm.")
    assert answer["usage"]["completion_tokens"] == 10
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 6}
    (call,) = message["tool_calls"]
    assert "index" not in call
    result = {"role": "tool", "tool_call_id": call["id"], "content": "21"}
    _, payload = prepared("gemini", {"messages": [*TALK[1:2], message, result]})
    assert payload["contents"][1]["parts"][1] == part
    assert payload["contents"][2]["parts"][0]["functionResponse"] == {"name": "weather", "response": {"result": 21}}


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter")],
)
def test_gemini_finish_reasons(reason: str, finish: str) -> None:
    data = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": reason}]}
    assert FORMATS["gemini"].parse("chat", MODEL, data)["choices"][0]["finish_reason"] == finish


def test_a_blocked_prompt_is_a_refusal() -> None:
    answer = FORMATS["gemini"].parse("chat", MODEL, {"promptFeedback": {"blockReason": "SAFETY"}})
    assert answer["choices"][0]["finish_reason"] == "content_filter"


def test_cached_system_prompts_keep_their_mark() -> None:
    part = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}
    _, payload = prepared("anthropic", {"messages": [{"role": "system", "content": [part]}, *TALK[1:2]]})
    assert payload["system"] == [part]


@pytest.mark.parametrize("provider", sorted(FORMATS))
@pytest.mark.parametrize(
    "data",
    [{}, {"choices": []}, {"choices": [{}]}, {"content": "x"}, {"candidates": [7]}, {"candidates": []}],
)
def test_answers_that_are_none(provider: str, data: dict[str, Any]) -> None:
    with pytest.raises(BadResponse):
        FORMATS[provider].parse("chat", MODEL, data)


@pytest.mark.parametrize("provider", sorted(FORMATS))
def test_errors_in_the_place_of_an_answer(provider: str) -> None:
    error = {"type": "error", "error": {"message": "busy", "type": "overloaded_error"}}
    with pytest.raises(ServerFault, match="busy"):
        FORMATS[provider].parse("chat", MODEL, error)
    with pytest.raises(ServerFault, match="busy"):
        FORMATS[provider].decoder("chat", MODEL).feed(ServerSentEvent("error", json.dumps(error)))


# ---------------------------------------------------------------------------------------------- garbage

VALUES: list[Any] = [None, True, -1, 7, 1.5, "", "x", [], [7], [[]], [None], {}, {"x": 7}, [{}]]

SAMPLES: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {
            "id": "1",
            "choices": [
                {
                    "index": 0,
                    part: {"role": "assistant", "content": "x", "tool_calls": [{"index": 0, **CALL}]},
                    "finish_reason": "stop",
                    "logprobs": {"content": [{"token": "x"}]},
                }
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}},
        }
        for part in ("delta", "message")
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "1", "model": "m", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "n"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "x"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "error", "error": {"type": "x", "message": "x"}},
        {
            "id": "1",
            "content": [{"type": "text", "text": "x"}, {"type": "tool_use", "id": "t", "name": "n", "input": {}}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
    ],
    "gemini": [
        {
            "responseId": "1",
            "candidates": [
                {
                    "index": 0,
                    "content": {"parts": [{"text": "x"}, {"functionCall": {"name": "n", "args": {"a": 1}}}]},
                    "finishReason": "STOP",
                }
            ],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
            "promptFeedback": {"blockReason": "SAFETY"},
        }
    ],
}


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON tree."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [(data, key) for key in keys] + [place for key in keys for place in places(data[key])]


CASES = [(provider, sample) for provider, samples in SAMPLES.items() for sample in samples]


@settings(max_examples=400, deadline=None)
@given(case=st.sampled_from(CASES), data=st.data())
def test_no_spoilt_answer_raises_anything_but_our_own(case: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    provider, sample = case
    spoilt = json.loads(json.dumps(sample))
    for _ in range(data.draw(st.integers(0, 2))):
        container, key = data.draw(st.sampled_from(places(spoilt)))
        container[key] = json.loads(json.dumps(data.draw(st.sampled_from(VALUES))))
    read(provider, spoilt)


@pytest.mark.parametrize("provider", sorted(SAMPLES))
def test_no_single_spoilt_field_raises_anything_but_our_own(provider: str) -> None:
    for sample in SAMPLES[provider]:
        for position in range(len(places(sample))):
            for value in VALUES:
                spoilt = json.loads(json.dumps(sample))
                container, key = places(spoilt)[position]
                container[key] = value
                read(provider, spoilt)


def read(provider: str, answer: dict[str, Any]) -> None:
    """Whole and streamed, through to the bill: no error but that of a bad response."""
    body = {"messages": TALK}
    wire = FORMATS[provider]
    with contextlib.suppress(UpstreamError):
        parsed = wire.parse("chat", MODEL, json.loads(json.dumps(answer)))
        measure(parsed.get("usage"), body, parsed, sent_bytes=100)
    decoder, accumulator = wire.decoder("chat", MODEL), ChatAccumulator()
    with contextlib.suppress(UpstreamError):
        if provider == "anthropic":
            decoder.feed(ServerSentEvent("", json.dumps(SAMPLES[provider][1])))
        for _ in range(2):
            for chunk in decoder.feed(ServerSentEvent("", json.dumps(answer))):
                accumulator.add(chunk)
        measure(accumulator.usage, body, accumulator.answer(), sent_bytes=100)
