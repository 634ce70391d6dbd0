"""The answer is a program, and passes its tests."""

from __future__ import annotations

import re
import secrets

from armwise.errors import ConfigError
from armwise.judging.case import Case, Verdict
from armwise.judging.sandbox import Limits, isolates, run_python

_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


class CodeCheck:
    """1 if the answer's Python runs, and the tests behind it to their end; else 0. See :mod:`armwise.judging.sandbox`.

    Args:
        tests: for every case; by default ``tests`` of the case's metadata. Without either it says nothing.
        limits: of one run.
        isolated: refuse to run where there is no network namespace to run in.

    Raises:
        ConfigError: if isolation is asked for and not to be had.
    """

    def __init__(self, tests: str | None = None, *, limits: Limits | None = None, isolated: bool = True) -> None:
        if isolated and not isolates():
            raise ConfigError(
                "this machine gives an ordinary user no network namespace (unshare --user --net), so a code check "
                "could reach the network; set isolated: false to run it all the same"
            )
        self._tests = tests
        self._limits = limits

    async def judge(self, case: Case) -> Verdict | None:
        tests = case.metadata.get("tests") if self._tests is None else self._tests
        if tests is None:
            return None
        done = secrets.token_hex(16)  # so that an answer which exits early has not passed
        outcome = await run_python(f"{code_of(case.answer)}\n\n{tests}\nprint({done!r})\n", self._limits)
        return Verdict(score=float(outcome.ok and outcome.output.rstrip().endswith(done)))


def code_of(answer: str) -> str:
    """The program in an answer: its Markdown blocks, or all of it where there are none."""
    blocks = _BLOCK.findall(answer)
    return "\n\n".join(blocks) if blocks else answer
