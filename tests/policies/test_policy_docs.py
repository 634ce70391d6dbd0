"""docs/policies.md: every policy, every engine, every parameter with its default, and nothing that is not there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from armwise.policies import POLICIES, make_policy
from armwise.predictors import ENGINES

TEXT = (Path(__file__).resolve().parents[2] / "docs/policies.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))
NOT_SETTINGS = {"self", "cls", "model", "voters", "make_model", "dimension", "parameters", "args", "kwargs"}


def settings(*makers: Callable[..., Any]) -> dict[str, str]:
    """Parameter -> its default, as the table has it."""
    found = {}
    for maker in makers:
        for name, parameter in inspect.signature(maker).parameters.items():
            if name not in NOT_SETTINGS:
                default = parameter.default
                default = list(default) if isinstance(default, tuple) else default
                found[name] = str(default) if default != "" else '""'
    return found


def documented(title: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", SECTIONS[title], flags=re.MULTILINE))


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_is_documented_with_its_parameters(name: str) -> None:
    kind = POLICIES[name]
    assert documented(f"`{name}`") == settings(kind.__init__, kind.build)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_documented_with_its_parameters(name: str) -> None:
    assert documented(f"engine `{name}`") == settings(ENGINES[name])


def test_nothing_is_documented_that_is_not_there() -> None:
    assert set(SECTIONS) == {f"`{name}`" for name in POLICIES} | {f"engine `{name}`" for name in ENGINES}


def test_the_examples_run() -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL):
        exec(compile(block, "docs/policies.md", "exec"), {})
    assert make_policy("thompson", 8, engine="logistic", model={"forgetting": 0.999}, scale=0.4).spec["scale"] == 0.4
