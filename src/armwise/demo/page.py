"""The demo's page: what was saved, how it was learned, and what it is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from armwise.contracts import Decision
from armwise.demo.story import BUDGET, QUERY, Story
from armwise.simulation import plots
from armwise.simulation.baselines import oracle
from armwise.simulation.frontier import mean_frontier
from armwise.simulation.page import Page


def write_page(story: Story, path: Path, decided: Sequence[tuple[str, Decision]]) -> Path:
    """Write the page; returns its path."""
    table, run, result = story.table, story.run, story.result
    best, arm = table.best, table.arms[table.best]
    saved = 1 - result["spend_usd"] / result["spend_usd_of_best"]
    page = Page(
        "What armwise learned in one pass",
        f"{len(run):,} exam questions of MMLU-Pro, {len(table.models)} models, nothing known at the start. For each "
        "question the router chose one model, was told only that model's score and bill, and learned from it. It was "
        f"asked to spend {BUDGET:.0%} of what the best model costs.",
    )
    page.cards(
        {
            f"of the spend of always {arm}, saved in this run": f"{saved:.0%}",
            f"of its quality kept ({run.mean_quality:.3f} against {result['quality_of_best']:.3f})": (
                f"{run.mean_quality / result['quality_of_best']:.1%}"
            ),
            "saved at 95% of its quality, cold start included": percent(result["spend_saved_at_95"], "%"),
            "saved by the best blind mix of two models": percent(result["hull_saved_at_95"], "%"),
        }
    )
    page.figure(
        "Quality for money",
        "The router at several budgets (mean over orders of the prompts), whole runs. A method is better the "
        "further up and left its line runs. The hull mixes two models blindly; task mean was told the score of every "
        "model on every earlier question, which no live router can be.",
        plots.frontier(
            [mean_frontier(story.frontiers, name="armwise"), *story.baselines.values()],
            arms={
                name: (1e3 * c, q)
                for name, c, q in zip(table.arms, table.cost_usd.mean(axis=0), table.score.mean(axis=0), strict=True)
            },
            target=0.95 * result["quality_of_best"],
            marks={"this run": (1e3 * run.mean_cost_usd, run.mean_quality)},
        ),
    )
    corners = story.baselines["hull"]
    window = max(100, len(run) // 12)
    spend = plots.rolling(run.cost_usd, window)
    blind = np.interp(spend, corners.spend_usd, corners.quality)
    page.figure(
        "Learning",
        "Quality of the last questions, beside the best model's and a blind mix's for the same money.",
        plots.learning_curve(
            {"armwise": run.quality, f"always {arm}": table.score[:, best], "blind mix, same spend": blind},
            y="quality",
            window=window,
        ),
    )
    page.figure(
        "Money",
        "Billed so far, beside the bill of always calling the best model.",
        plots.spend_curve({"armwise": run.cost_usd, f"always {arm}": table.cost_usd[:, best]}),
    )
    page.figure("Where the requests went", "Share of each model as the run went on.", plots.arm_shares(run))
    rows = [["armwise, prequential, from a cold start", percent(result["spend_saved_at_95"]), _span(result)]]
    notes = {
        "hull": "best random mix of two models, chosen in hindsight",
        "known-cost null": "blind to the question; told every model's score afterwards; knows each input's price",
        "prompt length": "longest questions to the best model, the rest to the next on the hull, in hindsight",
        "task mean": "mean per subject; told every model's score afterwards",
    }
    rows += [[name, percent(front.saved_at(table)), notes[name]] for name, front in story.baselines.items()]
    rows.append(["oracle", percent(oracle(table).saved_at(table)), "knows every score before it chooses: out of reach"])
    page.table(
        "Spend saved at 95% of the best model's quality",
        "Percent of the best model's spend, by linear interpolation between neighbouring budgets.",
        ["method", "saved, %", "what it is"],
        rows,
    )
    page.table(
        "Typed, and decided at once",
        "The text path: sketch, task, decision. These were not answered, so nothing was learned from them.",
        ["prompt", "task", "drawn", "chance", "expected quality", "expected USD"],
        [_row(text, decision) for text, decision in decided],
    )
    page.code("Ask the log", f"Every decision is in {result['log']}, with its exact probability:", QUERY)
    page.footer(
        "Outcomes: TIGER-AI-Lab/MMLU-Pro (Apache-2.0). Costs are list prices times tokens estimated as characters / 4; "
        "few-shot prefixes are not counted. The contexts include the question's subject."
    )
    return page.write(path)


def percent(value: float | None, unit: str = "") -> str:
    """A percentage, or that no point of the frontier reaches the quality asked for."""
    return "not reached" if value is None or math.isnan(value) else f"{value:.1f}{unit}"


def _span(result: Mapping[str, Any]) -> str:
    values = result["spend_saved_by_seed"]
    reached = [value for value in values if value is not None and not math.isnan(value)]
    orders = f"{len(values)} orders of the questions"
    if not reached:
        return f"reached in none of {orders}"
    short = f"; {len(values) - len(reached)} of them do not reach it" if len(reached) < len(values) else ""
    return f"{min(reached):.1f} to {max(reached):.1f} over {orders}{short}"


def _row(text: str, decision: Decision) -> list[str]:
    at = decision.arms.index(decision.arm)
    return [
        text,
        decision.context.task,
        decision.arm,
        f"{decision.propensity:.0%}",
        f"{decision.predictions.quality[at]:.2f}",
        f"{decision.predictions.cost_usd[at]:.2g}",
    ]
