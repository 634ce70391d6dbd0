"""The section ``judging``, and its example at work against simulated providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from armwise.config import load_config
from armwise.config.judging import JudgingSettings
from armwise.config.load import parse_config
from armwise.contracts import Request
from armwise.errors import ConfigError
from armwise.judging.build import bench_of
from armwise.log import MemoryLog
from armwise.router import Router
from armwise.testing.simulator import ProviderSimulator
from armwise.testing.tasks import generate, score

EXAMPLE = Path(__file__).parents[2] / "configs" / "judging.yaml"
MODEL = {"name": "m", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}


@pytest.mark.parametrize(
    ("judge", "says"),
    [
        ({"kind": "pointwise"}, "kind 'pointwise' needs a model"),
        ({"kind": "exact", "model": MODEL}, "kind 'exact' takes no model"),
        ({"kind": "pattern"}, "pattern goes with kind 'pattern'"),
        ({"kind": "exact", "pattern": "x"}, "pattern goes with kind 'pattern'"),
        ({"kind": "pointwise", "model": MODEL, "scale": [5, 1]}, "scale must go up"),
        ({"kind": "oracle"}, "Input should be 'pointwise'"),
        ({"kind": "exact", "rate": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_judge_that_makes_no_sense(judge: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        JudgingSettings.model_validate({"judges": [{"name": "j", **judge}]})


def test_names_are_each_judges_own_and_none_is_none() -> None:
    exact = {"name": "j", "kind": "exact"}
    with pytest.raises(ValidationError, match="duplicate name 'j'"):
        JudgingSettings.model_validate({"judges": [exact, exact]})
    assert bench_of(JudgingSettings(), {}) is None


def test_every_kind_is_built(tmp_path: Path) -> None:
    anchors = tmp_path / "anchors.jsonl"
    anchors.write_text('{"question": "a", "answer": "b", "quality": 0.5}\n' * 3)
    of_models = [{"name": kind, "kind": kind, "model": MODEL} for kind in ("pointwise", "reference", "pairwise")]
    of_models[0]["anchors"] = str(anchors)
    checks = [{"name": kind, "kind": kind} for kind in ("exact", "schema", "numeric")]
    others = [
        {"name": "pattern", "kind": "pattern", "pattern": "x"},
        {"name": "code", "kind": "code", "isolated": False, "sandbox": {"wall_s": 1}},
    ]
    settings = {"judges": [*of_models, *checks, *others]}
    config = {"models": [MODEL], "log": None, "judging": settings}
    with Router.from_config(parse_config(config), log=MemoryLog()) as router:
        assert router.judging is not None
        assert len(router.judging.seats) == 8
        assert router.judging.seats[0].guard is not None
        assert router.judging.seats[0].source == "judge:pointwise"
    of_models[0]["anchors"] = str(tmp_path / "none")
    with pytest.raises(ConfigError, match="anchors: cannot read"):
        Router.from_config(parse_config(config), log=MemoryLog())


def test_the_example_judges_what_simulated_models_answer(tmp_path: Path) -> None:
    with ProviderSimulator(time_scale=0.0, seed=2) as simulator:
        data = yaml.safe_load(EXAMPLE.read_text())
        assert load_config(EXAMPLE).judging.judges[1].rate == 0.1
        for model in (*data["models"], data["judging"]["judges"][1]["model"]):
            model["base_url"] = simulator.models()[0].base_url
        data["judging"]["judges"][1]["rate"] = 0.5
        data["log"] = str(tmp_path / "log.duckdb")
        with Router.from_config(parse_config(data)) as router:
            right = {}
            for i, task in enumerate(generate(60, seed=1, kinds=["arithmetic", "facts"])):
                request = Request.from_text(task.prompt, metadata={"reference": task.answer})
                if i % 2:
                    answer = router.complete(request)
                else:
                    stream = router.stream(request)
                    assert list(stream)
                    answer = stream.answer
                right[answer.decision.id] = score(task, answer.text)
            assert router.judging is not None
            assert router.judging.drain(20)
            numbers = router.judging.as_dict()
            assert numbers["judged"] == numbers["drawn"] - numbers["silent"] >= 60 + 10, json.dumps(numbers)
            assert numbers["cost_usd"] > 0
            router.flush()
            rows = router._log.query("SELECT * FROM rewarded").to_pylist()  # type: ignore[attr-defined]
            assert sum(row["judging_usd"] for row in rows) == pytest.approx(numbers["cost_usd"])
            for row in rows:
                assert abs(row["quality"] - right[row["id"]]) < 0.25  # the grader is nearly as good as the check
            assert {row["arm"] for row in rows} <= {"sim-small", "sim-large"}
