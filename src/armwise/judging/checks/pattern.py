"""The answer fits a regular expression."""

from __future__ import annotations

import re

from armwise.errors import BadInput
from armwise.judging.case import Case, Verdict


class PatternCheck:
    """1 if the pattern is found in the answer, else 0. A pattern that backtracks for ever would block all judging.

    Raises:
        BadInput: on a pattern that is none.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern, re.DOTALL)
        except re.error as error:
            raise BadInput(f"not a regular expression: {pattern!r}: {error}") from error

    async def judge(self, case: Case) -> Verdict | None:
        return Verdict(score=float(self._pattern.search(case.answer) is not None))
