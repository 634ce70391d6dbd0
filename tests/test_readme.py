"""What the README and the docs promise runs as written, example configs are sound, and links lead somewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from armwise.config import load_config, parse_config
from armwise.router import Router
from armwise.simulation.study import parse_study

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))))
RUN = (
    "README.md",
    "docs/evaluate.md",
    "docs/features.md",
    "docs/researchers.md",
    "docs/simulate.md",
)
"""Pages whose examples in Python are run here; providers, strategies, sessions and policies have tests of their own."""
KEYS = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x"}
POOL = [
    {"name": name, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    for name in ("small", "middle", "large", "coder", "gpt-4o", "gpt-4o-mini")
]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), flags=re.DOTALL)


def all_blocks(language: str) -> list[Any]:
    found = [(page, number, block) for page in PAGES for number, block in enumerate(blocks(page, language))]
    return [pytest.param(block, id=f"{page}-{number}") for page, number, block in found]


@pytest.mark.parametrize("page", RUN)
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(page, "python")
    assert found
    for block in found:
        exec(compile(block, page, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("block", all_blocks("python"))
def test_examples_import_what_there_is(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("armwise"):
            if node.module == "armwise.integrations.litellm":
                pytest.importorskip("litellm")
            names = ", ".join(name.name for name in node.names)
            exec(f"from {node.module} import {names}", {})


def test_examples_of_calls_on_a_router_call_what_there_is() -> None:
    called = {name for page in PAGES for name in re.findall(r"\brouter\.(\w+)\(", text_of(page))}
    called -= {"acompletion"}  # LiteLLM's
    assert {"decide", "observe", "set_budget", "retract"} <= called
    assert [name for name in sorted(called) if not hasattr(Router, name)] == []


@pytest.mark.parametrize("block", all_blocks("yaml"))
def test_examples_in_yaml_are_sound(block: str) -> None:
    parts = [block]
    if len(re.findall(r"^policy:", block, flags=re.MULTILINE)) > 1:  # one way or the other
        parts = re.split(r"^(?=policy:)", block, flags=re.MULTILINE)[1:]
    for part in parts:
        data = yaml.safe_load(part)
        if "worlds" in data:
            assert parse_study(data).policies
            continue
        for tenant in data.get("gateway", {}).get("tenants", []):
            tenant["keys"] = [key if key != "sha256:..." else "sha256:" + "0" * 64 for key in tenant["keys"]]
        parse_config({"models": POOL, **data}, env=KEYS)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_example_configs_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"(?:api_key_env: |env:)(\w+)", path.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "any")
    with Router.from_config(load_config(path), log=None) as router:
        assert router.decide("hello").arm in router.arms


def links(page: str) -> Iterator[tuple[str, str]]:
    """(file, heading) of each link of a page to a file here."""
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" not in target:
            file, _, heading = target.partition("#")
            yield file, heading


def headings(path: Path) -> set[str]:
    """Anchors of a page, as its host makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for file, heading in links(page):
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), f"{page} links to {file}"
        assert not heading or heading in headings(path), f"{page} links to {file}#{heading}"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_script_that_is_named_is_there(page: str) -> None:
    named = re.findall(
        r"(?:`|python |armwise \w+ )((?:benchmarks|simulations|configs|tests|src)/[\w./-]+\w)", text_of(page)
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_can_be_found() -> None:
    index = "docs/README.md"
    assert index in PAGES
    linked = {(ROOT / "docs" / file).resolve() for file, _ in links(index)}
    pages = {path.resolve() for path in (ROOT / "docs").glob("*.md")} - {(ROOT / index).resolve()}
    assert sorted(path.name for path in pages - linked) == []
