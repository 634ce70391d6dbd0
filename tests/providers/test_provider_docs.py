"""The examples of docs/providers.md run as they stand, and its defaults are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from armwise.providers.breaker import BreakerSettings
from armwise.providers.deployment import FORMATS
from armwise.providers.http import HttpSettings
from armwise.providers.retry import RetryPolicy

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example-{n}" for n, _ in enumerate(EXAMPLES, 1)])
def test_examples_run(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "docs/providers.md", "exec"), {})
    shown = capsys.readouterr().out
    if "sim-large" in example:
        assert "Answer: 42" in shown
    if "mean_score" in example:
        small, coder = map(float, shown.split("\n")[0].split())
        assert coder > small + 0.2
        assert "http_503" in shown


def test_defaults_are_as_written() -> None:
    for settings, names in (
        (HttpSettings(), ("read_s", "idle_s")),
        (RetryPolicy(), ("max_retry_after_s", "max_cooldown_s", "attempts")),
        (BreakerSettings(), ("failures", "cooldown_s", "hung_s")),
    ):
        for name in names:
            value = getattr(settings, name)
            assert re.search(rf"{name}`[^`]*?\(?{value:g}\)", PAGE), (name, value)
    for wire in FORMATS.values():
        assert wire.base_url in PAGE
