"""What ``armwise simulate STUDY.yaml`` does: run the cells, show how far it is, write results and report."""

from __future__ import annotations

import json as jsonlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from armwise.simulation.markdown import markdown
from armwise.simulation.report import write_report
from armwise.simulation.study import Study, load_study
from armwise.simulation.summary import plain, savings, summarise
from armwise.simulation.sweep import run_cells


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """Where a study's results are, and what they say."""

    study: str
    cells: int
    seconds: float
    results: str
    report: str
    summary: list[dict[str, Any]]
    """One per world, policy and setting; intervals as [mean, half-width]."""
    saved_at_95: list[dict[str, Any]]
    """One per world and policy that was run at three settings or more."""


def run_study(
    study: str | Path | Study,
    *,
    out: str | Path | None = None,
    json: bool = False,
    jobs: int | None = None,
    backend: str = "loky",
    write_up: str | Path | None = None,
    console: Console | None = None,
) -> StudyResult:
    """Run a study, or what is left of it.

    Args:
        study: a YAML file, or a study already read.
        out: directory of the results; by default ``results/<name>`` beside the file.
        json: print one JSON object last; all else then goes to standard error.
        jobs: processes; by default one per core.
        backend: of joblib, by name.
        write_up: a Markdown file to put the result in: question, tables with intervals, how to repeat it.

    Raises:
        ConfigError: on a study that does not hold together.
        BadInput: on an unknown backend, or a world that cannot be made.
    """
    console = Console(stderr=True) if json or console is None else console
    plan = study if isinstance(study, Study) else load_study(study)
    home = Path() if isinstance(study, Study) else Path(study).parent
    folder = Path(out) if out is not None else home / "results" / plan.name
    started = time.perf_counter()
    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        bar = progress.add_task(plan.name, total=None)
        results = run_cells(
            plan,
            folder,
            jobs=jobs,
            backend=backend,
            on_cell=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    report = write_report(plan, results, folder / "report.html")
    summary = summarise(results, baseline=plan.baseline)
    saved = savings(results)
    result = StudyResult(
        study=plan.name,
        cells=results.num_rows,
        seconds=round(time.perf_counter() - started, 1),
        results=str(folder / "results.parquet"),
        report=str(report),
        summary=summary,
        saved_at_95=saved,
    )
    if write_up is not None:
        Path(write_up).write_text(markdown(plan, results, source=None if isinstance(study, Study) else Path(study)))
    _show(plan, result, console)
    if json:
        print(jsonlib.dumps(plain(asdict(result)), allow_nan=False))
    return result


def _show(plan: Study, result: StudyResult, console: Console) -> None:
    gained = f"gain on {plan.baseline}, 1e-3"
    board = Table("world", "policy", plan.setting.replace("_", " "), "quality", "USD per 1,000", "above hull", gained)
    for row in result.summary:
        cost, gain = row["cost_usd"], row["gain"]
        board.add_row(
            row["world"],
            row["policy"],
            f"{row['value']:g}",
            row["quality"].text(),
            f"{1e3 * cost.mean:.4f}",
            row["above_hull"].text(),
            "" if gain is None else f"{1e3 * gain.mean:+.1f} ± {1e3 * gain.half:.1f}",
        )
    console.print(board)
    plan_seeds = len(plan.seeds)
    for row in result.saved_at_95:
        said = "never reached" if row["missed"] == plan_seeds else f"{row['saved'].text(1)}% of spend saved"
        console.print(f"{row['world']}, {row['policy']}: {said} at 95% of the best arm's quality")
    console.print(f"\nresults  {result.results}\nreport   {result.report}")
