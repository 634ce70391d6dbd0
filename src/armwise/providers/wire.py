"""What a wire format must offer, and what all of them share. Pure: dictionaries in, dictionaries out.

Inside armwise every request and every answer is an OpenAI chat completion. A format translates a request into its
provider's own form, and the answer, whole or in events, back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from armwise.contracts import Model
from armwise.providers.errors import BadResponse, Rejected
from armwise.providers.sse import ServerSentEvent

Json: TypeAlias = dict[str, Any]

Endpoint: TypeAlias = Literal["chat", "embeddings", "responses"]
"""What is asked of a model. Only the OpenAI format offers more than ``chat``."""


class Prepared(NamedTuple):
    """A request ready to be sent: path under the base URL, and body."""

    path: str
    payload: Json


class StreamDecoder(Protocol):
    """Translates the events of one stream."""

    finished: bool
    """Whether the answer is complete, though usage may still follow."""
    ended: bool
    """Whether the provider has said that nothing more will come."""

    def feed(self, event: ServerSentEvent) -> list[Json]:
        """The chunks that an event amounts to.

        Raises:
            BadResponse: if it is not of the format.
            ServerFault: if it is the provider's report of an error.
        """
        ...


class WireFormat(Protocol):
    """One provider's way to speak."""

    @property
    def base_url(self) -> str:
        """Where the provider lives, version included."""
        ...

    @property
    def prefills(self) -> bool:
        """Whether a model goes on with the last message where that is its own."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers that authorise a request."""
        ...

    def prepare(self, endpoint: Endpoint, model: Model, body: Mapping[str, Any], *, stream: bool) -> Prepared:
        """Translate a request.

        Raises:
            Rejected: if the format cannot carry it.
        """
        ...

    def parse(self, endpoint: Endpoint, model: Model, data: Json) -> Json:
        """Translate a whole answer.

        Raises:
            BadResponse: if it is not of the format.
        """
        ...

    def decoder(self, endpoint: Endpoint, model: Model) -> StreamDecoder:
        """A fresh decoder for one stream."""
        ...


def loads(text: str | bytes) -> Json:
    """A JSON object.

    Raises:
        BadResponse: if it is anything else.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise BadResponse("the body is not JSON") from None
    if not isinstance(data, dict):
        raise BadResponse(f"the body is a JSON {type(data).__name__}, not an object")
    return data


def error_of(data: object) -> tuple[str, list[str]]:
    """Message and codes of an error body, in any of the formats."""
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, str):
        return error, []
    if not isinstance(error, dict):
        return "", []
    codes = [str(error[name]) for name in ("code", "type", "status") if error.get(name) is not None]
    return str(error.get("message") or ""), codes


def content_parts(content: object) -> list[Json]:
    """The content of a message as a list of parts."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return content
    raise Rejected(f"the content of a message must be a string or a list of parts, got {type(content).__name__}")


def text_of(content: object) -> str:
    """The text of a message's content, parts joined."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content_parts(content) if part.get("type") == "text")


def data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 data of a ``data:`` URL; None for any other URL."""
    if not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        raise Rejected("an image given as a data URL must be data:<media type>;base64,<data>")
    return head.removesuffix(";base64") or "text/plain", data


def arguments_of(call: Mapping[str, Any]) -> Json:
    """The arguments of a tool call as an object; a text that is none is kept whole under ``arguments``."""
    text = call["function"].get("arguments") or "{}"
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": text}


def function_tools(body: Mapping[str, Any]) -> list[Json]:
    """The functions that a request offers as tools."""
    functions = []
    for tool in body.get("tools") or ():
        if tool.get("type", "function") != "function" or "function" not in tool:
            raise Rejected(f"only tools of the type 'function' can be translated, got {tool.get('type')!r}")
        functions.append(tool["function"])
    return functions


def wanted_schema(body: Mapping[str, Any]) -> Json | None:
    """The JSON schema that the answer must follow: any object for ``json_object``, None where text will do."""
    shape = body.get("response_format") or {}
    if shape.get("type") == "json_schema":
        schema: Json = shape.get("json_schema", {}).get("schema") or {"type": "object"}
        return schema
    return {"type": "object"} if shape.get("type") == "json_object" else None


def output_limit(body: Mapping[str, Any]) -> int | None:
    """The most output tokens that the request allows, under either of its names."""
    limit = body.get("max_completion_tokens")
    return limit if limit is not None else body.get("max_tokens")


def stops(body: Mapping[str, Any]) -> list[str]:
    """The stop sequences, always as a list."""
    given = body.get("stop") or []
    return [given] if isinstance(given, str) else list(given)


def completion(reply_id: str, model: str, choices: list[Json], usage: Json | None) -> Json:
    """A chat completion."""
    data: Json = {"id": reply_id, "object": "chat.completion", "created": 0, "model": model, "choices": choices}
    return data if usage is None else {**data, "usage": usage}


def chunk(reply_id: str, model: str, delta: Json, finish: str | None = None, *, index: int = 0) -> Json:
    """A chat completion chunk with one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": reply_id, "object": "chat.completion.chunk", "created": 0, "model": model, "choices": [choice]}


def usage_chunk(reply_id: str, model: str, usage: Json) -> Json:
    """The chunk behind the last choice, which carries nothing but usage."""
    head = {"id": reply_id, "object": "chat.completion.chunk", "created": 0, "model": model}
    return {**head, "choices": [], "usage": usage}


def usage_of(*, prompt: int, output: int, cached: int = 0, cache_written: int = 0, reasoning: int = 0) -> Json:
    """Usage in the OpenAI form: ``prompt`` with all that came from or went into a cache, ``output`` with reasoning."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": cache_written},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def whole(value: object) -> int:
    """A count as the provider gave it, 0 where it gave none. Its truth is judged elsewhere."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
