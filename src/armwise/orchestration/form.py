"""Whether an answer has the form that was asked for: JSON by its schema, tool calls by theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from armwise.providers.completion import Completion


class Form(NamedTuple):
    """Per kind of form whether the answer has it; None where it was not asked for or does not apply."""

    tools: bool | None
    format: bool | None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.tools is not False and self.format is not False


def form_of(completion: Completion, body: Mapping[str, Any]) -> Form:
    """The form of a chat completion against what its body asked for."""
    message = completion.message
    calls = message.get("tool_calls")
    if calls:
        return Form(tools=_calls_fit(calls, body.get("tools") or ()), format=None)
    return Form(tools=None, format=_format_fits(completion.text, body.get("response_format")))


def _calls_fit(calls: Any, tools: Any) -> bool:
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    schemas = {f["name"]: f.get("parameters") or {} for f in functions if isinstance(f, Mapping) and "name" in f}
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue  # a tool of another kind than a function has no schema to hold it to
        name = function.get("name")
        if name not in schemas or not _fits(function.get("arguments") or "{}", schemas[name]):
            return False
    return True


def _format_fits(text: str, shape: Any) -> bool | None:
    kind = shape.get("type") if isinstance(shape, Mapping) else None
    if kind == "json_object":
        return _fits(text, {"type": "object"})
    if kind == "json_schema":
        inner = shape.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, Mapping) else None
        return _fits(text, schema if isinstance(schema, Mapping) else {})
    return None


def _fits(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether a text is JSON that follows a schema. A schema that is none asks for nothing but JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    validator = _validator(json.dumps(schema, sort_keys=True, default=str))
    try:
        return True if validator is None else bool(validator.is_valid(value))
    except Unresolvable:
        return True


@lru_cache(maxsize=256)
def _validator(schema: str) -> Draft202012Validator | None:
    """Callers' schemas are read once; the empty registry keeps references out of them from being fetched."""
    try:
        Draft202012Validator.check_schema(json.loads(schema))
    except SchemaError:
        return None
    return Draft202012Validator(json.loads(schema), registry=Registry())
