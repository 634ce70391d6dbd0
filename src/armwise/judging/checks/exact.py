"""The answer is the right one, letter by letter or but for its dress."""

from __future__ import annotations

import re

from armwise.judging.case import Case, Verdict

_FINAL = re.compile(r"(?:^|\n)\s*(?:final )?answer\s*[:=]\s*(.+?)\s*$", re.IGNORECASE | re.DOTALL)


class ExactCheck:
    """1 if the answer equals the case's reference, else 0. Without a reference it says nothing.

    Args:
        lenient: take what follows a last ``Answer:``, and ignore case, space and a closing full stop.
    """

    def __init__(self, *, lenient: bool = True) -> None:
        self._lenient = lenient

    async def judge(self, case: Case) -> Verdict | None:
        if case.reference is None:
            return None
        answer, reference = case.answer, case.reference
        if self._lenient:
            answer, reference = _bare(final_answer(answer)), _bare(reference)
        return Verdict(score=float(answer == reference))


def final_answer(text: str) -> str:
    """What follows the last ``Answer:`` at the start of a line; the whole text where there is none."""
    found = _FINAL.search(text[max(0, text.lower().rfind("answer") - 20) :])
    return found[1] if found else text


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).removesuffix(".").strip("\"'` ")
