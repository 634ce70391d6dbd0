"""``armwise evaluate``, from a configuration and a service to a table, JSON and a page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from armwise.cli import app
from armwise.errors import BadInput
from armwise.router import Router

CONFIG = {
    "models": [
        {"name": "small", "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4},
        {"name": "large", "input_usd_per_mtok": 3.0, "output_usd_per_mtok": 12.0},
    ],
    "policy": {"name": "epsilon", "epsilon": 0.5, "horizon": None},
    "objective": {"tradeoff": {"cost_weight": 0.1, "cost_ref_usd": 0.001}},
    "seed": 3,
}
PROMPTS = ("Prove that there are infinitely many primes.", "Say hello in French.", "Sort a list in Python, fast.")

WRITER = """
import sys
from armwise.router import Router
router = Router.from_config(sys.argv[1], log=sys.argv[2])
for i in range(120):
    decision = router.decide("What is %d + %d?" % (i, i))
    router.observe(decision.id, quality=float(decision.arm == "large"), cost_usd=1e-4, latency_ms=500.0)
router._log.publish()
print("published", flush=True)
sys.stdin.readline()
router.close()
"""


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration, another one, and the log of the first."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "service.yaml").write_text(yaml.safe_dump(CONFIG))
    greedy = {**CONFIG, "policy": {"name": "epsilon", "epsilon": 0.0}}
    (folder / "greedy.yaml").write_text(yaml.safe_dump(greedy))
    (folder / "bigger.yaml").write_text(
        yaml.safe_dump({**CONFIG, "models": [*CONFIG["models"], {**CONFIG["models"][1], "name": "huge"}]})
    )
    with Router.from_config(folder / "service.yaml", log=folder / "log.duckdb") as router:
        for i in range(300):
            decision = router.decide(PROMPTS[i % 3])
            good = decision.arm == "large" or i % 3 == 1
            router.observe(
                decision.id,
                quality=float(good),
                cost_usd=1e-3 if decision.arm == "large" else 5e-5,
                latency_ms=900.0 if decision.arm == "large" else 300.0,
            )
    return folder


def test_json_has_every_outcome_of_every_candidate(folder: Path) -> None:
    out = run(folder / "log.duckdb", folder / "greedy.yaml", "cheap=arm:small", "--json")
    found = json.loads(out)
    assert set(found["policies"]) == {"greedy", "cheap", "logging"}
    for entry in found["policies"].values():
        assert set(entry["estimates"]) == {"quality", "cost_usd", "latency_ms", "utility"}
        for estimate in entry["estimates"].values():
            assert estimate["lower"] <= estimate["value"] <= estimate["upper"]
    cheap = found["policies"]["cheap"]
    assert cheap["verdict"] == "worse"
    for outcome, true in (("cost_usd", 5e-5), ("quality", 1 / 3), ("latency_ms", 300.0)):
        got = cheap["estimates"][outcome]
        assert abs(got["value"] - true) < 4 * got["standard_error"]
    assert cheap["effective_sample_size"]["quality"] > 30
    assert found["policies"]["greedy"]["learned_from_rows"] == 150


def test_the_table_and_the_page(folder: Path, tmp_path: Path) -> None:
    out = run(folder / "log.duckdb", "--html", tmp_path / "page.html", "--cost-weight", "0.5")
    assert "always small" in out.replace("\n", " ") or "always" in out
    assert "utility = quality - 0.5 x cost" in " ".join(out.split())
    page = (tmp_path / "page.html").read_text()
    for words in ("Better than what runs now?", "Quality for money", "Where each policy sends the traffic"):
        assert words in page
    assert "http://" not in page.split("</script>")[-1]


def test_it_works_while_another_process_writes_the_log(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    command = [sys.executable, "-c", WRITER, str(folder / "service.yaml"), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert service.stdin is not None
        assert service.stdout.readline().strip() == "published"
        found = json.loads(run(path, "arm:*", "--json"))
        assert service.poll() is None  # it still holds the file
        service.stdin.write("\n")
        service.stdin.flush()
        assert service.wait(timeout=30) == 0
    assert found["decisions"] == 120
    assert found["policies"]["always large"]["verdict"] == "better"


def test_a_candidate_with_an_arm_the_log_never_tried(folder: Path) -> None:
    with pytest.raises(BadInput, match="uses the arm 'huge', which the log has never tried"):
        run(folder / "log.duckdb", folder / "bigger.yaml")
