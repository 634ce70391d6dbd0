"""Studies: read whole, run once, resumed where they stopped, and summed up in pairs."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest

from armwise.errors import BadInput, ConfigError
from armwise.simulation import load_study, parse_study, replay, run_study
from armwise.simulation.study import make_world
from armwise.simulation.summary import interval, plain, savings, summarise
from armwise.simulation.sweep import run_cells
from armwise.simulation.worlds import TableWorld

DATA = {
    "question": "Does it   learn?",
    "worlds": [
        {"name": "calm", "kind": "synthetic", "rounds": 300, "arms": 3, "dimension": 4},
        {"name": "new", "kind": "synthetic", "rounds": 300, "arms": 3, "nuisances": [{"kind": "new_arm", "at": 0.5}]},
    ],
    "policies": ["thompson", {"label": "blind", "name": "uniform"}],
    "cost_weights": [0.0, 0.1, 0.4],
    "seeds": 3,
}


def study(**changes):
    return parse_study({**DATA, **changes}, name="toy")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"polices": []}, "unknown setting 'polices'"),
        ({"worlds": []}, "worlds must be a list with at least one entry"),
        ({"worlds": [{"kind": "synthetc"}]}, r"worlds\[0\].*'synthetc'.*synthetic"),
        ({"worlds": [{"kind": "synthetic", "round": 3}]}, r"worlds\[0\].*'round'.*rounds"),
        ({"worlds": [{"kind": "synthetic", "rounds": 0}]}, r"worlds\[0\].*rounds >= 1"),
        ({"worlds": [{"kind": "parquet"}]}, r"worlds\[0\]: path is missing"),
        ({"worlds": [{"kind": "packaged"}, {"kind": "packaged"}]}, "a name of its own"),
        ({"worlds": [{"kind": "packaged", "nuisances": [{"kind": "drfit"}]}]}, r"nuisances\[0\].*'drfit'.*drift"),
        ({"worlds": [{"kind": "packaged", "nuisances": [{"kind": "drift", "los": 1}]}]}, r"nuisances\[0\].*'los'"),
        ({"policies": ["thomson"]}, r"policies\[0\].*'thomson'.*thompson"),
        ({"policies": [{"name": "thompson", "scal": 1}]}, r"policies\[0\].*scal"),
        ({"policies": ["thompson", "thompson"]}, r"policies\[1\]: label 'thompson' is taken"),
        ({"cost_weights": [-1]}, "cost_weights must be"),
        ({"budgets": [0.5]}, "budgets or cost_weights, not both"),
        ({"seeds": 0}, "seeds must be"),
        ({"baseline": "blnd"}, "baseline: .*'blnd'.*blind"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(changes, words):
    with pytest.raises(ConfigError, match=re.compile(words, re.DOTALL)):
        study(**changes)


def test_a_path_may_name_a_variable(monkeypatch):
    worlds = [{"kind": "parquet", "path": "${SOME_DATA}/x.parquet"}]
    monkeypatch.setenv("SOME_DATA", "/somewhere")
    assert study(worlds=worlds).worlds[0]["path"] == "/somewhere/x.parquet"
    monkeypatch.delenv("SOME_DATA")
    with pytest.raises(ConfigError, match=r"worlds\[0\]: path .* names an environment variable that is not set"):
        study(worlds=worlds)


def test_a_file_is_read(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(json.dumps(DATA))
    plan = load_study(path)
    assert (plan.name, plan.question, plan.baseline) == ("my", "Does it learn?", "thompson")
    assert len(list(plan.cells())) == 2 * 2 * 3 * 3
    with pytest.raises(ConfigError, match="no such file"):
        load_study(tmp_path / "none.yaml")


def test_every_cell_has_a_key_of_its_own():
    keys = [cell.key for cell in study().cells()]
    assert len(set(keys)) == len(keys)
    assert keys == [cell.key for cell in study().cells()]


def test_results_are_those_of_replay(tmp_path):
    plan = study(seeds=[2])
    rows = run_cells(plan, tmp_path, jobs=1).to_pylist()
    for cell, row in zip(plan.cells(), rows, strict=True):
        world = make_world(json.dumps(cell.world, sort_keys=True))
        run = replay(world, policy=cell.policy, cost_weight=cell.value, seed=2)
        assert (row["quality"], row["cost_usd"]) == (run.mean_quality, run.mean_cost_usd)
        assert row["curve_regret"][-1] == pytest.approx(run.regret.sum())
        assert sum(row["shares"]) == pytest.approx(1.0)


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path):
    class PulledPlug(Exception):
        pass

    def pull(done, total):
        if done == 10:
            raise PulledPlug

    plan = study()
    with pytest.raises(PulledPlug):
        run_cells(plan, tmp_path, jobs=1, backend="sequential", on_cell=pull)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("*.parquet")}
    assert len(kept) == 10
    counts = []
    results = run_cells(plan, tmp_path, jobs=1, backend="sequential", on_cell=lambda *c: counts.append(c))
    assert counts[0] == (10, 36)
    assert counts[-1] == (36, 36)
    assert all((tmp_path / "cells" / name).stat().st_mtime_ns == at for name, at in kept.items())
    assert pq.read_table(tmp_path / "results.parquet").equals(results)


def test_workers_and_a_single_process_agree(tmp_path):
    plan = study(seeds=1)
    columns = ["world", "policy", "value", "seed", "quality", "cost_usd", "regret"]
    alone = run_cells(plan, tmp_path / "a", backend="sequential").select(columns)
    assert run_cells(plan, tmp_path / "b", jobs=2, backend="threading").select(columns).equals(alone)


def test_an_unknown_backend_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no backend 'lokey'"):
        run_cells(study(), tmp_path, backend="lokey")


def test_interval_is_students():
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)
    assert interval([1.0]).half == float("inf")


def test_json_has_no_infinities():
    assert plain({"a": [interval([1.0]), float("nan"), 2]}) == {"a": [[1.0, None], None, 2]}


def test_differences_are_taken_in_pairs(tmp_path):
    results = run_cells(study(baseline="blind"), tmp_path, backend="sequential")
    rows = summarise(results, baseline="blind")
    assert len(rows) == 12
    raw = {(r["world"], r["policy"], r["value"], r["seed"]): r["merit"] for r in results.to_pylist()}
    for row in rows:
        if row["policy"] == "blind":
            assert row["gain"] is None
            continue
        where = row["world"], row["value"]
        pairs = [raw[where[0], "thompson", where[1], s] - raw[where[0], "blind", where[1], s] for s in range(3)]
        assert row["gain"] == interval(pairs)


def test_a_budget_is_a_share_of_the_best_arms_cost(tmp_path):
    data = {**{k: v for k, v in DATA.items() if k != "cost_weights"}, "budgets": [0.3, 0.6]}
    data["worlds"] = [{"kind": "synthetic", "rounds": 1500, "arms": 3}]
    results = run_cells(parse_study({**data, "policies": ["thompson"]}), tmp_path, backend="sequential")
    for row in results.to_pylist():
        assert row["cost_usd"] / row["best_cost_usd"] == pytest.approx(row["value"], rel=0.15)
        assert row["merit"] == row["above_hull"]
    with pytest.raises(ConfigError, match="budgets must be above 0"):
        parse_study({**data, "budgets": [0.0]})


def test_savings_want_three_trade_offs(tmp_path):
    results = run_cells(study(), tmp_path / "a", backend="sequential")
    assert {row["world"] for row in savings(results)} == {"calm", "new"}
    few = run_cells(study(cost_weights=[0.1]), tmp_path / "b", backend="sequential")
    assert savings(few) == []


def test_the_command_writes_results_and_report_and_prints_json_last(tmp_path, capsys):
    path = tmp_path / "toy.yaml"
    path.write_text(json.dumps({**DATA, "seeds": 2}))
    result = run_study(path, json=True, jobs=1, backend="sequential", write_up=tmp_path / "toy.md")
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["cells"] == result.cells == 24
    assert printed["summary"][0]["quality"][0] == result.summary[0]["quality"].mean
    assert result.results == str(tmp_path / "results" / "toy" / "results.parquet")
    html = (tmp_path / "results" / "toy" / "report.html").read_text()
    for words in ("Does it learn?", "calm: regret", "new: where the requests went", "gain on thompson"):
        assert words in html
    assert "<script src" not in html
    text = (tmp_path / "toy.md").read_text()
    first = result.summary[0]
    assert f"| calm | thompson | 0 | {first['quality'].text()} |" in text
    assert "Does it learn?" in text
    assert "24 replays of 300 rounds" in text


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "package"), [("ray", "ray"), ("dask", "distributed")])
def test_a_local_cluster_gives_what_one_process_gives(backend, package, tmp_path):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'armwise[{backend}]'")
    data = {**DATA, "seeds": 1}
    (tmp_path / "toy.yaml").write_text(json.dumps(data))
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    main = "from armwise.cli import main; main()"
    arguments = ["simulate", "toy.yaml", "--backend", backend, "--jobs", "2", "--out", "there", "--json"]
    command = [sys.executable, "-c", main, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    columns = ["world", "policy", "value", "seed", "quality", "cost_usd", "regret"]
    alone = run_cells(parse_study(data), tmp_path / "here", backend="sequential").select(columns)
    assert pq.read_table(tmp_path / "there" / "results.parquet").select(columns).equals(alone)


def test_the_order_of_traffic_is_declared(table):
    given = TableWorld(table, order="given").episode(3)
    assert [c.task for c in given.contexts] == list(table.tasks)
    by_task = [c.task for c in TableWorld(table, order="by_task").episode(3).contexts]
    assert sum(a != b for a, b in pairwise(by_task)) == 1  # two tasks, one change
    shuffled = [c.task for c in TableWorld(table).episode(3).contexts]
    assert sorted(shuffled) == sorted(by_task)
    with pytest.raises(BadInput, match="unknown order 'sorted'"):
        TableWorld(table, order="sorted")
    with pytest.raises(ConfigError, match=r"worlds\[0\]: unknown order 'by_tsk'; did you mean 'by_task'"):
        study(worlds=[{"kind": "packaged", "order": "by_tsk"}])
    with pytest.raises(ConfigError, match="a log is as it is"):
        study(worlds=[{"kind": "log", "path": "x", "nuisances": [{"kind": "season"}]}])
