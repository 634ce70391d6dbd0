"""The official Python client, unmodified, with nothing changed but the base URL."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from serving import Served

from armwise.testing.simulator import ProviderSimulator
from armwise.testing.tasks import TOOLS, generate

QUESTION = [{"role": "user", "content": "What is 12 + 30?"}]


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0)


def test_it_completes(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="armwise/auto", messages=QUESTION, temperature=0)
    assert "42" in (done.choices[0].message.content or "")
    assert done.usage is not None
    assert done.usage.total_tokens > 0
    assert done.model_extra is not None
    assert done.model_extra["armwise"]["arm"] in ("small", "large")


def test_it_streams(client: openai.OpenAI) -> None:
    text, usage = "", None
    with client.chat.completions.create(
        model="armwise/auto",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            usage = chunk.usage or usage
    assert "42" in text
    assert usage is not None
    assert usage.completion_tokens > 0


def test_it_calls_tools_whole_and_streamed(client: openai.OpenAI) -> None:
    [task] = generate(1, seed=0, kinds=["tool"])
    messages = [{"role": "user", "content": task.prompt}]
    tools = list(TOOLS)
    done = client.chat.completions.create(model="armwise/auto", messages=messages, tools=tools)
    [call] = done.choices[0].message.tool_calls
    with client.chat.completions.stream(model="armwise/auto", messages=messages, tools=tools) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert streamed is not None
    assert streamed[0].function.name == call.function.name
    assert json.loads(streamed[0].function.arguments) == json.loads(call.function.arguments)
    messages += [
        done.choices[0].message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"},
    ]
    again = client.chat.completions.create(model="armwise/auto", messages=messages, tools=tools)
    assert again.choices[0].message.content


def test_images_and_formats_pass(client: openai.OpenAI) -> None:
    content = [
        {"type": "text", "text": "What is 12 + 30?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    done = client.chat.completions.create(
        model="armwise/auto",
        messages=[{"role": "user", "content": content}],
        response_format={"type": "json_object"},
    )
    assert done.choices[0].message.content


def test_responses_embeddings_and_models(client: openai.OpenAI) -> None:
    assert "42" in client.responses.create(model="armwise/auto", input="What is 12 + 30?").output_text
    kinds = [event.type for event in client.responses.create(model="small", input="What is 12 + 30?", stream=True)]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    embedded = client.embeddings.create(model="small", input=["a", "b"])
    assert len(embedded.data) == 2
    assert next(iter(client.models.list())).id == "armwise/auto"


def test_a_stream_that_nothing_can_go_on_with_is_an_error_and_never_looks_whole(
    client: openai.OpenAI, served: Served, simulator: ProviderSimulator
) -> None:
    simulator.script("small", ["cut"])
    kinds: list[str] = []
    events = client.responses.create(model="small", input="What is 12 + 30?", stream=True)
    with pytest.raises(openai.APIError, match="the answer broke off and nothing could go on with it") as caught:
        kinds.extend(event.type for event in events)
    assert "response.output_text.delta" in kinds
    assert "response.completed" not in kinds
    assert caught.value.code == "no_answer"
    simulator.script("small", ["cut"])
    raw = served.http.post("/v1/responses", json={"model": "small", "input": "What is 12 + 30?", "stream": True}).text
    name, data = raw.rstrip().split("\n\n")[-1].split("\n")
    told = json.loads(data.removeprefix("data: "))
    assert (name, told["type"], told["code"]) == ("event: error", "error", "no_answer")
    assert told["armwise"]["gave_up"] == {"small": "cut_short"}
    # Several choices: said again where the model says the same, else the error of a chat.
    simulator.script("small", ["cut", *["server_error"] * 9])
    with pytest.raises(openai.APIError, match="what came of it is not whole"):
        list(client.chat.completions.create(model="small", messages=QUESTION, n=2, stream=True))


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="smal", messages=QUESTION)
    assert caught.value.code == "model_not_found"
    assert "did you mean 'small'" in str(caught.value)
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(
            model="armwise/auto",
            messages=QUESTION,
            extra_body={"armwise": {"residency": ["mars"]}},
        )


def test_the_async_client(served: Served) -> None:
    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any") as client:
            done = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="armwise/auto",
                        messages=[{"role": "user", "content": f"What is {n} + 30?"}],
                    )
                    for n in range(20)
                )
            )
        return [one.choices[0].message.content or "" for one in done]

    for n, text in enumerate(asyncio.run(main())):
        assert str(n + 30) in text
