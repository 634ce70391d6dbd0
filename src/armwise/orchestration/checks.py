"""How sure an answer is, in [0, 1]; None where that cannot be measured, which is never sure enough.

- ``logprob``: the geometric mean of the probabilities of its tokens.
- ``agreement``: the share of several samples, or votes, that say the same (Wang et al., "Self-Consistency", 2022).
- ``verifier``: what a model says of it from 0 to 100.
- ``format``: 1 if it has the form that was asked for and its tool calls fit their schemas, else 0.

A refusal or an empty answer is 0 whatever else is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from armwise.orchestration import prompts
from armwise.orchestration.ask import Ask, Draft
from armwise.orchestration.form import form_of
from armwise.plans import Check
from armwise.providers.completion import Completion
from armwise.providers.errors import UpstreamError


def prepared(checks: Sequence[Check], body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body, with what the checks need of the answer."""
    return {**body, "logprobs": True} if any(check.kind == "logprob" for check in checks) else body


def restored(draft: Draft, body: Mapping[str, Any]) -> Draft:
    """The answer without what the caller did not ask for."""
    response = draft.completion.response
    if body.get("logprobs") or not any("logprobs" in choice for choice in response.get("choices") or ()):
        return draft
    choices = [{key: value for key, value in choice.items() if key != "logprobs"} for choice in response["choices"]]
    return draft._replace(completion=replace(draft.completion, response={**response, "choices": choices}))


async def measured(checks: Sequence[Check], draft: Draft, ask: Ask) -> float | None:
    """How sure an answer is: as sure as the least of the checks says. The cheap ones come first."""
    completion = draft.completion
    if completion.refused or completion.empty:
        return 0.0
    least = 1.0
    for check in sorted(checks, key=lambda check: check.model is not None):
        if least == 0.0:
            return 0.0
        if check.kind == "logprob":
            confidence = mean_probability(completion)
        elif check.kind == "agreement":
            confidence = draft.confidence
        elif check.kind == "format":
            confidence = float(form_of(completion, ask.body).sound)
        else:
            confidence = await _verified(check, completion, ask)
        if confidence is None:
            return None
        least = min(least, confidence)
    return least


def mean_probability(completion: Completion) -> float | None:
    """Geometric mean of the probabilities of an answer's tokens; None where they were not given."""
    choices: Sequence[Mapping[str, Any]] = completion.response.get("choices") or ({},)
    tokens = (choices[0].get("logprobs") or {}).get("content") or ()
    given = [token.get("logprob") for token in tokens if isinstance(token, Mapping)]
    logs = [float(log) for log in given if isinstance(log, (int, float)) and not math.isnan(log)]
    return min(1.0, math.exp(sum(logs) / len(logs))) if logs else None


async def _verified(check: Check, completion: Completion, ask: Ask) -> float | None:
    """What the verifier says; None where it fails or says no number."""
    assert check.model is not None
    body = prompts.verification(ask.body, completion.message)
    try:
        said = await ask.calls.complete(ask.models[check.model], body)
    except UpstreamError:
        return None
    score = prompts.number_in(said.text)
    return None if score is None else min(1.0, max(0.0, score / 100.0))
