"""What an answer votes for, and which vote wins."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_MARKED = re.compile(
    r"(?:^|\b)(?:final )?answer\s*(?:is)?\s*[:=]\s*(.+)|####\s*(.+)|\\boxed\{([^{}]*)\}", re.IGNORECASE
)
_LEAST, _MOST = 0.02, 0.98


class Winner(NamedTuple):
    """Which answer won, and the share of the weight that was for it."""

    position: int
    share: float


def ballot(message: Mapping[str, Any], pattern: str | None = None) -> str:
    """What an answer comes down to, so that answers that say the same are equal.

    Tool calls by name and arguments; JSON by value; else the last match of ``pattern``, by default what stands behind
    "Answer:", "####" or in a box; and where there is none, all of the text. Case, spaces and marks at the ends do not
    count.
    """
    calls = message.get("tool_calls")
    if calls:
        return json.dumps([_called(call.get("function") or {}) for call in calls], sort_keys=True)
    text = message.get("content") or ""
    if pattern is not None:
        found = re.findall(pattern, text)
        return _plain(found[-1] if found else text)
    value = _as_json(text)
    if value is not None:
        return json.dumps(value.get("answer", value), sort_keys=True)
    marked = [next(filter(None, groups)) for groups in _MARKED.findall(text)]
    return _plain(marked[-1] if marked else text)


def winner(ballots: Sequence[str], weights: Sequence[float]) -> Winner:
    """The ballot with the most weight; of equal ones the one whose own heaviest vote is heaviest, then the first."""
    totals: dict[str, float] = {}
    for vote, weight in zip(ballots, weights, strict=True):
        totals[vote] = totals.get(vote, 0.0) + weight
    best = max(range(len(ballots)), key=lambda i: (totals[ballots[i]], weights[i], -i))
    total = sum(totals.values())
    return Winner(best, totals[ballots[best]] / total if total > 0 else 1.0 / len(ballots))


def log_odds(quality: float) -> float:
    """The weight of a vote that is right with probability ``quality``: best where votes err independently
    (Nitzan & Paroush, 1982). Never negative: a wrong answer says too little of the right one."""
    quality = min(max(quality, _LEAST), _MOST)
    return max(math.log(quality / (1.0 - quality)), 0.05)


def _called(function: Mapping[str, Any]) -> list[Any]:
    arguments = function.get("arguments") or "{}"
    try:
        return [function.get("name"), json.loads(arguments)]
    except ValueError:
        return [function.get("name"), arguments]


def _as_json(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!\"'`*$")
