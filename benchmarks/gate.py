"""How often the gate promotes what it should not, and what it should.

    python benchmarks/gate.py [--trials 200] [--rows 50000] [--candidates 5] [--gain 0.02]

Each trial is a log of a world of 12 arms in pairs that are equal in quality, cost and latency, logged by a policy that
explores, and candidates whose true value is known exactly: those that are no better only move traffic within pairs;
the better one (among others that are not) moves as much from bad arms to good ones as gains the utility asked for.
They need no training: the rows are cut as `armwise retrain` cuts them, without the part that would teach.

Printed: share of trials in which something was promoted, with a 95% Clopper-Pearson interval, where nothing is better
and where one candidate is. Guards are at their defaults, but that what is better may spend 5% more: it moves to dearer
arms, and would rightly be stopped for that.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from scipy.stats import beta

from armwise.config.retrain import GuardSettings, RetrainSettings
from armwise.offline import Candidate, LoggedRows
from armwise.retraining.gate import decide
from armwise.retraining.judgement import judge

PAIRS = 6
ARMS = tuple(f"arm-{k}" for k in range(2 * PAIRS))
TASKS = np.array(["chat", "code", "maths", "law"], dtype=object)
DIMENSION = 8


@dataclass
class Known:
    """A candidate that says its probabilities by the row's position."""

    name: str
    table: np.ndarray
    learned_to: int = -1
    decider: Any = field(default_factory=lambda: SimpleNamespace(pool=ARMS))

    def probabilities(self, rows: LoggedRows) -> np.ndarray:
        """float32 [n, K]."""
        return self.table[rows.position].astype(np.float32)


def world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Contexts, true quality [n, K], cost [K], the logging policy [n, K], tasks."""
    x = rng.normal(size=(n, DIMENSION))
    weights = rng.normal(size=(DIMENSION, PAIRS)) * 0.4
    level = np.linspace(-0.6, 0.9, PAIRS)
    pair = 1.0 / (1.0 + np.exp(-(x @ weights + level)))
    cost = np.repeat(np.linspace(0.2, 1.0, PAIRS) * 1e-3, 2)
    score = 3.0 * (pair - 0.1 * cost[::2] / 1e-3)
    serving = np.exp(score - score.max(axis=1, keepdims=True))
    serving /= serving.sum(axis=1, keepdims=True)
    lean = 1.0 / (1.0 + np.exp(-0.5 * x[:, :1]))  # how it leans within pairs
    logging = np.empty((n, 2 * PAIRS))
    logging[:, ::2], logging[:, 1::2] = serving * lean, serving * (1.0 - lean)
    return x, np.repeat(pair, 2, axis=1), cost, logging, TASKS[rng.integers(len(TASKS), size=n)]


def no_better(rng: np.random.Generator, logging: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Moves within pairs, by a rule of its own: the true value is the serving policy's, row by row."""
    lean = 1.0 / (1.0 + np.exp(-(x @ rng.normal(size=(DIMENSION, 1)))))
    whole = logging[:, ::2] + logging[:, 1::2]
    out = np.empty_like(logging)
    out[:, ::2], out[:, 1::2] = whole * lean, whole * (1.0 - lean)
    return out


def better(logging: np.ndarray, utility: np.ndarray, gain: float) -> np.ndarray:
    """Moves a share of the traffic, in every row, towards the row's best arms, such that the mean gain is exact."""
    best = np.exp(12.0 * (utility - utility.max(axis=1, keepdims=True)))
    best /= best.sum(axis=1, keepdims=True)
    most = float(((best - logging) * utility).sum(axis=1).mean())
    share = gain / most
    assert 0.0 < share <= 1.0, f"this world has only {most:.3f} of utility to gain"
    return np.asarray(logging + share * (best - logging))


def record(rng: np.random.Generator, n: int, made: tuple[np.ndarray, ...]) -> LoggedRows:
    """A log of that world."""
    x, quality, cost, logging, task = made
    arm = (logging.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=2 * PAIRS - 1)
    at = np.arange(n)
    chance = logging[at, arm]
    fill = {name: np.zeros(n) for name in LoggedRows.__dataclass_fields__ if name not in ("arms", "feature_version")}
    return LoggedRows(
        **{
            **fill,
            "arms": ARMS,
            "feature_version": "world",
            "position": at,
            "unix_time": at.astype(float),
            "arm": arm,
            "propensity": chance,
            "eligible": np.ones((n, 2 * PAIRS), dtype=bool),
            "probabilities": logging,
            "vectors": x.astype(np.float32),
            "task": task,
            "tenant": np.full(n, "", dtype=object),
            "policy_version": np.full(n, "p", dtype=object),
            "cost_weight": np.full(n, 0.1),
            "cost_ref_usd": np.full(n, 1e-3),
            "latency_ref_ms": np.full(n, 1e3),
            "quality": (rng.random(n) < quality[at, arm]).astype(float),
            "quality_unix_time": at.astype(float),
            "cost_usd": cost[arm] * rng.gamma(4.0, 0.25, size=n),
            "latency_ms": 500.0 * rng.gamma(4.0, 0.25, size=n),
            "output_tokens": np.full(n, np.nan),
            "judging_probability": np.full(n, np.nan),
            "error": rng.random(n) < 0.01,
        }
    )


def trial(seed: int, n: int, candidates: int, gain: float) -> tuple[bool, str]:
    """Whether anything was promoted, and why (not)."""
    rng = np.random.default_rng(seed)
    settings = RetrainSettings()
    chosen = round(settings.select * n)
    n -= round(settings.train * n)  # the part that would teach is not made
    made = world(rng, n)
    x, quality, cost, logging, _ = made
    rows = record(rng, n, made)
    tables = [no_better(rng, logging, x) for _ in range(candidates)]
    if gain:
        tables[int(rng.integers(candidates))] = better(logging, quality - 0.1 * cost / 1e-3, gain)
    known = [Known(f"candidate {i}", table) for i, table in enumerate(tables)]
    shelf = cast(list[Candidate], known)  # they have all of one that is asked for
    selection = judge(shelf, rows.take(slice(0, chosen)), level=settings.level)
    winner = max(shelf, key=lambda one: selection.utility(one.name).value)
    confirmation = judge([winner], rows.take(slice(chosen, n)), level=settings.level)
    guards = GuardSettings(spend=0.05) if gain else GuardSettings()
    verdict = decide(confirmation, winner.name, margin=settings.margin, guards=guards, least_rows=settings.least_rows)
    return verdict.promoted, verdict.reason


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper-Pearson, 95%."""
    low = beta.ppf(0.025, hits, trials - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, trials - hits) if hits < trials else 1.0
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--gain", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = {}
    for label, gain in (("none is better", 0.0), (f"one is better by {args.gain:g}", args.gain)):
        began, hits = time.perf_counter(), 0
        reasons: dict[str, int] = {}
        for i in range(args.trials):
            promoted, reason = trial(args.seed + i, args.rows, args.candidates, gain)
            hits += promoted
            if not promoted:
                word = reason.split(" is ")[0].split(" would ")[0].split(":")[0]
                word = "utility" if word.startswith("candidate") else word
                reasons[word] = reasons.get(word, 0) + 1
        low, high = interval(hits, args.trials)
        found[label] = {"promoted": hits / args.trials, "low": low, "high": high, "not promoted for": reasons}
        if not args.json:
            spent = time.perf_counter() - began
            print(
                f"{label:<24} promoted in {hits} of {args.trials} trials: {hits / args.trials:.1%} "
                f"[{low:.1%}, {high:.1%}]   ({spent:.0f} s; not for {reasons})"
            )
    if args.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
