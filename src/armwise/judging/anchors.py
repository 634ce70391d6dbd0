"""Anchors: questions with answers whose quality is known, to judge a judge by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from armwise.errors import ConfigError
from armwise.judging.case import Case


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A case and its known quality."""

    case: Case
    quality: float


def load_anchors(path: str | Path) -> tuple[Anchor, ...]:
    """Anchors of a JSONL file: ``question``, ``answer``, ``quality`` in [0, 1], and perhaps ``metadata``.

    Raises:
        ConfigError: naming the line, what came and what is allowed.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"anchors: cannot read {path}: {error}") from error
    anchors = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            question, answer, quality = row["question"], row["answer"], row["quality"]
            metadata = {str(key): str(value) for key, value in row.get("metadata", {}).items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}, line {number}: an anchor is an object with question, answer and quality ({error!r})"
            ) from error
        if isinstance(quality, bool) or not isinstance(quality, (int, float)) or not 0.0 <= quality <= 1.0:
            raise ConfigError(f"{path}, line {number}: quality must be a number between 0 and 1, got {quality!r}")
        messages = ({"role": "user", "content": str(question)},)
        anchors.append(Anchor(case=Case(messages=messages, answer=str(answer), metadata=metadata), quality=quality))
    if len(anchors) < 2:
        raise ConfigError(f"{path}: needs at least two anchors, got {len(anchors)}")
    return tuple(anchors)
