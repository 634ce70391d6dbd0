"""The demo: real outcomes of twelve models through the real router, online, from a cold start, on one machine."""

from __future__ import annotations

import json as jsonlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from armwise.contracts import Decision, Request
from armwise.demo.page import percent, write_page
from armwise.demo.story import ASKED, BUDGET, QUERY, Story
from armwise.errors import BadInput
from armwise.features import TextEncoder
from armwise.pacing import Objective
from armwise.router import Router
from armwise.simulation.baselines import Frontier, best_fixed, hull, known_cost_null, prompt_length, task_mean
from armwise.simulation.frontier import frontiers
from armwise.simulation.replay import Run, replay_router
from armwise.simulation.summary import plain
from armwise.simulation.table import OutcomeTable

SEEDS = 4
"""Orders of the prompts that each budget is replayed in."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found. Spends are totals of the live run; savings are percentages of the best model's spend."""

    rounds: int
    arms: int
    seconds: float
    quality: float
    spend_usd: float
    spend_saved_at_95: float
    """At 95% of the best model's quality, over the whole run with its cold start; mean over the sweep's orders."""
    hull_saved_at_95: float
    log: str
    page: str
    rounds_per_second: float
    """Of the live run: decide, log, reveal, learn, and draw the display."""
    quality_of_best: float
    best_arm: str
    spend_usd_of_best: float
    spend_saved_by_seed: tuple[float, ...]
    known_cost_null_saved_at_95: float
    prompt_length_saved_at_95: float
    task_mean_saved_at_95: float
    decided: dict[str, str]
    """Typed prompt -> the arm drawn for it."""


def run_demo(
    *, json: bool = False, out: Path | str = "armwise-demo", console: Console | None = None, limit: int | None = None
) -> DemoResult:
    """Replay the packaged table through a router, sweep the budget, decide typed prompts, and write the page.

    Args:
        json: print one JSON object last; everything else then goes to standard error.
        out: directory for ``demo.duckdb`` and ``demo.html``; a former demo's log there is replaced.
        limit: only so many prompts, for a quick look.

    Raises:
        LogError: if the log cannot be written.
        BadInput: if ``limit`` is below 100.
    """
    if limit is not None and limit < 100:
        raise BadInput(f"the demo needs at least 100 prompts to show anything, got {limit}")
    console = Console(stderr=True) if json or console is None else console
    started = time.perf_counter()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "demo.duckdb"
    _remove_former(log)

    console.print("[bold]armwise demo[/bold]: 12 models, real outcomes of MMLU-Pro, nothing known at the start")
    console.print(f"asked to spend {BUDGET:.0%} of what the best model costs\n")
    encoder = TextEncoder()
    table = OutcomeTable.packaged(encoder=encoder)
    if limit is not None:
        table = table.take(np.arange(min(limit, len(table))))
    objective = Objective.max_quality(spend_usd_per_request=BUDGET * table.cost_ref_usd)
    with Router(table.models, objective=objective, log=log, seed=0, encoder=encoder) as router:
        since = time.perf_counter()
        run = _live(table, router, console)
        rate = len(run) / (time.perf_counter() - since)
        router.flush()
        decided = [router.decide(Request.from_text(text)) for text in ASKED]
    swept = _sweep(table, console)
    by_seed = [frontier.saved_at(table) for frontier in swept]
    baselines = {f.name: f for f in (hull(table), known_cost_null(table), prompt_length(table), task_mean(table))}
    saved = {name: frontier.saved_at(table) for name, frontier in baselines.items()}
    best = best_fixed(table)
    page = folder / "demo.html"
    result = DemoResult(
        rounds=len(run),
        arms=len(table.models),
        seconds=round(time.perf_counter() - started, 1),
        quality=run.mean_quality,
        spend_usd=float(run.cost_usd.sum()),
        spend_saved_at_95=float(np.mean(by_seed)),
        hull_saved_at_95=saved["hull"],
        log=str(log),
        page=str(page),
        rounds_per_second=round(rate),
        quality_of_best=float(best.quality[0]),
        best_arm=table.arms[table.best],
        spend_usd_of_best=float(best.spend_usd[0] * len(table)),
        spend_saved_by_seed=tuple(by_seed),
        known_cost_null_saved_at_95=saved["known-cost null"],
        prompt_length_saved_at_95=saved["prompt length"],
        task_mean_saved_at_95=saved["task mean"],
        decided={text: decision.arm for text, decision in zip(ASKED, decided, strict=True)},
    )
    story = Story(table=table, run=run, frontiers=swept, baselines=baselines, result=asdict(result))
    write_page(story, page, [(text, decision) for text, decision in zip(ASKED, decided, strict=True)])
    _summary(result, decided, console)
    if json:
        print(jsonlib.dumps(plain(asdict(result)), allow_nan=False))
    return result


def _remove_former(log: Path) -> None:
    """Make room for a new log; only what a former demo wrote there."""
    for path in (log, log.with_name(log.name + ".wal")):
        path.unlink(missing_ok=True)
    for folder in (log.with_name(f"{log.name}.snapshots"), log.with_name(f"{log.name}.published")):
        if folder.is_dir():
            for file in folder.iterdir():
                if file.is_file():
                    file.unlink()


