"""How often do the intervals cover the truth?"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from armwise.evaluation import (
    ESTIMATORS,
    LoggedFeedback,
    OutcomePredictions,
    RidgeOutcome,
    TargetPolicy,
    confidence_sequence,
    cross_fit,
    evaluate,
)
from armwise.evaluation.intervals import normal_radius
from armwise.evaluation.intervals.betting import LOG_PRIOR, STAKES
from off_policy.machine import Array
from off_policy.obp_side import peer
from off_policy.worlds import Behaviour, World

LEARNING = 200
"""Runs at most of the policy that learns while it logs: each takes seconds."""
BETTING = 50
"""Runs whose betting interval is computed for its width."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One estimate on one log."""

    value: float
    normal: tuple[float, float]
    bootstrap: tuple[float, float]
    status: str


@dataclass(kw_only=True)
class Found:
    """What was found on the logs of one behaviour: runs by target and estimator, misses and widths by sequence."""

    estimators: Sequence[str]
    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)
    anytime: dict[tuple[str, str], list[tuple[bool, float]]] = field(default_factory=dict)

    def add(self, feedback: LoggedFeedback, targets: Sequence[TargetPolicy], q: OutcomePredictions, seed: int) -> None:
        """Every estimator with intervals of both kinds."""
        for name in self.estimators:
            result = evaluate(
                feedback,
                targets,
                estimator=name,
                interval="bootstrap",
                predictions=None if name == "mrdr" else q,
                rng=np.random.default_rng([seed, 1]),
                force=True,
            )
            for target in targets:
                e, at = result.estimate(target.name), result.policies.index(target.name)
                centre = float(result.centre[at, 0])
                half = float(normal_radius(np.array(e.standard_error), 0.95, result.bias_allowance[at, 0]))
                self.runs.setdefault((target.name, name), []).append(
                    Run(
                        value=e.value,
                        normal=(centre - half, centre + half),
                        bootstrap=(e.lower, e.upper),
                        status=result.verdict(target.name).status,
                    )
                )

    def watch(self, feedback: LoggedFeedback, target: TargetPolicy, truth: float, seed: int) -> None:
        """Anytime-valid sequences, looked at after every row."""
        w, r = target.of_arm(feedback.arm) / feedback.propensity, feedback.outcomes["quality"]
        lower, upper = confidence_sequence(r, w)
        missed = bool(((lower > truth) | (upper < truth)).any())
        self.anytime.setdefault((target.name, "ips, running"), []).append((missed, float(upper[-1] - lower[-1])))
        peak = max(peak_capital(w * r, truth), peak_capital(w * (1 - r), 1 - truth))
        width = np.nan
        if seed < BETTING:
            bets = evaluate(feedback, [target], estimator="ips", interval="betting", force=True).estimate(target.name)
            width = bets.upper - bets.lower
        self.anytime.setdefault((target.name, "ips, betting"), []).append((bool(peak >= np.log(40.0)), width))


def coverage(
    world: World, *, rows: int, replications: int, only: str | None, obp: str | None, obp_replications: int
) -> Iterator[list[dict[str, Any]]]:
    """Print the tables; yields their rows, one list for each behaviour.

    Args:
        only: one behaviour, by its name in the report.
        obp: python of the peer's environment.
    """
    behaviours, targets = world.behaviours(), world.targets()
    truth = {name: world.value(table) for name, table in targets.items()}
    _describe(world, behaviours, targets, truth)
    for behaviour, logging in behaviours.items():
        if only not in (None, behaviour):
            continue
        runs = min(replications, LEARNING) if callable(logging) else replications
        # Replay accepts nothing of the default's: it has one huge bound on its weights.
        found = Found(estimators=[name for name in ESTIMATORS if name != "replay" or "default" not in behaviour])
        theirs: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(runs):
                feedback, drawn = world.draw(logging, rows, seed)
                chosen = [TargetPolicy(name=name, probabilities=table[drawn]) for name, table in targets.items()]
                q = cross_fit(feedback, chosen, RidgeOutcome())
                found.add(feedback, chosen, q, seed)
                for t, target in enumerate(chosen):
                    found.watch(feedback, target, truth[target.name], seed)
                    if obp and seed < obp_replications:
                        _save(Path(folder) / f"{target.name}-{seed}.npz", feedback, target, q, t)
                if seed % 25 == 24:
                    print(f"  {behaviour}: {seed + 1} of {runs}", file=sys.stderr, flush=True)
            if obp:
                print(f"  obp on {obp_replications} of the logs", file=sys.stderr, flush=True)
                theirs = peer(obp, ["--folder", folder])
        print(f"\n### logged by {behaviour}, {rows} rows, {runs} runs")
        yield [{"behaviour": behaviour, **row} for row in (*_estimates(found, truth, theirs), *_sequences(found))]


