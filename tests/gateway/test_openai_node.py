"""The official JavaScript client, unmodified. ``.ci/run`` installs it; elsewhere it is ``npm install openai`` away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from serving import Served

from armwise.testing.tasks import TOOLS, generate

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("ARMWISE_NODE", ROOT / ".node"))
SCRIPT = Path(__file__).with_name("openai_node.mjs")


@pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules" / "openai").exists(),
    reason=f"needs node and the package openai in {FOLDER}: npm install --prefix {FOLDER} openai",
)
def test_it_completes_streams_and_calls_tools(served: Served) -> None:
    [task] = generate(1, seed=0, kinds=["tool"])
    env = {**os.environ, "TASK": json.dumps({"prompt": task.prompt, "tools": TOOLS})}
    done = subprocess.run(
        ["node", SCRIPT, FOLDER.resolve(), served.url], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert "42" in told["whole"]
    assert told["arm"] in ("small", "large")
    assert "42" in told["streamed"]
    assert told["usage"]["completion_tokens"] > 0
    assert told["called"]["name"] == told["calledStreamed"]["name"]
    assert json.loads(told["called"]["arguments"]) == json.loads(told["calledStreamed"]["arguments"])
    assert told["missing"] == {"status": 404, "code": "model_not_found"}
    assert told["models"] == ["armwise/auto", "small", "large"]
    assert "42" in told["response"]
