"""The answer is the right number, within a tolerance."""

from __future__ import annotations

import math
import re

from armwise.errors import BadInput
from armwise.judging.case import Case, Verdict
from armwise.judging.checks.exact import final_answer

_NUMBER = re.compile(r"[-+]?(?:\d[\d,_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


class NumericCheck:
    """1 if the last number of the answer is the reference's, else 0. Without a numeric reference it says nothing.

    Args:
        relative, absolute: tolerances, as in :func:`math.isclose`.

    Raises:
        BadInput: on a negative tolerance.
    """

    def __init__(self, *, relative: float = 1e-6, absolute: float = 1e-9) -> None:
        if min(relative, absolute) < 0:
            raise BadInput(f"tolerances must be at least 0, got {relative:g} and {absolute:g}")
        self._relative, self._absolute = relative, absolute

    async def judge(self, case: Case) -> Verdict | None:
        wanted = None if case.reference is None else last_number(case.reference)
        if wanted is None:
            return None
        given = last_number(final_answer(case.answer))
        right = given is not None and math.isclose(given, wanted, rel_tol=self._relative, abs_tol=self._absolute)
        return Verdict(score=float(right))


def last_number(text: str) -> float | None:
    """The last number in a text, thousands separators allowed."""
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "").replace("_", "")) if found else None
