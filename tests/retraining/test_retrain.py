"""Retraining from a real log: learn, choose, confirm, publish; and all that must publish nothing."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from armwise.cli import app
from armwise.config import RouterConfig, parse_config
from armwise.errors import BadInput, ConfigError, LogError, SnapshotError, StateError
from armwise.evaluation import LOGGING
from armwise.log import open_reader
from armwise.offline import read_rows
from armwise.registry import Registry
from armwise.retraining import Retraining, retrain
from armwise.retraining.report import write_report
from armwise.retraining.run import alone
from browser import needs_browser, show
from helpers import assert_same_state
from logged_service import MODELS, make_router, serve

FEATURES = "vector-4"
BETTER = {"name": "thompson", "engine": "logistic"}
SAME = {"name": "uniform"}
UNIFORM = {"name": "uniform"}
UNGUARDED = {"spend": None, "latency": None, "exploration": None}


def config(log: Path, *policies: dict[str, Any], **settings: Any) -> RouterConfig:
    """The service's configuration, with candidates."""
    candidates = [
        {"name": f"candidate {i}", "policy": policy} if "policy" not in policy else policy
        for i, policy in enumerate(policies or (BETTER,))
    ]
    models = [
        {"name": m.name, "input_usd_per_mtok": m.input_usd_per_mtok, "output_usd_per_mtok": m.output_usd_per_mtok}
        for m in MODELS
    ]
    given = {"candidates": candidates, "least_rows": 200, "guards": UNGUARDED, "report": None, **settings}
    return parse_config({"models": models, "log": str(log), "retrain": given})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a service that drew uniformly."""
    path = tmp_path_factory.mktemp("log") / "armwise.duckdb"
    with make_router(path, policy=UNIFORM) as router:
        serve(router, 4_000)
        router._log.publish()  # type: ignore[attr-defined]  # a DuckDB log
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def run(log: Path, registry: Registry, *policies: dict[str, Any], publish: bool = True, **settings: Any) -> Retraining:
    return retrain(config(log, *policies, **settings), registry=registry, feature_version=FEATURES, publish=publish)


def test_a_better_candidate_is_promoted_with_a_whole_manifest(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, BETTER, SAME)
    assert found.promoted
    assert found.winner == "candidate 0"
    assert "is better by" in found.reason
    assert found.version is not None
    assert registry.standing().serving == found.version
    manifest = registry.snapshots.load(found.version).manifest
    assert manifest.feature_version == FEATURES
    assert manifest.parents == ["initial"]
    assert manifest.data["rows"] == 4_000
    assert len(manifest.data["sha256"]) == 64
    assert manifest.metrics["lower"] > 0
    assert manifest.made_by == "armwise retrain"
    assert registry.history.read(1).reason == found.reason


def test_the_promoted_policy_serves_and_learns_on(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "armwise.duckdb"
    with make_router(path, policy=UNIFORM) as router:
        serve(router, 3_000)
        router._log.publish()  # type: ignore[attr-defined]  # a DuckDB log
        found = retrain(config(path, least_rows=100), feature_version=FEATURES)  # while the service runs
        assert found.promoted, found.reason
        router._watch.look()  # type: ignore[union-attr]  # it has a registry
        seen = serve(router, 200, seed=5)
        assert router.rollout()["serving"] == found.version
        assert len({arm for _, arm in seen}) > 1
        lessons = router._decider.policy.state()["model"]["lessons"]
        state = router._learner.state()
    assert lessons == 3_200
    with make_router(path, policy=UNIFORM) as router:
        assert_same_state(router._learner.state(), state)


def test_two_runs_on_one_log_make_the_same_snapshot(recorded: Path, tmp_path: Path) -> None:
    one, other = (run(recorded, Registry(tmp_path / name)) for name in ("one", "other"))
    assert one.version == other.version
    assert one.data == other.data


def test_no_better_is_not_promoted_and_nothing_is_published(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, SAME)
    assert not found.promoted
    assert "would have done the same as what serves" in found.reason
    assert found.version is None
    assert registry.history.last == 0
    assert registry.snapshots.list() == []


def test_a_guard_bars_what_utility_alone_would_promote(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, guards={"spend": 0.0})
    assert found.verdict.checks[0].passed
    assert not found.promoted
    assert "spend would get worse" in found.reason


def test_the_margin_counts(recorded: Path, registry: Registry) -> None:
    assert "by more than 0.5" in run(recorded, registry, margin=0.5).reason


def test_exploration_has_to_be_left(recorded: Path, registry: Registry) -> None:
    policy = {"name": "epsilon", "epsilon": 0.0, "horizon": None}
    found = run(recorded, registry, policy, guards={**UNGUARDED, "least_exploration": 0.02})
    assert "exploration would be 0.00%" in found.reason


def test_slices_are_guarded(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, guards={**UNGUARDED, "slice_rows": 100})
    assert {"quality, task chat", "quality, task code"} <= {check.name for check in found.verdict.checks}


def test_a_dry_run_says_and_does_nothing(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, publish=False)
    assert found.verdict.promoted
    assert not found.promoted
    assert registry.history.last == 0


def test_a_canary_is_what_it_starts_with_where_so_configured(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, stage="canary", share=0.1)
    assert found.change is not None
    assert (found.change.stage, found.change.share) == ("canary", 0.1)


def test_nobody_is_judged_by_rows_that_taught_him(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, BETTER, {"name": "recent", "policy": SAME, "window_rows": 300})
    chosen, confirmed = found.selection.rows.position, found.confirmation.rows.position
    assert chosen.max() < confirmed.min()
    assert len(chosen) + len(confirmed) == pytest.approx(1_600, abs=2)
    trained = registry.snapshots.load(str(found.version))
    assert trained.state["policy"]["state"]["model"]["lessons"] == 4_000  # the refit, after the verdict


def test_the_estimate_is_near_the_truth(recorded: Path, registry: Registry) -> None:
    found = run(recorded, registry, publish=False)
    served = found.confirmation.value(LOGGING)
    with open_reader(recorded) as reader:
        rows = read_rows(reader)
    truth = np.nanmean(rows.quality - 0.1 * rows.cost_usd / 1e-3)
    assert abs(served.value - truth) < 4 * served.standard_error


@pytest.mark.parametrize("form", ["published", "rows", "glob"])
def test_a_log_may_come_as_parquet(recorded: Path, registry: Registry, tmp_path: Path, form: str) -> None:
    if form == "published":
        source = f"{recorded}.parquet"
    else:
        with open_reader(recorded) as reader:
            reader.query(f"COPY (FROM rewarded ORDER BY position LIMIT 1500) TO '{tmp_path}/a.parquet'")
            reader.query(f"COPY (FROM rewarded ORDER BY position OFFSET 1500) TO '{tmp_path}/b.parquet'")
            reader.query(f"COPY (FROM rewarded) TO '{tmp_path}/all.parquet'")
        source = f"{tmp_path}/all.parquet" if form == "rows" else f"{tmp_path}/[ab].parquet*"
    found = retrain(config(recorded), source=source, registry=registry, feature_version=FEATURES)
    assert found.data["rows"] == 4_000
    assert found.promoted


def test_what_cannot_be_read_publishes_nothing(recorded: Path, registry: Registry, tmp_path: Path) -> None:
    half = tmp_path / "half.parquet"
    with open_reader(recorded) as reader:
        reader.query(f"COPY (FROM rewarded) TO '{half}'")
    half.write_bytes(half.read_bytes()[:5_000])
    foreign = tmp_path / "foreign.parquet"
    with open_reader(recorded) as reader:
        reader.query(f"COPY (SELECT 1 AS x) TO '{foreign}'")
    for source, message in (
        (str(half), "cannot read"),
        (str(foreign), "holds no rows of a log"),
        (str(tmp_path / "none.parquet"), "cannot read"),
        (str(tmp_path / "none.duckdb"), "there is no log"),
    ):
        with pytest.raises(LogError, match=message):
            retrain(config(recorded), source=source, registry=registry, feature_version=FEATURES)
    assert registry.history.last == 0


def test_a_log_of_other_features_says_so(recorded: Path, registry: Registry) -> None:
    with pytest.raises(BadInput, match="unknown feature version"):
        retrain(config(recorded), registry=registry)


def test_runs_that_overlap_exclude_each_other(recorded: Path, registry: Registry) -> None:
    with alone(registry.directory), pytest.raises(StateError, match="another run of retrain"):
        run(recorded, registry)
    assert run(recorded, registry).promoted


def _die(log: Path, directory: Path, at: str) -> None:
    """Run until a step, then vanish as a killed process does."""
    import os

    def tell(step: str, done: int, total: int) -> None:
        if step == at:
            os._exit(9)

    retrain(config(log), registry=directory, feature_version=FEATURES, on_progress=tell)


@pytest.mark.parametrize("step", ["learning", "confirming", "learning the rest"])
def test_a_run_that_is_killed_leaves_nothing_half_published(recorded: Path, registry: Registry, step: str) -> None:
    process = multiprocessing.get_context("forkserver").Process(target=_die, args=(recorded, registry.directory, step))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert registry.history.last == 0
    assert registry.snapshots.list() == []
    assert run(recorded, registry).promoted  # and the lock was let go


def test_another_promotion_during_the_run_wins(recorded: Path, registry: Registry, tmp_path: Path) -> None:
    other = run(recorded, Registry(tmp_path / "other"))
    snapshot = Registry(tmp_path / "other").snapshots.load(str(other.version))
    registry.snapshots.save(snapshot.state, position=1, feature_version=FEATURES, policy=BETTER)
    [manifest] = registry.snapshots.list()

    def meddle(step: str, done: int, total: int) -> None:
        if step == "confirming" and not registry.history.last:
            registry.promote(manifest.version, by="ada")

    with pytest.raises(SnapshotError, match="published by another meanwhile"):
        retrain(config(recorded), registry=registry, feature_version=FEATURES, on_progress=meddle)
    assert registry.standing().serving == manifest.version


def test_a_registry_that_cannot_be_written_says_so(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(SnapshotError, match="nothing is changed"):
        run(recorded, Registry(tmp_path / "models"))


def test_the_report_is_one_file_with_all_that_a_person_needs(
    recorded: Path, registry: Registry, tmp_path: Path
) -> None:
    page = write_report(run(recorded, registry, BETTER, SAME), tmp_path / "report.html").read_text()
    for heading in ("Decision and reason", "Candidates", "What changes in routing", "Which requests move", "Data"):
        assert heading in page
    assert "src=" not in page.split("</script>")[-1]  # nothing is fetched


@needs_browser
def test_a_browser_draws_the_report_without_a_complaint(recorded: Path, registry: Registry, tmp_path: Path) -> None:
    shown = show(write_report(run(recorded, registry, BETTER, SAME), tmp_path / "report.html"), tmp_path / "profile")
    assert shown.complaints == []
    assert shown.figures == 3


@pytest.fixture
def file(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration in a file, whose features are taken to be those of the log."""
    monkeypatch.setattr("armwise.features.TextEncoder.version", property(lambda self: FEATURES))
    made = config(recorded).model_dump(mode="json", exclude_defaults=True)
    made["retrain"] |= {"registry": str(tmp_path / "models"), "report": str(tmp_path / "r.html")}
    path = tmp_path / "retrain.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def test_the_command_promotes_and_says_why(file: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["retrain", str(file), "--json", "--fail-if-not-promoted"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["promoted"]
    assert Path(said["report"]).exists()
    listed = CliRunner().invoke(app, ["models", "list", "--log", str(tmp_path / "models"), "--json"])
    assert json.loads(listed.stdout)["serving"] == said["version"]
    shown = CliRunner().invoke(app, ["models", "show", said["version"][:6], "--log", str(tmp_path / "models")])
    assert "full by armwise retrain" in shown.stdout


def test_the_command_fails_by_choice_with_the_reason_in_one_line(file: Path) -> None:
    settings = yaml.safe_load(file.read_text())
    settings["retrain"]["margin"] = 0.9
    file.write_text(yaml.safe_dump(settings))
    quiet = CliRunner().invoke(app, ["retrain", str(file)])
    assert quiet.exit_code == 0
    done = CliRunner().invoke(app, ["retrain", str(file), "--fail-if-not-promoted"])
    assert done.exit_code == 1
    assert "not promoted: candidate 0 is not shown to be better by more than 0.9" in done.stdout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 0.9, "select": 0.1}, "some must be left"),
        ({"stage": "canary"}, "does not go with the stage"),
        ({"candidates": [{"name": "a", "policy": "thomson"}]}, "did you mean 'thompson'"),
        ({"candidates": []}, "retrain.candidates"),
        ({"candidates": [{"name": "logging", "policy": "uniform"}]}, "not 'logging'"),
        ({"guards": {"qualty": 0.1}}, "did you mean 'quality'"),
    ],
)
def test_wrong_settings_are_named(recorded: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(recorded, **settings)
