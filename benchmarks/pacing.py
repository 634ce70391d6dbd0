"""Budgets and quality floors on real outcomes: is the spend kept, at what price in quality, and is the quality held?

    python benchmarks/pacing.py [--seeds 20] [--tables GSM8K ...] [--jobs 1] [--output docs/results/pacing.md] [--json]

Four tables; everything online from a cold start, told the drawn arm's score and bill alone. A seed is an order of the
prompts and the luck of the draws.

Eight budgets are spread evenly between the mean cost of the cheapest and of the dearest arm. Printed for each:

- spend / budget over the second half: mean over seeds, lowest and highest;
- how many runs it *binds* in: those in which the same learner, request by request, would have spent more than the
  budget over that half by taking the arm that it predicts the best quality of, whatever it costs. Where a budget does
  not bind there is nothing better to buy, as far as the learner knows. The runs in which it binds are held to
  1.00 +- 0.02, all of them to at most 1.02; of the others the spend is shown, the share of the half in which the price
  of money lay at its floor, and the quality less that of always the best arm on the same prompts;
- quality less that of the same policy under the best constant trade of the same spend, chosen in hindsight from a grid
  (interpolated, paired by seed), in points: what pacing costs;
- ParetoBandit's pacer on the same stream, which is told each real bill (its feedback call would not).

Floors ask for 95% of the best arm's quality by the quality-floor controller alone, every answer judged: where it lands
(quality / the best arm's on the same prompts), what it saves of always the best arm's spend, the share of runs below
the floor (whole run, second half: around an aim that is met, half of them), and what the anytime-valid sequence said at
looks 100 rounds apart: the share of runs in which its bounds held the true running difference at every one, in how many
it claimed that the floor is held, or missed, and in how many any such claim was wrong.

Every finished run is kept in --cells, so an interrupted benchmark goes on where it stopped; delete the lines of
"budget", "trade" and "floor" when the code changes. The pacers' settings were chosen on mmlu_pro_extra_models, on
alpaca_eval, and on a third of each table's prompts (SHA-256 divisible by three). Needs the tables in ARMWISE_DATA and
``pip install armwise[bench]``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from armwise.contracts import Decision
from armwise.pacing import Evidence, Objective
from armwise.simulation import OutcomeTable, replay
from armwise.simulation.summary import interval
from armwise.simulation.worlds import TableWorld
from outcomes.cells import Cell, Cells, Key
from outcomes.peers import pareto_bandit
from outcomes.tables import DATA, ROOT, TABLES, checked, shuffled, table_of

BUDGETS = 8
TRADES = (0.0, *np.geomspace(0.01, 3.0, 11).tolist())
"""Cost weights per mean cost of the best arm."""
FRACTION = 0.95
LOOK_EVERY = 100
IDLE = 0.0021
"""Points of quality per budget: the price of money is at its floor where it is below."""
PLACES = {"budget": BUDGETS, "trade": len(TRADES), "floor": 1, "ParetoBandit": BUDGETS}
"""What is run -> at how many settings."""


def budgets_of(table: OutcomeTable) -> list[float]:
    """USD per request, evenly between the cheapest and the dearest arm."""
    mean = table.cost_usd.mean(axis=0)
    spread: list[float] = np.linspace(mean.min(), mean.max(), BUDGETS + 2)[1:-1].tolist()
    return spread


# ---------------------------------------------------------------------------------------------- one run


def run(data: Path, name: str, method: str, place: int, seed: int) -> Cell:
    """What is measured on one order of one table's prompts, at one setting."""
    table = shuffled(table_of(data, name), seed)
    if method == "budget":
        measured = budget(table, budgets_of(table)[place], seed)
    elif method == "trade":
        done = replay(TableWorld(table).ordered(), cost_weight=TRADES[place], seed=seed)
        measured = {"quality": done.mean_quality, "usd": done.mean_cost_usd}
    elif method == "floor":
        measured = floor(table, seed)
    else:
        usd = budgets_of(table)[place]
        spent = table.cost_usd[np.arange(len(table)), pareto_bandit(table, usd, seed)]
        measured = {"late": float(spent[len(table) // 2 :].mean() / usd), "whole": float(spent.mean() / usd)}
    return measured


def budget(table: OutcomeTable, usd: float, seed: int) -> dict[str, float]:
    """One run under a budget, and what the learner would have bought with money no object."""
    wanted = np.zeros(len(table))
    column = {arm: k for k, arm in enumerate(table.arms)}

    def look(t: int, decision: Decision) -> None:
        wanted[t] = table.cost_usd[t, column[decision.arms[int(decision.predictions.quality.argmax())]]]

    objective = Objective.max_quality(spend_usd_per_request=usd)
    done = replay(TableWorld(table).ordered(), objective=objective, seed=seed, on_round=look)
    half = slice(len(table) // 2, None)
    return {
        "budget": usd,
        "late": float(done.cost_usd[half].mean() / usd),
        "wants": float(wanted[half].mean() / usd),
        "idle": float((done.weights[half] * usd < IDLE).mean()),
        "above_best": float(done.quality[half].mean() - table.score[half, table.best].mean()),
        "quality": done.mean_quality,
        "usd": done.mean_cost_usd,
    }


def floor(table: OutcomeTable, seed: int) -> dict[str, float]:
    """One run of the quality floor, with a record of its own of what is proved on the way."""
    reference, score = table.arms[table.best], table.score
    column = {arm: k for k, arm in enumerate(table.arms)}
    evidence = Evidence(fraction=FRACTION)
    true, held, claims, wrong = 0.0, True, False, False

    def look(t: int, decision: Decision) -> None:
        nonlocal true, held, claims, wrong
        place = decision.arms.index(reference)
        drawn = decision.arm == reference
        evidence.add(
            float(score[t, column[decision.arm]]),
            predicted_reference=float(decision.predictions.quality[place]),
            reference_weight=1.0 / decision.propensity if drawn else 0.0,
            seen_weight=1.0,
        )
        mean = float(decision.probability_of @ score[t, [column[arm] for arm in decision.arms]])
        true += mean - FRACTION * float(score[t, table.best])
        if t % LOOK_EVERY == LOOK_EVERY - 1:
            _, lower, upper = evidence.bounds
            held = held and lower <= true / (t + 1) <= upper
            claims = claims or lower >= 0 or upper < 0
            wrong = wrong or (lower >= 0 and true < 0) or (upper < 0 and true >= 0)

    objective = Objective.min_cost(quality_fraction=FRACTION, reference=reference)
    done = replay(TableWorld(table).ordered(), objective=objective, seed=seed, on_round=look)
    half = slice(len(table) // 2, None)
    best_quality, best_usd = score[:, table.best], table.cost_usd[:, table.best]
    _, lower, upper = evidence.bounds
    return {
        "whole": float(done.mean_quality / best_quality.mean()),
        "late": float(done.quality[half].mean() / best_quality[half].mean()),
        "saved_whole": float(100 * (1 - done.mean_cost_usd / best_usd.mean())),
        "saved_late": float(100 * (1 - done.cost_usd[half].mean() / best_usd[half].mean())),
        "held": float(held),
        "claims": float(claims),
        "wrong": float(wrong),
        "lower": lower,
        "upper": upper,
    }


# ---------------------------------------------------------------------------------------------- summary


def summarise(name: str, cells: dict[Key, Cell]) -> dict[str, Any]:
    """All that is printed of one table, of the runs that are there."""
    seeds = sorted({seed for table, method, _, seed in cells if (table, method) == (name, "budget")})
    rows = []
    for place in range(BUDGETS):
        runs = [cells[name, "budget", place, seed] for seed in seeds if (name, "budget", place, seed) in cells]
        pacing = [
            100 * (cell["quality"] - constant)
            for cell in runs
            if (constant := constant_trade(cells, name, cell["seed"], cell["usd"])) is not None
        ]
        binding = [cell["late"] for cell in runs if cell["wants"] > 1.0]
        slack = [cell for cell in runs if cell["wants"] <= 1.0]
        peer = [cell["late"] for key, cell in cells.items() if key[:3] == (name, "ParetoBandit", place)]
        rows.append(
            {
                "usd_per_1000": 1000 * runs[0]["budget"],
                "late": [cell["late"] for cell in runs],
                "binding": binding,
                "slack": [cell["late"] for cell in slack],
                "slack_idle": [cell["idle"] for cell in slack],
                "slack_above_best": [100 * cell["above_best"] for cell in slack],
                "pacing": pacing,
                "peer": peer,
            }
        )
    floors = [cell for key, cell in cells.items() if key[:2] == (name, "floor")]
    return {"set": name, "seeds": len(seeds), "budgets": rows, "floors": floors}


def constant_trade(cells: dict[Key, Cell], name: str, seed: int, usd: float) -> float | None:
    """Quality that the best constant trade reaches at a spend in this order; None where the trades were not run."""
    found = [cells.get((name, "trade", place, seed)) for place in range(len(TRADES))]
    if None in found:
        return None
    points = np.array(sorted((cell["usd"], cell["quality"]) for cell in found if cell is not None))
    return float(np.interp(usd, points[:, 0], points[:, 1]))


def report(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The results as Markdown."""
    yield "# Spend against budget, quality against floor\n"
    yield "Written by `python benchmarks/pacing.py`, whose first lines say what each figure means. Spend is that of the"
    yield "second half of the run over the budget; ± is a 95% interval over seeds."
    for result in results:
        rows = result["budgets"]
        binding = [value for row in rows for value in row["binding"]]
        every = [value for row in rows for value in row["late"]]
        within = sum(abs(value - 1.0) <= 0.02 for value in binding)
        over = sum(value > 1.02 for value in every)
        yield f"\n## {result['set']}: {result['seeds']} seeds\n"
        yield f"Within 1.00 ± 0.02: {within} of the {len(binding)} runs in which the budget binds"
        yield f"({min(binding):.4f} to {max(binding):.4f}). Over 1.02: {over} of all {len(every)}.\n"
        yield headed(
            "USD / 1,000 requests",
            "spend, mean",
            "lowest, highest",
            "binds in",
            "spend where it binds",
            "where not: spend",
            "price at its floor",
            "points above always the best arm",
            "points above the best constant trade",
            "ParetoBandit: mean, highest",
        )
        for row in rows:
            late, bound, slack = row["late"], row["binding"], row["slack"]
            yield row_of(
                f"{row['usd_per_1000']:.4g}",
                interval(late).text(4),
                extent(late),
                f"{len(bound)} of {len(late)}",
                extent(bound),
                extent(slack),
                f"{100 * np.mean(row['slack_idle']):.0f}% of the time" if slack else "",
                interval(row["slack_above_best"]).text(2) if slack else "",
                interval(row["pacing"]).text(2) if row["pacing"] else "",
                f"{np.mean(row['peer']):.4f}, {max(row['peer']):.4f} ({len(row['peer'])} seeds)" if row["peer"] else "",
            )
    yield "\n## Asked for 95% of the best arm's quality\n"
    yield headed(
        "",
        "seeds",
        "quality / best, whole",
        "second half",
        "below the floor: whole, second half",
        "saved %, whole",
        "second half",
        "sequence covers",
        "runs with a claim, with a wrong one",
        "difference proved",
    )
    for result in results:
        floors = result["floors"]
        if floors:
            column = {key: [cell[key] for cell in floors] for key in floors[0]}
            yield row_of(
                result["set"],
                str(len(floors)),
                interval(column["whole"]).text(4),
                interval(column["late"]).text(4),
                ", ".join(f"{100 * np.mean(np.array(column[part]) < FRACTION):.0f}%" for part in ("whole", "late")),
                interval(column["saved_whole"]).text(1),
                interval(column["saved_late"]).text(1),
                f"{100 * np.mean(column['held']):.0f}%",
                f"{sum(column['claims']):.0f}, {sum(column['wrong']):.0f}",
                f"{np.mean(column['lower']):+.3f} to {np.mean(column['upper']):+.3f}",
            )


def headed(*columns: str) -> str:
    """The head of a Markdown table."""
    return row_of(*columns) + "\n" + "|---" * len(columns) + "|"


def row_of(*cells: str) -> str:
    """A row of one."""
    return f"| {' | '.join(cells)} |"


def extent(values: Sequence[float]) -> str:
    """Lowest to highest."""
    return f"{min(values):.4f} to {max(values):.4f}" if values else ""


# ---------------------------------------------------------------------------------------------- main


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--floor-seeds", type=int, help="of the quality floor; by default as many as of the rest")
    parser.add_argument("--peer-seeds", type=int, default=5, help="of ParetoBandit, the slowest")
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--methods", nargs="+", default=list(PLACES), choices=list(PLACES))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cells", type=Path, default=ROOT / "results/pacing/cells.jsonl")
    parser.add_argument("--output", type=Path, help="write the report there as Markdown")
    parser.add_argument("--report-only", action="store_true", help="of the runs that are there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    data = checked(options.data, options.tables)
    runs = Cells(options.cells, ("set", "method", "place", "seed"))
    cells = runs.read()
    if not options.report_only:
        seeds = dict.fromkeys(PLACES, options.seeds)
        seeds["floor"] = options.floor_seeds or options.seeds
        seeds["ParetoBandit"] = min(options.seeds, options.peer_seeds)
        todo = [
            (name, method, place, seed)
            for method in options.methods
            for seed in range(seeds[method])
            for name in options.tables
            for place in range(PLACES[method])
        ]
        cells = runs.completed(todo, partial(run, data), jobs=options.jobs)
    there = {name for name, method, _, _ in cells if method == "budget"}
    results = [summarise(name, cells) for name in options.tables if name in there]
    if options.json:
        print(json.dumps(results))
        return
    text = "\n".join(report(results)) + "\n"
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
