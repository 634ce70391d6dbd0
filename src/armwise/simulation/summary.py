"""What a sweep found: means over seeds with intervals, and differences in pairs.

Two policies with the same world, trade-off and seed meet the same episode, so their difference has far less chance in
it than either. Intervals are Student's t over seeds, 95%; they speak of the seeds' luck on this world, and of nothing
beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.stats import t as student

from armwise.contracts import Vector
from armwise.simulation.baselines import spend_saved_at

MEASURES = ("quality", "cost_usd", "above_hull", "regret")


class Interval(NamedTuple):
    """A mean over seeds and half the width of its 95% interval; infinite for a single seed."""

    mean: float
    half: float

    def text(self, digits: int = 4) -> str:
        """``0.6512 ± 0.0031``; a dash where there is none."""
        if not np.isfinite(self.mean):
            return "–"
        half = f" ± {self.half:.{digits}f}" if np.isfinite(self.half) else ""
        return f"{self.mean:.{digits}f}{half}"


def interval(values: Sequence[float] | Vector) -> Interval:
    """Mean and half-width over seeds."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return Interval(float(x.mean()), float("inf"))
    return Interval(float(x.mean()), float(student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))))


def plain(value: Any) -> Any:
    """The value as JSON takes it: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def summarise(results: pa.Table, *, baseline: str) -> list[dict[str, Any]]:
    """One row per world, policy and setting: the measures, and the gain on the baseline policy, in pairs.

    The gain is in utility at a cost weight, and in quality above the hull at equal spend for a budget, because two
    policies never spend quite the same.
    """
    rows = results.to_pylist()
    groups: dict[tuple[str, str, float], dict[int, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["world"], row["policy"], row["value"]), {})[row["seed"]] = row
    out = []
    for (world, policy, value), by_seed in groups.items():
        found: dict[str, Any] = {"world": world, "policy": policy, "value": value, "seeds": len(by_seed)}
        for measure in MEASURES:
            found[measure] = interval([row[measure] for row in by_seed.values()])
        other = groups.get((world, baseline, value), {})
        pairs = [row["merit"] - other[seed]["merit"] for seed, row in by_seed.items() if seed in other]
        found["gain"] = interval(pairs) if pairs and policy != baseline else None
        out.append(found)
    return out


def savings(results: pa.Table, *, fraction: float = 0.95) -> list[dict[str, Any]]:
    """One row per world and policy: percent of the best arm's spend saved at ``fraction`` of its quality, per seed.

    Empty where a policy was run at fewer than three settings. A seed that never reaches the quality counts as NaN
    in ``missed``, and is left out of the mean.
    """
    groups: dict[tuple[str, str], dict[int, list[dict[str, Any]]]] = {}
    for row in results.to_pylist():
        groups.setdefault((row["world"], row["policy"]), {}).setdefault(row["seed"], []).append(row)
    out = []
    for (world, policy), by_seed in groups.items():
        if min(len(cells) for cells in by_seed.values()) < 3:
            continue
        saved = np.array(
            [
                spend_saved_at(
                    [cell["quality"] for cell in cells],
                    [cell["cost_usd"] for cell in cells],
                    best_quality=cells[0]["best_quality"],
                    best_spend_usd=cells[0]["best_cost_usd"],
                    fraction=fraction,
                )
                for cells in by_seed.values()
            ]
        )
        reached = saved[np.isfinite(saved)]
        mean = interval(reached) if len(reached) else Interval(float("nan"), float("nan"))
        out.append({"world": world, "policy": policy, "saved": mean, "missed": int((~np.isfinite(saved)).sum())})
    return out
