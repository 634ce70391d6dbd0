"""What docs/jobs.md and configs/retrain.yaml show works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from armwise import Router
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


def test_the_example_runs_on_the_log_of_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = ROOT / "configs" / "retrain.yaml"
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with Router.from_config(example, policy="uniform", seed=1) as router:
        for i in range(600):
            decision = router.decide(f"Explain {'how to sort a list in Python' if i % 2 else 'tides'}, part {i}.")
            quality = float(rng.random() < (0.9 if decision.arm == "large" else 0.5))
            router.observe(decision.id, quality=quality, cost_usd=1e-4, latency_ms=500.0)
    done = CliRunner().invoke(app, ["retrain", str(example), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert set(said["candidates"]) == {"thompson", "bold", "recent", "forgetful"}
    assert not said["promoted"]
    assert "rows to confirm by, 1,000 are asked for" in said["reason"]
    assert (tmp_path / "retrain.html").exists()
