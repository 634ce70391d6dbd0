"""``armwise retrain``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from armwise.cli.common import Config, Json, console
from armwise.config import load_config
from armwise.retraining import Retraining
from armwise.retraining import retrain as run_retrain
from armwise.retraining.report import write_report


def retrain(
    config: Config,
    source: Annotated[str | None, typer.Option(help="Log, or Parquet by path, glob or URL.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the report goes; by default as configured.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; publish nothing.")] = False,
    fail_if_not_promoted: Annotated[
        bool, typer.Option("--fail-if-not-promoted", help="Exit with 1 where no candidate passes.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who runs it, for the history.")] = "armwise retrain",
    as_json: Json = False,
) -> None:
    """Train the candidates of a configuration on its log; promote the best if the gate lets it pass."""
    settings = load_config(config)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=as_json, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done, total=total)

        found = run_retrain(settings, source=source, publish=not dry_run, by=by, on_progress=tell)
    path = report or (Path(settings.retrain.report) if settings.retrain.report else None)
    if path is not None:
        write_report(found, path)
    if as_json:
        print(json.dumps({**found.to_dict(), "report": None if path is None else str(path)}))
    else:
        _print(found, path)
    if fail_if_not_promoted and not found.promoted:
        raise typer.Exit(1)


def _print(found: Retraining, path: Path | None) -> None:
    if found.change is not None:
        said = f"promoted ({found.change.stage}): {found.version}: {found.reason}"
    else:
        said = f"not promoted: {found.reason}"
    console.print(said, highlight=False, soft_wrap=True)
    if found.no_tasks is not None:
        console.print(f"no classifier of tasks: {found.no_tasks}", highlight=False, soft_wrap=True)
    elif found.tasks is not None:
        told = "learned" if found.tasks.passed else "not published"
        console.print(f"classifier of tasks {told}: {found.tasks.reason}", highlight=False, soft_wrap=True)
    if path is not None:
        console.print(f"report: {path}", highlight=False)
