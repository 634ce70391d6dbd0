"""``armwise feedback import``."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from armwise.cli import app
from armwise.router import Router

CONFIG = """
models:
  - {{name: small, input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4}}
  - {{name: large, input_usd_per_mtok: 3.0, output_usd_per_mtok: 12.0}}
rewards:
  kinds:
    stars: {{at_zero: 0.0, at_one: 1.0, reliability: 0.5}}
log: {log}
"""


def test_a_file_is_imported_into_the_log_of_a_config(tmp_path: Path) -> None:
    config, log = tmp_path / "armwise.yaml", tmp_path / "log.duckdb"
    config.write_text(CONFIG.format(log=log))
    with Router.from_config(config) as router:
        decision = router.decide("hello")
    file = tmp_path / "feedback.jsonl"
    rows = [
        {"decision_id": decision.id, "kind": "stars", "value": 0.75, "event_id": "1"},
        {"decision_id": "nobody", "kind": "stars", "value": 0.75, "event_id": "1"},
        {"decision_id": decision.id, "kind": "star", "value": 0.75, "event_id": "2"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    run = CliRunner().invoke(app, ["feedback", "import", str(config), str(file), "--json"])
    assert run.exit_code == 0, run.output
    report = json.loads(run.output.splitlines()[-1])
    assert (report["rows"], report["taken"], report["unknown"], report["invalid"]) == (3, 1, 1, 1)
    assert "unknown signal kind 'star'; did you mean 'stars'?" in report["problems"][1]
    run = CliRunner().invoke(app, ["feedback", "import", str(config), str(file)])
    assert "3 rows: 0 taken, 1 duplicate, 1 for unknown decisions, 1 invalid" in run.output
    assert run.exit_code == 0
    file.write_text('{"id": "x"}')
    run = CliRunner().invoke(app, ["feedback", "import", str(config), str(file)])
    assert "1 rows: 0 taken" in run.output
    assert run.exit_code == 1  # nothing of the file was feedback
