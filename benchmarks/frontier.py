"""Quality against spend on real outcomes: the default policy, its peers and the nulls, on the same stream.

    python benchmarks/frontier.py [--seeds 40] [--peer-seeds 20] [--jobs 1] [--output docs/results/frontier.md] [--json]

Four tables; everything online from a cold start, told the drawn arm's score and bill alone, exploration included. A
method is run at thirteen settings of its trade-off; a seed is an order of the prompts and the luck of the draws, the
same for all methods. What is printed:

- spend saved at 95% of the best arm's quality, whole run and second half: the frontier of mean quality and mean spend
  (means over seeds) interpolated there, against always the best arm; 95% intervals by the jackknife over seeds;
- quality minus hull at the spend that was really had, at eight of the settings, whole run, in points; Student's t over
  seeds. The hull is of the same table in hindsight, and below the cheapest arm's spend it is that arm;
- for two arms, RouteLLM's APGR and CPT over the second half, by the predicted gain of the dear arm in the run at one
  budget; and of what was really answered, where the budget is in calls of the dear arm, as these measures count;
- the quality-floor controller asked for 95%: where it lands, and what it saves.

Every finished run is kept in --cells (one line of JSON each), so an interrupted benchmark goes on where it stopped;
delete the file when the code changes. Contexts are the text encoder's; the prompt's task label is given only where the
table says so. Settings of the default policy were chosen on other outcomes: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.stats import t as student

from armwise.contracts import Decision
from armwise.pacing import Objective
from armwise.simulation import OutcomeTable, replay
from armwise.simulation.baselines import (
    COST_WEIGHTS,
    Frontier,
    best_fixed,
    hull,
    known_cost_null,
    oracle,
    prompt_length,
    spend_saved_at,
    task_mean,
)
from armwise.simulation.summary import Interval, interval
from armwise.simulation.worlds import TableWorld
from outcomes.cells import Cell, Cells, Key
from outcomes.peers import lints, linucb, pareto_bandit
from outcomes.tables import DATA, ROOT, TABLES, checked, shuffled, table_of

GOALS = {"mmlu_pro": (60, 64), "routerbench": (60, 70), "MMLU": (60, 62), "GSM8K": (26, 29)}
SHARES = (0.04, 0.12, 0.22, 0.32, 0.42, 0.55, 0.7, 0.85)
"""Budgets: this far from the cheapest corner of the hull to the best arm."""
BETWEEN = (0.27, 0.37, 0.48, 0.62, 0.77)
"""More of them, for the frontier alone: it is concave, and what is interpolated over a wide gap lies below it."""
STEEPNESS = (0.25, 0.45, 0.65, 0.85, 1.0, 1.25, 1.7, 2.5, 0.55, 0.75, 0.92, 1.12, 1.45)
"""Cost weights of peers that know no budget, in slopes of the hull's last edge: set in hindsight, in their favour."""
CALLS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Budgets in calls: the share that may go to the dear arm."""
FLOOR = 0.95
MEASURES = ("apgr", "cpt50", "cpt80")
OURS, TOLD, NAMELESS, HELD = "armwise", "armwise, told the task", "armwise, names hidden", "armwise, asked for 95%"
PARETO, LINUCB, LINTS = "ParetoBandit", "LinUCB (mabwiser)", "LinTS (bayesianbandits)"
IN_CALLS, PARETO_IN_CALLS = "armwise, paced in calls", "ParetoBandit, paced in calls"
METHODS = (OURS, HELD, PARETO, NAMELESS, TOLD, LINUCB, LINTS, IN_CALLS, PARETO_IN_CALLS)


# ---------------------------------------------------------------------------------------------- budgets


def budget_usd(table: OutcomeTable, method: str, place: int) -> float:
    """Of a request, on average."""
    corners = hull(table).spend_usd
    share = (CALLS if in_calls(method) else SHARES + BETWEEN)[place]
    return float(corners[0] + share * (corners[-1] - corners[0]))


def settings(method: str) -> range:
    """Places of a method's trade-offs, one run each."""
    return range(1 if method == HELD else len(CALLS if in_calls(method) else STEEPNESS))


def in_calls(method: str) -> bool:
    return method in (IN_CALLS, PARETO_IN_CALLS)


