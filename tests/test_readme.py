"""What the README and the docs promise runs as written, and every example config is sound."""

import re
from pathlib import Path

import pytest

from armwise.config import load_config
from armwise.router import Router

ROOT = Path(__file__).parent.parent


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/researchers.md", "docs/evaluate.md", "docs/simulate.md"])
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(page)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_example_configs_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"(?:api_key_env: |env:)(\w+)", path.read_text()):
        monkeypatch.setenv(name, "any")
    with Router.from_config(load_config(path), log=None) as router:
        assert router.decide("hello").arm in router.arms


def test_every_link_leads_somewhere() -> None:
    for page in ("README.md", "docs/services.md", "docs/jobs.md", "docs/gateway.md"):
        folder = (ROOT / page).parent
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert (folder / target).exists(), f"{page} links to {target}"