def _describe(
    world: World, behaviours: Mapping[str, Behaviour], targets: Mapping[str, Array], truth: Mapping[str, float]
) -> None:
    fixed = {name: table for name, table in behaviours.items() if not callable(table)}
    for kind, tables in (("logging", fixed), ("target", targets)):
        for name, table in tables.items():
            shares = sorted(zip(table.mean(axis=0), world.arms, strict=True), reverse=True)
            mix = ", ".join(f"{arm} {share:.0%}" for share, arm in shares if share >= 0.01)
            print(f"{kind} {name}: {mix}")
    print(f"truth: {truth}; logged value: { {name: world.value(table) for name, table in fixed.items()} }")


def _estimates(found: Found, truth: Mapping[str, float], theirs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    print(
        "\n| target | estimator | bias | RMSE | width | normal covers | bootstrap covers "
        "| answerable / warning / refused | obp width / covers |\n|---|---|---|---|---|---|---|---|---|"
    )
    for (target, name), runs in found.runs.items():
        v, values = truth[target], np.array([run.value for run in runs])
        answered = [run for run in runs if run.status != "refused"]
        statuses = {
            status: sum(run.status == status for run in runs) for status in ("answerable", "warning", "refused")
        }
        row: dict[str, Any] = {
            "target": target,
            "estimator": name,
            "bias": float(values.mean()) - v,
            "rmse": float(np.sqrt(((values - v) ** 2).mean())),
            "width": float(np.mean([run.normal[1] - run.normal[0] for run in runs])),
            "normal": _covered([run.normal for run in runs], v),
            "bootstrap": _covered([run.bootstrap for run in runs], v),
            **statuses,
        }
        covers = [f"{row[kind]:.1%}" for kind in ("normal", "bootstrap")]
        if 0 < len(answered) < len(runs):
            row["normal_answered"] = _covered([run.normal for run in answered], v)
            row["bootstrap_answered"] = _covered([run.bootstrap for run in answered], v)
            covers = [f"{row[kind]:.1%} ({row[f'{kind}_answered']:.1%})" for kind in ("normal", "bootstrap")]
        beside = ""
        if (pairs := theirs.get(f"{target}/{name}")) is not None:
            row["obp_width"], row["obp"] = float(np.mean([high - low for low, high in pairs])), _covered(pairs, v)
            beside = f"{row['obp_width']:.4f} / {row['obp']:.1%}"
        print(
            f"| {target} | {name} | {row['bias']:+.4f} | {row['rmse']:.4f} | {row['width']:.4f} | "
            f"{covers[0]} | {covers[1]} | {' / '.join(map(str, statuses.values()))} | {beside} |"
        )
        yield row


def _sequences(found: Found) -> Iterator[dict[str, Any]]:
    print("\n| target | anytime-valid, watched at every step | never wrong | width at the end |\n|---|---|---|---|")
    for (target, name), runs in found.anytime.items():
        row = {
            "target": target,
            "sequence": name,
            "never_wrong": 1 - float(np.mean([missed for missed, _ in runs])),
            "width": float(np.nanmean([width for _, width in runs])),
        }
        print(f"| {target} | {name} | {row['never_wrong']:.1%} | {row['width']:.4f} |", flush=True)
        yield row


def _covered(intervals: Sequence[tuple[float, float]], value: float) -> float:
    return float(np.mean([low <= value <= high for low, high in intervals]))


def _save(path: Path, feedback: LoggedFeedback, target: TargetPolicy, q: OutcomePredictions, t: int) -> None:
    """A log as the peer takes it: with a table [n, K] that contracts to the same logged and direct predictions."""
    logged, direct = q.logged[:, 0, 0], q.direct[:, t, 0]
    drawn = target.of_arm(feedback.arm)
    rest = np.divide(direct - drawn * logged, 1 - drawn, out=logged.copy(), where=drawn < 1 - 1e-9)
    table = np.repeat(rest[:, None], len(feedback.arms), axis=1)
    table[np.arange(feedback.n), feedback.arm] = logged
    np.savez(
        path,
        reward=feedback.outcomes["quality"],
        action=feedback.arm,
        pscore=feedback.propensity,
        action_dist=np.asarray(target.probabilities),
        q=table,
    )


def peak_capital(terms: Array, value: float) -> float:
    """The most, in logarithms, that bets against ``value`` ever came to."""
    path = np.cumsum(np.log1p(STAKES * (terms - value)[:, None]), axis=0)
    return float((np.logaddexp.reduce(path, axis=1) + LOG_PRIOR).max())
