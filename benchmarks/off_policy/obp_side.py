"""The estimates of obp 0.5.7, in a process of its environment: ``python -m off_policy.obp_side``.

torch, which the estimators here never call, is replaced by empty modules.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

from off_policy.machine import Array, child, peak_mib, speed_arrays


def peer(python: str, arguments: list[str]) -> dict[str, Any]:
    """What this module prints there."""
    return child([python, "-m", "off_policy.obp_side", *arguments])


def estimators() -> dict[str, Any]:
    """obp's, by our names."""
    stub_torch()
    from obp.ope import (
        DirectMethod,
        DoublyRobust,
        InverseProbabilityWeighting,
        SelfNormalizedDoublyRobust,
        SelfNormalizedInverseProbabilityWeighting,
    )

    return {
        "dm": DirectMethod(),
        "ips": InverseProbabilityWeighting(),
        "snips": SelfNormalizedInverseProbabilityWeighting(),
        "dr": DoublyRobust(),
        "sndr": SelfNormalizedDoublyRobust(),
    }


def keywords(x: dict[str, Array]) -> dict[str, Array]:
    return {
        "reward": x["reward"],
        "action": x["action"],
        "pscore": x["pscore"],
        "action_dist": x["action_dist"][:, :, None],
        "position": np.zeros(len(x["reward"]), dtype=int),
        "estimated_rewards_by_reg_model": x["q"][:, :, None],
    }


def interval(estimator: Any, x: dict[str, Array], seed: int) -> tuple[float, float]:
    found = estimator.estimate_interval(n_bootstrap_samples=1000, random_state=seed, **keywords(x))
    return float(found["95.0% CI (lower)"]), float(found["95.0% CI (upper)"])


def of_logs(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """target/estimator -> intervals, of the logs that are there."""
    kinds = estimators()
    out: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(folder.glob("*.npz")):
        target, seed = path.stem.rsplit("-", 1)
        x = dict(np.load(path))
        for name, estimator in kinds.items():
            out.setdefault(f"{target}/{name}", []).append(interval(estimator, x, int(seed)))
    return out


def speed(rows: int) -> dict[str, Any]:
    kinds, raw = estimators(), speed_arrays(rows)
    x = {"reward": raw["reward"], "action": raw["arm"], "pscore": raw["propensity"], "action_dist": raw["target"]}
    x["q"] = raw["q"]
    out: dict[str, Any] = {"inputs_mib": peak_mib()}
    for name in ("dr", "snips", "ips"):
        start = time.perf_counter()
        value = float(kinds[name].estimate_policy_value(**keywords(x)))
        lower, upper = interval(kinds[name], x, 1)
        out[name] = {"seconds": time.perf_counter() - start, "value": value, "lower": lower, "upper": upper}
        out.setdefault("peak_mib", peak_mib())
    return out


def stub_torch() -> None:
    class Empty(types.ModuleType):
        def __getattr__(self, name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    names = ["torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.utils", "torch.utils.data"]
    sys.modules.update({name: Empty(name) for name in names})
    for name in names[1:]:
        parent, _, leaf = name.rpartition(".")
        setattr(sys.modules[parent], leaf, sys.modules[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="of logs; without it, speed is measured")
    given = parser.parse_args()
    print(json.dumps(of_logs(given.folder) if given.folder else speed(given.rows)))


if __name__ == "__main__":
    main()
