"""Cases for the tests of judges."""

from __future__ import annotations

import asyncio
from typing import Any

from armwise.judging import Case


def case(answer: str, question: str = "What is 6 x 7?", **metadata: str) -> Case:
    """A question of one turn and its answer."""
    return Case(messages=({"role": "user", "content": question},), answer=answer, metadata=metadata, decision_id="d")


def score(judge: Any, about: Case) -> float | None:
    """What a judge gives; None where it says nothing."""
    verdict = asyncio.run(judge.judge(about))
    return None if verdict is None else float(verdict.score)
