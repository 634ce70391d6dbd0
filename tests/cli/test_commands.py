"""The commands as a person types them: what they print, and what they say when something is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from armwise import __version__, cli

CONFIGS = Path(__file__).parents[2] / "configs"


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command line."""
    monkeypatch.setattr(sys, "argv", ["armwise", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def armwise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    return lambda *arguments: run(*arguments, monkeypatch=monkeypatch, capsys=capsys)


def test_route_says_which_arm_and_why(armwise) -> None:
    code, out, _ = armwise("route", "What is the capital of Mongolia?")
    assert code == 0
    assert "was drawn with probability" in out
    assert all(name in out for name in ("small", "medium", "large"))


def test_route_as_json_has_probabilities_that_sum_to_one(armwise) -> None:
    code, out, _ = armwise("route", "Prove it.", "--json", "--config", str(CONFIGS / "quickstart.yaml"))
    decision = json.loads(out.splitlines()[-1])
    assert code == 0
    assert sum(decision["probabilities"].values()) == pytest.approx(1.0)
    assert decision["propensity"] == decision["probabilities"][decision["arm"]]


def test_doctor_says_what_a_configuration_would_do(armwise) -> None:
    code, out, _ = armwise("doctor", str(CONFIGS / "service.yaml"), "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0
    assert [model["name"] for model in found["models"]] == ["gpt-4o-mini", "gpt-4o", "in-house"]
    assert [budget["name"] for budget in found["budgets"]] == ["day", "day, each tenant", "request, task code"]
    assert found["objective"] == {"min_cost": {"reference": "gpt-4o", "quality_fraction": 0.95, "latency_weight": 0.0}}


def test_doctor_warns_of_keys_that_are_absent_and_a_service_refuses(armwise, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "models: [{name: gpt-4o, api_key_env: NO_SUCH_KEY}]\n"
        "gateway: {admin_keys: ['env:NO_ADMIN'], tenants: [{name: acme, keys: ['env:NO_TENANT']}]}\n"
    )
    missing = [
        "models[0].api_key_env: the environment has no NO_SUCH_KEY",
        "gateway.tenants[0].keys[0]: the environment has no NO_TENANT",
        "gateway.admin_keys[0]: the environment has no NO_ADMIN",
    ]
    code, out, _ = armwise("doctor", str(path), "--json")
    assert (code, json.loads(out.splitlines()[-1])["missing_keys"]) == (0, missing)
    code, out, _ = armwise("doctor", str(path))
    assert code == 0
    assert "will not start" in out
    code, _, err = armwise("route", "Hello", "--config", str(path))
    assert (code, err) == (2, f"armwise: {path}: {missing[0]}\n")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("models: [{name: a}]", "models[0]: model 'a' has no price"),
        ("models: [{name: gpt-4o, toolz: true}]", "models[0].toolz: unknown setting 'toolz'; did you mean 'tools'?"),
        ("models: [{name: gpt-4o, tools: often}]", "models[0].tools: "),
        ("models: [{name: gpt-4o}, {name: gpt-4o}]", "models: duplicate name 'gpt-4o'"),
        ("models: [{name: gpt-4o}]\nfeatures: {dimension: 99}", "features: dimension must be a whole number from 0"),
        (
            "models: [{name: gpt-4o}]\nfeatures: {features: [{nam: x}]}",
            "a feature: unknown key 'nam'; did you mean 'name'",
        ),
        (
            "models: [{name: gpt-4o}]\npolicy: 5",
            "policy: a policy is a name, or a mapping of name and parameters, got int",
        ),
        ("[", "not valid YAML"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_file_and_place(
    armwise, tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    code, _, err = armwise("doctor", str(path))
    assert code == 2
    assert err.startswith(f"armwise: {path}: {says}")
    assert len(err.splitlines()) == 1


def test_a_file_that_is_not_there(armwise) -> None:
    code, _, err = armwise("doctor", "nowhere.yaml")
    assert (code, err) == (2, "armwise: nowhere.yaml: no such file\n")


def test_a_folder_that_cannot_be_made_is_one_line(armwise, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = armwise("demo", "--limit", "200", "--out", str(tmp_path / "file" / "demo"))
    assert code == 2
    assert err.startswith("armwise: ")
    assert len(err.splitlines()) == 1


def test_an_unknown_command_is_refused(armwise) -> None:
    code, _, err = armwise("rout")
    assert code == 2
    assert "No such command" in err


def test_the_version(armwise) -> None:
    assert armwise("--version") == (0, f"armwise {__version__}\n", "")


def commands(at: Any = None, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command, also those below others, by its words."""
    at = typer.main.get_command(cli.app) if at is None else at
    yield name, at
    for below in getattr(at, "commands", {}).values():
        yield from commands(below, f"{name} {below.name}".strip())


def test_every_command_explains_itself_and_its_options() -> None:
    for name, command in commands():
        assert command.help, f"armwise {name} says nothing of itself"
        for parameter in command.params:
            assert parameter.help or parameter.required, f"armwise {name}: {parameter.name} says nothing of itself"


def test_every_command_that_computes_takes_json() -> None:
    leaves = {name: command for name, command in commands() if not hasattr(command, "commands")}
    options = {name: {word for parameter in at.params for word in parameter.opts} for name, at in leaves.items()}
    assert {name for name, words in options.items() if "--json" not in words} == {"serve"}