# ---------------------------------------------------------------------------------------------- the live run


def _live(table: OutcomeTable, router: Router, console: Console) -> Run:
    progress = Progress(
        TextColumn("decide, log, reveal, learn"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    task = progress.add_task("", total=len(table))
    quality_of_best = np.cumsum(table.score[:, table.best])
    spend_of_best = np.cumsum(table.cost_usd[:, table.best])
    corners = hull(table)
    counts = dict.fromkeys(table.arms, 0)
    seen = {"quality": 0.0, "spend": 0.0, "drawn": time.perf_counter()}

    with Live(console=console, auto_refresh=False, transient=False) as live:

        def on_round(t: int, decision: Decision, quality: float, cost_usd: float) -> None:
            seen["quality"] += quality
            seen["spend"] += cost_usd
            counts[decision.arm] += 1
            now = time.perf_counter()
            last = t + 1 == len(table)
            if now - seen["drawn"] < (0.15 if console.is_terminal else 1e9) and not last:
                return
            seen["drawn"] = now
            progress.update(task, completed=t + 1)
            rounds = t + 1
            mean_spend = seen["spend"] / rounds
            mixed = float(np.interp(mean_spend, corners.spend_usd, corners.quality))
            board = Table.grid(padding=(0, 3))
            board.add_row("", "[dim]quality[/dim]", "[dim]spent, USD[/dim]")
            board.add_row("[bold green]armwise[/bold green]", f"{seen['quality'] / rounds:.4f}", f"{seen['spend']:.4f}")
            board.add_row(
                f"always {table.arms[table.best]}", f"{quality_of_best[t] / rounds:.4f}", f"{spend_of_best[t]:.4f}"
            )
            board.add_row("best blind mix, same spend", f"{mixed:.4f}", f"{seen['spend']:.4f}")
            live.update(Group(progress, "", board, "", _bars(counts, rounds)), refresh=True)

        return replay_router(table, router, on_round=on_round)


def _bars(counts: dict[str, int], rounds: int, width: int = 36, rows: int = 6) -> Table:
    """Shares of the most used arms as bars."""
    grid = Table.grid(padding=(0, 2))
    for arm, count in sorted(counts.items(), key=lambda item: -item[1])[:rows]:
        share = count / rounds
        grid.add_row(arm, f"[cyan]{'█' * round(share * width):<{width}}[/cyan]", f"{share:6.1%}")
    return grid


# ---------------------------------------------------------------------------------------------- the sweep


def _sweep(table: OutcomeTable, console: Console) -> list[Frontier]:
    """The policy's frontier over budgets, prequential, whole runs: one per order of the prompts."""
    with Progress(
        TextColumn("the same policy at other budgets"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    ) as progress:
        task = progress.add_task("", total=None)
        return frontiers(
            table,
            seeds=range(1, SEEDS + 1),
            on_run=lambda done, total: progress.update(task, completed=done, total=total),
        )


# ---------------------------------------------------------------------------------------------- the end


def _summary(result: DemoResult, decided: list[Decision], console: Console) -> None:
    saved = 1 - result.spend_usd / result.spend_usd_of_best
    console.print(
        f"\n[bold]This run[/bold]: {result.rounds:,} requests at {result.rounds_per_second:,.0f} a second, logged. "
        f"Quality {result.quality:.4f}, [bold]{result.quality / result.quality_of_best:.1%}[/bold] of always "
        f"{result.best_arm}, for [bold green]{saved:.0%} less money[/bold green] "
        f"({result.spend_usd:.2f} instead of {result.spend_usd_of_best:.2f} USD).\n"
    )
    board = Table("spend saved at 95% of the best model's quality", "%", "", title_justify="left")
    low, high = min(result.spend_saved_by_seed), max(result.spend_saved_by_seed)
    board.add_row(
        "[bold green]armwise, whole run from a cold start[/bold green]",
        f"[bold]{percent(result.spend_saved_at_95)}[/bold]",
        f"{low:.1f} to {high:.1f} over {len(result.spend_saved_by_seed)} orders of the prompts",
    )
    board.add_row("hull", percent(result.hull_saved_at_95), "best blind random mix of two models, in hindsight")
    board.add_row(
        "known-cost null", percent(result.known_cost_null_saved_at_95), "blind to the prompt, told every model's score"
    )
    board.add_row(
        "prompt length", percent(result.prompt_length_saved_at_95), "longest prompts to the best model, in hindsight"
    )
    board.add_row("task mean", percent(result.task_mean_saved_at_95), "mean per subject, told every model's score")
    console.print(board)
    live = Table("typed just now", "task", "drawn", "chance", "expected quality", "expected USD")
    for text, decision in zip(ASKED, decided, strict=True):
        at = decision.arms.index(decision.arm)
        live.add_row(
            text if len(text) < 60 else text[:57] + "...",
            decision.context.task,
            decision.arm,
            f"{decision.propensity:.0%}",
            f"{decision.predictions.quality[at]:.2f}",
            f"{decision.predictions.cost_usd[at]:.2g}",
        )
    console.print(live)
    console.print(f"\npage  {result.page}\nlog   {result.log}\nask it, for example with duckdb:\n[dim]{QUERY}[/dim]")
