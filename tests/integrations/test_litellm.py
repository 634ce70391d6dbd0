"""LiteLLM's router with our strategy. LiteLLM has a Python of its own, for it pins much of what others use."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("ARMWISE_PEERS", ROOT / ".venv-peers")) / "bin" / "python"
CALLS = Path(__file__).with_name("litellm_calls.py")


def has_litellm() -> bool:
    if not PYTHON.exists():
        return False
    check = "import importlib.util as u; exit(not (u.find_spec('litellm') and u.find_spec('armwise')))"
    return subprocess.run([PYTHON, "-c", check], env=environment()).returncode == 0


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@pytest.mark.skipif(not has_litellm(), reason=f"no LiteLLM at {PYTHON}: make peers installs it")
def test_litellm_asks_armwise_and_armwise_learns_from_it() -> None:
    done = subprocess.run([PYTHON, CALLS], env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["answered"]) == {"small", "large"}
    assert told["only"] == ["large"]
    assert "42" in told["streamed"] or told["streamed"]
    assert told["failed"] >= 1
    assert told["decisions"] == 30 + 5 + 1 + 20
    assert told["sets"] == [["openai/large"], ["openai/small", "openai/large"]]
    assert told["propensities"] == [0.5, 1.0]
    assert told["signals"]["latency_ms"] == told["decisions"]
    assert told["signals"]["unavailable"] == told["failed"]
    assert all(cost >= 0 for cost in told["costs"])
    assert sum(cost > 0 for cost in told["costs"]) >= told["decisions"] - told["failed"] - 1
    assert told["attempts"]["ok"] == told["decisions"] - told["failed"]
