"""The classifier of tasks: callers' labels in the log teach it, and requests without a label are guessed by it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

import pytest
import yaml
from typer.testing import CliRunner

from armwise import Request, Router
from armwise.cli import app
from armwise.errors import SnapshotError
from armwise.registry import KeptTasks, registry_directory, save_tasks
from armwise.retraining import retrain
from helpers import assert_same_state

DISHES = ("soup", "bread", "rice", "a lemon cake", "roast chicken", "an omelette", "pancakes", "dumplings")
PLACES = ("Lima", "Oslo", "Rome", "Kyoto", "Cairo", "Quito", "Lisbon", "Seoul")


def prompt(task: str, rng: Random) -> str:
    if task == "kitchen":
        start = rng.choice(("How do I cook", "Give me a recipe for", "How long must I bake", "What spices go into"))
        return f"{start} {rng.choice(DISHES)} for {rng.randrange(2, 9)} people?"
    start = rng.choice(("Find me a flight to", "Which hotel should I book in", "Plan a weekend trip to", "Trains to"))
    return f"{start} {rng.choice(PLACES)} in {rng.choice(('May', 'June', 'October'))}?"


def configured(tmp_path: Path, **classifier: object) -> Path:
    models = [
        {"name": name, "input_usd_per_mtok": price, "output_usd_per_mtok": 4 * price}
        for name, price in (("small", 0.1), ("large", 3.0))
    ]
    rule = {"name": "cooks", "when": {"tasks": ["kitchen"]}, "then": {"arms": ["small"]}}
    path = tmp_path / "armwise.yaml"
    log = str(tmp_path / "log.duckdb")
    data = {"models": models, "log": log, "seed": 0, "classifier": classifier, "retrain": {"report": None}}
    path.write_text(yaml.safe_dump({**data, "rules": [rule]}))
    return path


def ask(router: Router, labelled: int, *, shuffled: bool = False) -> None:
    rng = Random(1)
    for number in range(labelled + 20):
        task = rng.choice(("kitchen", "travel"))
        label = rng.choice(("kitchen", "travel")) if shuffled else task
        request = Request.from_text(prompt(task, rng), task=label if number < labelled else None)
        router.observe(router.decide(request).id, quality=1.0, cost_usd=1e-4, latency_ms=10.0)


def serve(path: Path, labelled: int, *, shuffled: bool = False) -> None:
    with Router.from_config(path) as router:
        ask(router, labelled, shuffled=shuffled)


def test_requests_without_a_label_are_guessed_by_what_callers_named(tmp_path: Path) -> None:
    path = configured(tmp_path)
    serve(path, 160)
    said = CliRunner().invoke(app, ["retrain", str(path), "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.output)["tasks"]
    assert told["passed"]
    assert told["accuracy"] > 0.9 > told["commonest"]
    assert sum(told["labels"].values()) == 160  # the others were guessed, and teach nothing
    rng = Random(2)
    with Router.from_config(path) as router:
        for task in ("kitchen", "travel") * 20:
            decision = router.decide(Request.from_text(prompt(task, rng)))
            assert decision.context.task == task
            assert (set(decision.arms) == {"small"}) == (task == "kitchen")  # a rule goes by it
        assert router.decide(Request.from_text("How do I bake bread?", task="law")).context.task == "law"
        version = router.encoder.version
    directory = registry_directory(tmp_path / "log.duckdb")
    assert KeptTasks(directory, version).newer() is not None
    with pytest.raises(SnapshotError, match="run armwise retrain"):
        KeptTasks(directory, "text-other").newer()


def test_too_few_labels_are_refused_with_what_there_is(tmp_path: Path) -> None:
    path = configured(tmp_path, least_labels=200)
    serve(path, 60)
    found = retrain(path)
    assert found.tasks is None
    assert found.no_tasks is not None
    assert "too few task labels" in found.no_tasks
    assert "it takes 200 of each of two tasks" in found.no_tasks
    assert "kitchen 3" in found.no_tasks or "kitchen 2" in found.no_tasks
    said = CliRunner().invoke(app, ["retrain", str(path)])
    assert "no classifier of tasks" in said.output
    with Router.from_config(path) as router:
        assert router._labels is None  # the one that ships guesses


def test_a_running_service_takes_what_was_learned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, rng = configured(tmp_path), Random(3)
    with Router.from_config(path) as router:
        ask(router, 160)
        before = router._learner.state()
        router._log.publish()
        assert retrain(path).tasks is not None
        until = time.monotonic() + 10.0
        while router._labels is None and time.monotonic() < until:
            time.sleep(0.02)
        assert_same_state(router._learner.state(), before)  # it is no event, and changes nothing that was learned
        decision = router.decide(Request.from_text(prompt("kitchen", rng)))
        assert (decision.context.task, decision.arms) == ("kitchen", ("small",))
        assert decision.feature_version == router.encoder.version
        # What does not fit is told once, and the one in use goes on.
        kept, directory = router._labels, registry_directory(tmp_path / "log.duckdb")
        assert kept is not None
        save_tasks(directory, kept, "text-other", {})
        router._watch.look()
        router._watch.look()
        assert "of features 'text-other'" in str(router._watch.error)
        assert sum("text-other" in record.message for record in caplog.records) == 1
        assert router._labels is kept
        save_tasks(directory, kept, router.encoder.version, {})
        router._watch.look()
        assert router._labels is not kept
        assert router.decide(Request.from_text(prompt("travel", rng))).context.task == "travel"
        state = router._learner.state()
    with Router.from_config(path) as again:
        assert_same_state(again._learner.state(), state)


def test_labels_that_mean_nothing_are_not_published(tmp_path: Path) -> None:
    path = configured(tmp_path)
    serve(path, 160, shuffled=True)
    found = retrain(path)
    assert found.tasks is not None
    assert not found.tasks.passed
    assert "not better than the commonest task" in found.tasks.reason
    assert KeptTasks(registry_directory(tmp_path / "log.duckdb"), "any").newer() is None


def test_features_without_labels_are_refused(tmp_path: Path) -> None:
    path = configured(tmp_path)
    data = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**data, "features": {"label_dimension": 0}}))
    serve(path, 60)
    assert "label_dimension" in str(retrain(path).no_tasks)


def test_one_task_alone_cannot_be_learned(tmp_path: Path) -> None:
    path = configured(tmp_path)
    with Router.from_config(path) as router:
        for number in range(60):
            decision = router.decide(Request.from_text(f"How do I cook {DISHES[number % 8]}?", task="law"))
            router.observe(decision.id, quality=1.0)
    assert "law 60" in str(retrain(path).no_tasks)
