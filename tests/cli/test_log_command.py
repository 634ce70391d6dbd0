"""``armwise log``: what a person sees of a log, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from armwise import Request, Router
from armwise.cli import app
from armwise.errors import ArmwiseError
from armwise.features import VectorEncoder
from helpers import DIMENSION, contexts, models


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.duckdb"
    with Router(models(), log=path, seed=1, encoder=VectorEncoder(DIMENSION)) as router:
        for x in contexts(12):
            decision = router.decide(Request(vector=x, input_tokens=50, task="maths"))
            router.observe(decision.id, quality=0.5, cost_usd=1e-3)
    return path


def run(*arguments: object) -> str:
    ran = CliRunner().invoke(app, ["log", *map(str, arguments)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_show_counts(log: Path) -> None:
    found = json.loads(run("show", log, "--json"))
    assert (found["decisions"], found["judged"], found["quality"], found["gaps"]) == (12, 12, 0.5, [])
    assert "decisions        12" in run("show", log)


def test_tail_gives_the_latest_last(log: Path) -> None:
    rows = json.loads(run("tail", log, "-n", 3, "--json"))["rows"]
    assert len(rows) == 3
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert "maths" in run("tail", log)


def test_pool_shows_who_is_disabled_and_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Router(models(), log=path, seed=1) as router:
        router.disable_model("small", by="admin 7")
        router.disable_model("middle")
        router.add_model("small", input_usd_per_mtok=0.2, output_usd_per_mtok=0.4)  # cheaper, and disabled still
        router.enable_model("middle", by="admin 8")
        router.remove_model("large")
        router.add_model("new", input_usd_per_mtok=0.2, output_usd_per_mtok=0.4)
        router.disable_model("new")
        router.remove_model("new")
        router.add_model("new", input_usd_per_mtok=0.2, output_usd_per_mtok=0.4)
        disabled = router.disabled
    rows = json.loads(run("pool", path, "--json"))["rows"]
    assert [(row["arm"], row["state"], row["by"]) for row in rows] == [
        ("small", "disabled", "admin 7"),
        ("middle", "in use", "admin 8"),
        ("large", "gone", ""),
        ("new", "in use", ""),
    ]
    assert disabled == {row["arm"] for row in rows if row["state"] == "disabled"}
    assert all(row["since_unix_time"] > 1e9 for row in rows)
    assert "disabled" in run("pool", path)


def test_query_answers_in_sql(log: Path) -> None:
    assert json.loads(run("query", log, "SELECT count(*) AS n FROM rewarded", "--json")) == {"rows": [{"n": 12}]}


def test_prune_and_compact(log: Path) -> None:
    assert json.loads(run("prune", log, "--keep-days", 1, "--json")) == {"pruned": 0}
    assert json.loads(run("prune", log, "--keep-days", 0, "--json")) == {"pruned": 12}
    assert json.loads(run("show", log, "--json"))["gaps"][0]["reason"] == "pruned"
    assert "MB" in run("compact", log)


def test_a_log_whose_lessons_are_not_saved_is_not_pruned(log: Path) -> None:
    for snapshot in Path(f"{log}.snapshots").iterdir():
        snapshot.unlink()
    with pytest.raises(ArmwiseError, match=r"nothing was pruned: nothing of .* is saved as learned"):
        run("prune", log, "--keep-days", 0)
    assert json.loads(run("show", log, "--json"))["decisions"] == 12


@pytest.mark.parametrize("command", [("show",), ("prune", "--keep-days", "1"), ("compact",), ("tail",)])
def test_a_log_that_is_not_there_is_refused_and_not_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    with pytest.raises(ArmwiseError, match="there is no log at"):
        run(command[0], tmp_path / "none.duckdb", *command[1:])
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_query_is_told(log: Path) -> None:
    with pytest.raises(ArmwiseError, match="nothing_like_it"):
        run("query", log, "SELECT * FROM nothing_like_it")
