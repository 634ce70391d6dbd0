"""What both sides of a comparison need, in environments of their own: nothing of armwise is imported here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SPEED_ARMS = tuple("abcdefghij")


def speed_arrays(n: int) -> dict[str, Array]:
    """A log of coin tosses under a uniform policy, a target, and a model's predictions."""
    rng, k = np.random.default_rng(0), len(SPEED_ARMS)
    target = rng.random((n, k))
    target /= target.sum(axis=1, keepdims=True)
    return {
        "target": target,
        "q": rng.random((n, k)),
        "arm": rng.integers(0, k, n),
        "propensity": np.full(n, 1.0 / k),
        "reward": (rng.random(n) < 0.5).astype(float),
    }


def peak_mib() -> float:
    """Of this process alone: what the operating system's rusage says begins at the size of the parent."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


def environment() -> dict[str, str]:
    """Ours, with the modules of ``benchmarks`` within reach."""
    here = str(Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def child(command: Sequence[str]) -> dict[str, Any]:
    """The JSON that a fresh process prints on its last line; modules of ``benchmarks`` can be run."""
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment())
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