def applies(method: str, name: str) -> bool:
    """Whether a method is run on a table: GSM8K has one task, and calls are counted between two arms."""
    return not (method == TOLD and name == "GSM8K") and not (in_calls(method) and name not in ("MMLU", "GSM8K"))


def counted(table: OutcomeTable) -> OutcomeTable:
    """A table of two arms whose dear one costs 1 USD a call, and whose cheap one is free."""
    dear = np.arange(2) == table.best
    models = tuple(
        replace(model, input_usd_per_mtok=1e6 * is_dear, output_usd_per_mtok=0.0)
        for model, is_dear in zip(table.models, dear.tolist(), strict=True)
    )
    one = np.ones_like(table.input_tokens)
    return replace(table, models=models, input_tokens=one, cost_usd=np.broadcast_to(1.0 * dear, table.score.shape))


# ---------------------------------------------------------------------------------------------- one run


def run(data: Path, name: str, method: str, place: int, seed: int) -> dict[str, Any]:
    """Mean quality and spend of one method at one setting, whole run and second half."""
    table = shuffled(table_of(data, name, told=method == TOLD), seed)
    if in_calls(method):
        table = counted(table)
    extra: dict[str, float] = {}
    if method in (PARETO, PARETO_IN_CALLS):
        arm = pareto_bandit(table, budget_usd(table, method, place), seed)
    elif method in (LINUCB, LINTS):
        corners = hull(table)
        slope = (corners.quality[-1] - corners.quality[-2]) / (corners.spend_usd[-1] - corners.spend_usd[-2])
        peer = linucb if method == LINUCB else lints
        arm = peer(table, STEEPNESS[place] * float(slope), seed)
    else:
        arm, extra = armwise(table, method, place, seed)
    every = np.arange(len(table))
    quality, cost = table.score[every, arm], table.cost_usd[every, arm]
    half = slice(len(table) // 2, None)
    return {
        "whole": [float(quality.mean()), float(cost.mean())],
        "half": [float(quality[half].mean()), float(cost[half].mean())],
        **extra,
    }


def armwise(table: OutcomeTable, method: str, place: int, seed: int) -> tuple[np.ndarray, dict[str, float]]:
    """The default policy, through the very code that serves."""
    models = table.models
    if method == NAMELESS:
        models = tuple(replace(model, name=f"arm {k}") for k, model in enumerate(models))
    hidden = replace(table, models=models)
    if method == HELD:
        objective = Objective.min_cost(quality_fraction=FLOOR, reference=models[table.best].name)
    else:
        objective = Objective.max_quality(spend_usd_per_request=budget_usd(table, method, place))
    gain = np.zeros((len(table), 2))

    def watch(t: int, decision: Decision) -> None:
        gain[t] = decision.predictions.quality

    two = len(models) == 2
    done = replay(TableWorld(hidden).ordered(), objective=objective, seed=seed, on_round=watch if two else None)
    extra = ranked(table, gain[:, table.best] - gain[:, 1 - table.best]) if two else {}
    return done.arm, extra


def ranked(table: OutcomeTable, gain: np.ndarray) -> dict[str, float]:
    """RouteLLM's measures over the second half, prompts sorted by the gain that was predicted of the dear arm."""
    half = slice(len(table) // 2, None)
    score = table.score[half]
    order = np.argsort(-gain[half], kind="stable")
    strong, weak = score[order, table.best], score[order, 1 - table.best]
    quality = np.concatenate(([0.0], np.cumsum(strong - weak))) / len(score) + weak.mean()
    recovered = (quality - weak.mean()) / (strong.mean() - weak.mean())
    return performance_gap(np.linspace(0.0, 1.0, len(recovered)), recovered)


def answered(table: OutcomeTable, half: np.ndarray, seed: int) -> dict[str, float]:
    """RouteLLM's measures of what was answered in the second half, by quality and share of dear calls [settings, 2]."""
    order = np.random.default_rng(seed).permutation(len(table))[len(table) // 2 :]
    strong, weak = table.score[order, table.best].mean(), table.score[order, 1 - table.best].mean()
    share, quality = np.concatenate(([[0.0, weak]], half[:, ::-1], [[1.0, strong]])).T
    by_share = np.argsort(share, kind="stable")
    return performance_gap(share[by_share], (quality[by_share] - weak) / (strong - weak))


def performance_gap(share: np.ndarray, recovered: np.ndarray) -> dict[str, float]:
    """APGR over tenths, and the first share of dear calls that recovers 50% and 80% of the gap."""
    tenths = np.interp(np.linspace(0.0, 1.0, 11), share, recovered)
    found = {"apgr": float(np.trapezoid(tenths, dx=0.1))}
    for part in (50, 80):
        i = int(np.argmax(recovered >= part / 100))
        rise = recovered[i] - recovered[i - 1]
        found[f"cpt{part}"] = float(share[i] - (share[i] - share[i - 1]) * (recovered[i] - part / 100) / rise)
    return found


# ---------------------------------------------------------------------------------------------- nulls


def null_frontiers(data: Path, name: str, seed: int) -> dict[str, tuple[Frontier, Frontier]]:
    """Null -> its frontier over the whole run and over the second half, in this seed's order."""
    table = shuffled(table_of(data, name), seed)
    labelled = shuffled(table_of(data, name, told=True), seed)
    half = slice(len(table) // 2, None)
    second = table.take(np.arange(len(table))[half])
    return {
        "hull, in hindsight": (hull(table), hull(second)),
        "known-cost null": (known_cost_null(table), known_cost_null(table, half)),
        "prompt length, in hindsight": (prompt_length(table), prompt_length(second)),
        "task mean": (task_mean(labelled), task_mean(labelled, half)),
        "TF-IDF + ridge, half to learn": (tfidf_ridge(data, name, seed),) * 2,
        "oracle": (oracle(table), oracle(second)),
    }


@cache
def texts(data: Path, name: str) -> dict[str, str]:
    file, dataset = TABLES[name]
    rows = pq.read_table(data / file, columns=["dataset", "prompt_id", "prompt"])
    if dataset:
        rows = rows.filter(pc.equal(rows.column("dataset"), dataset))
    return dict(zip(rows.column("prompt_id").to_pylist(), rows.column("prompt").to_pylist(), strict=True))


def tfidf_ridge(data: Path, name: str, seed: int) -> Frontier:
    """Offline: a ridge per arm on TF-IDF of the first half of the order, told every arm's score; tested on the rest."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    table = table_of(data, name)
    kept = sorted(texts(data, name))
    prompts = [texts(data, name)[key] for key in kept]
    if len(prompts) != len(table):  # contaminated prompts are left out of the table
        prompts = _matching(data, name, prompts, kept)
    order = np.random.default_rng(seed).permutation(len(table))
    learn, test = order[: len(order) // 2], order[len(order) // 2 :]
    design = TfidfVectorizer(min_df=3, sublinear_tf=True, max_features=20_000).fit_transform(prompts)
    quality = Ridge(alpha=3.0).fit(design[learn], table.score[learn]).predict(design[test])
    output = table.output_tokens[learn].mean(axis=0)
    price = np.array([(model.input_usd_per_mtok, model.output_usd_per_mtok) for model in table.models], dtype=float)
    known = (table.input_tokens[test][:, None] * price[:, 0] + output * price[:, 1]) / 1e6
    points = []
    for weight in COST_WEIGHTS:
        arm = (quality - weight * known / table.cost_ref_usd).argmax(axis=1)
        points.append((table.score[test, arm].mean(), table.cost_usd[test, arm].mean()))
    found = np.array(points)
    return Frontier(name="TF-IDF + ridge", quality=found[:, 0], spend_usd=found[:, 1])


def _matching(data: Path, name: str, prompts: list[str], kept: list[str]) -> list[str]:
    file, dataset = TABLES[name]
    rows = pq.read_table(data / file, columns=["dataset", "prompt_id", "contaminated"])
    rows = rows.filter(pc.and_(pc.equal(rows.column("dataset"), dataset), rows.column("contaminated")))
    left_out = set(rows.column("prompt_id").to_pylist())
    return [prompt for key, prompt in zip(kept, prompts, strict=True) if key not in left_out]


# ---------------------------------------------------------------------------------------------- summary


def saved(quality: np.ndarray, spend: np.ndarray, best: tuple[float, float]) -> float:
    return spend_saved_at(quality, spend, best_quality=best[0], best_spend_usd=best[1], fraction=FLOOR)


def jackknifed(points: np.ndarray, best: np.ndarray) -> Interval:
    """Spend saved by the mean frontier, points [seeds, settings, 2], best [seeds, 2]; half-width by the jackknife."""

    def of(rows: Sequence[int]) -> float:
        mean, top = points[list(rows)].mean(axis=0), best[list(rows)].mean(axis=0)
        return saved(mean[:, 0], mean[:, 1], (float(top[0]), float(top[1])))

    seeds = range(len(points))
    if len(points) < 2:
        return Interval(of(seeds), float("inf"))
    left_out = np.array([of([s for s in seeds if s != out]) for out in seeds])
    spread = float(np.sqrt((len(points) - 1) * left_out.var()))
    return Interval(of(seeds), float(student.ppf(0.975, len(points) - 1)) * spread)


def best_of_halves(table: OutcomeTable, seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Quality and spend of the best arm, over the whole run and over the second half of this order."""
    order = np.random.default_rng(seed).permutation(len(table))[len(table) // 2 :]
    b = table.best
    return (
        (float(table.score[:, b].mean()), float(table.cost_usd[:, b].mean())),
        (float(table.score[order, b].mean()), float(table.cost_usd[order, b].mean())),
    )


def summarise(data: Path, name: str, cells: dict[Key, Cell], null_seeds: int) -> dict[str, Any]:
    """All that is printed of one table."""
    table = table_of(data, name)
    rows: list[dict[str, Any]] = []
    corners = hull(table)
    for method in METHODS:
        places = settings(method)
        seeds = sorted({key[3] for key in cells if key[0] == name and key[1] == method})
        seeds = [s for s in seeds if all((name, method, place, s) in cells for place in places)]
        if not seeds:
            continue
        found = [[cells[name, method, place, s] for place in places] for s in seeds]
        points = {part: np.array([[cell[part] for cell in row] for row in found]) for part in ("whole", "half")}
        best = np.array([best_of_halves(table, s) for s in seeds])
        row: dict[str, Any] = {"method": method, "seeds": len(seeds)}
        if in_calls(method):
            measured = [answered(table, half, s) for half, s in zip(points["half"], seeds, strict=True)]
            rows.append({**row, **{key: interval([one[key] for one in measured]) for key in measured[0]}})
            continue
        above = 100 * (points["whole"][..., 0] - np.interp(points["whole"][..., 1], corners.spend_usd, corners.quality))
        if method == HELD:
            row["lands_at"] = interval(100 * points["whole"][:, 0, 0] / best[:, 0, 0])
            row["saved_whole"] = interval(100 * (1 - points["whole"][:, 0, 1] / best[:, 0, 1]))
            row["lands_at_half"] = interval(100 * points["half"][:, 0, 0] / best[:, 1, 0])
            row["saved_half"] = interval(100 * (1 - points["half"][:, 0, 1] / best[:, 1, 1]))
        else:
            row["saved_whole"] = jackknifed(points["whole"], best[:, 0])
            row["saved_half"] = jackknifed(points["half"], best[:, 1])
            row["above_hull"] = [interval(above[:, place]) for place in range(len(SHARES))]
            row["above_hull_mean"] = interval(above[:, : len(SHARES)].mean(axis=1))
            row["spend_share"] = (points["whole"][..., 1].mean(axis=0) / table.cost_ref_usd).tolist()
        if "apgr" in found[0][0] and method != HELD:
            at = SHARES.index(0.42)
            for measure in MEASURES:
                row[measure] = interval([cells[name, method, at, s][measure] for s in seeds])
        rows.append(row)
    nulls: dict[str, list[tuple[float, float]]] = {}
    for seed in range(null_seeds):
        whole, half = best_of_halves(table, seed)
        for label, (first, second) in null_frontiers(data, name, seed).items():
            pair = saved(first.quality, first.spend_usd, whole), saved(second.quality, second.spend_usd, half)
            nulls.setdefault(label, []).append(pair)
    fixed = best_fixed(table)
    return {
        "set": name,
        "prompts": len(table),
        "arms": len(table.models),
        "best_arm": table.arms[table.best],
        "best_quality": float(fixed.quality[0]),
        "best_usd_per_1000": 1000 * table.cost_ref_usd,
        "methods": rows,
        "nulls": {label: [interval([pair[i] for pair in pairs]) for i in (0, 1)] for label, pairs in nulls.items()},
    }


def report(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The results as Markdown."""
    yield "# Quality against spend on real outcomes\n"
    yield "Written by `python benchmarks/frontier.py`; what each figure means is in [benchmarks](../benchmarks.md).\n"
    yield "Online from a cold start, feedback for the drawn arm alone, exploration included. ± is a 95% interval over"
    yield "seeds. A number in brackets is the goal.\n"
    for result in results:
        goal = GOALS[result["set"]]
        yield f"\n## {result['set']}: {result['prompts']:,} prompts, {result['arms']} arms\n"
        yield f"Always {result['best_arm']}: quality {result['best_quality']:.4f}, "
        yield f"{result['best_usd_per_1000']:.4f} USD per 1,000 requests.\n"
        yield f"| spend saved at 95% of that quality, % | whole run ({goal[0]}) | second half ({goal[1]}) | seeds |"
        yield "|---|---|---|---|"
        for row in result["methods"]:
            if "saved_whole" in row and row["method"] != HELD:
                label = f"**{row['method']}**" if row["method"] == OURS else row["method"]
                yield f"| {label} | {_text(row['saved_whole'])} | {_text(row['saved_half'])} | {row['seeds']} |"
        for label, (whole, half) in result["nulls"].items():
            yield f"| {label} | {_text(whole)} | {_text(half)} | |"
        for row in result["methods"]:
            if row["method"] == HELD:
                yield f"\nThe quality floor, asked for 95% ({row['seeds']} seeds): lands at "
                yield f"{_text(row['lands_at'], 2)}% and saves {_text(row['saved_whole'])}% over the whole run; "
                yield f"{_text(row['lands_at_half'], 2)}% and {_text(row['saved_half'])}% over the second half."
        yield "\nQuality minus hull at the spend had, points, whole run, by budget (share of the way from the cheapest"
        yield "corner of the hull to the best arm; LinUCB and LinTS know none and stand by cost weight, low to high):\n"
        yield "| | " + " | ".join(f"{share:g}" for share in SHARES) + " | mean |"
        yield "|---" * (len(SHARES) + 2) + "|"
        for row in result["methods"]:
            if "above_hull" in row:
                cells = " | ".join(_text(value, 2) for value in (*row["above_hull"], row["above_hull_mean"]))
                yield f"| {row['method']} | {cells} |"
        if any("apgr" in row for row in result["methods"]):
            yield "\n| second half | APGR (.63) | CPT(50%) | CPT(80%) |\n|---|---|---|---|"
            for row in result["methods"]:
                if "apgr" in row:
                    yield (f"| {row['method']} | " + " | ".join(_text(row[measure], 3) for measure in MEASURES) + " |")


def _text(value: Interval, digits: int = 1) -> str:
    return "not reached" if np.isnan(value.mean) else value.text(digits)


# ---------------------------------------------------------------------------------------------- main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=40, help="for the default policy and the nulls")
    parser.add_argument("--peer-seeds", type=int, default=20, help="for the peers and what is paced in calls")
    parser.add_argument("--variant-seeds", type=int, default=5, help="for variants of the default")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cells", type=Path, default=ROOT / "results/frontier/cells.jsonl")
    parser.add_argument("--output", type=Path, help="write the report there as Markdown")
    parser.add_argument("--report-only", action="store_true", help="of the runs that are there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    data = checked(options.data, options.sets)
    runs = Cells(options.cells, ("set", "method", "place", "seed"))
    cells = runs.read()
    if not options.report_only:
        seeds = {OURS: options.seeds, HELD: options.seeds}
        seeds |= dict.fromkeys((PARETO, LINUCB, LINTS, IN_CALLS, PARETO_IN_CALLS), options.peer_seeds)
        todo = [
            (name, method, place, seed)
            for method in options.methods
            for seed in range(seeds.get(method, options.variant_seeds))
            for name in options.sets
            if applies(method, name)
            for place in settings(method)
        ]
        cells = runs.completed(todo, partial(run, data), jobs=options.jobs)
    results = [summarise(data, name, cells, options.seeds) for name in options.sets]
    text = "\n".join(report(results)) + "\n"
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)
    print(json.dumps({"commit": commit(), "results": results}) if options.json else text)


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
