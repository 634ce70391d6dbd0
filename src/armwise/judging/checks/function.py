"""Your own function as a judge."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from armwise.errors import ArmwiseError
from armwise.judging.case import Case, JudgeFailed, Verdict

Scorer = Callable[[Case], float | Awaitable[float | None] | None]


class FunctionJudge:
    """Case -> score in [0, 1], or None to say nothing. Plain or async; a plain one should be quick."""

    def __init__(self, function: Scorer) -> None:
        self._function = function

    async def judge(self, case: Case) -> Verdict | None:
        try:
            score: Any = self._function(case)
            if inspect.isawaitable(score):
                score = await score
            return None if score is None else Verdict(score=float(score))
        except ArmwiseError as error:
            raise JudgeFailed(str(error), why="unreadable") from error
        except Exception as error:  # whatever the caller's own code raises
            raise JudgeFailed(f"the function failed: {type(error).__name__}: {error}") from error
