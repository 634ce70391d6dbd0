"""The answer is JSON of a given form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema

from armwise.errors import BadInput
from armwise.judging.case import Case, Verdict


class SchemaCheck:
    """1 if the answer is JSON that fits the schema, else 0.

    Args:
        schema: for every case; by default the JSON text ``schema`` of the case's metadata. Without either it says
            nothing.

    Raises:
        BadInput: on a schema that is none.
    """

    def __init__(self, schema: Mapping[str, Any] | None = None) -> None:
        self._validator = None if schema is None else _validator(schema)

    async def judge(self, case: Case) -> Verdict | None:
        validator = self._validator
        if validator is None:
            if "schema" not in case.metadata:
                return None
            try:
                validator = _validator(json.loads(case.metadata["schema"]))
            except ValueError:  # BadInput too: a broken schema says nothing of the answer
                return None
        try:
            given = json.loads(_unfenced(case.answer))
        except ValueError:
            return Verdict(score=0.0)
        return Verdict(score=float(validator.is_valid(given)))


def _validator(schema: Any) -> Any:
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise BadInput(f"not a JSON schema: {error.message}") from error
    return kind(schema)


def _unfenced(text: str) -> str:
    """JSON out of a Markdown block, where it stands in one."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") + 1 : -3]
    return text
