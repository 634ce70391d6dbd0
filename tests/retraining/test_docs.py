"""What docs/jobs.md and configs/retrain.yaml show works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from armwise.cli import app
from armwise.config import load_config

ROOT = Path(__file__).parents[2]


def test_the_example_is_whole() -> None:
    settings = load_config(ROOT / "configs" / "retrain.yaml", env={}).retrain
    assert len(settings.candidates) == 4
    assert settings.stage == "canary"


@pytest.mark.parametrize("page", ["jobs.md", "rollout.md"])
def test_every_command_that_a_page_shows_is_one(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    commands = re.findall(r"armwise (retrain|models|log)((?: [a-z]+)?)((?: --[a-z-]+)*)", text)
    assert commands
    tree = typer.main.get_command(app)
    for name, word, options in commands:
        command = tree.commands[name]  # type: ignore[attr-defined]  # a group
        inner = getattr(command, "commands", {})
        target = inner.get(word.strip(), command)
        known = {option for parameter in target.params for option in parameter.opts}
        assert set(shlex.split(options)) <= known, (name, word, options)


def test_a_job_says_how_it_is_used() -> None:
    shown = CliRunner().invoke(app, ["retrain", "--help"])
    assert shown.exit_code == 0
    assert "--dry-run" in re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
