"""``armwise feedback``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from armwise.cli.common import Config, Json, console
from armwise.learning import ImportReport
from armwise.router import Router

feedback = typer.Typer(name="feedback", help="Feedback that lives elsewhere.", no_args_is_help=True)


@feedback.command("import")
def import_(
    config: Config,
    file: Annotated[Path, typer.Argument(help="JSONL or Parquet: decision_id, kind, value, event_id, ...")],
    source: Annotated[str, typer.Option(help="Who says so, where a row does not.")] = "import",
    as_json: Json = False,
) -> None:
    """Take feedback into the log of a configuration, whose service must not be running, and say what became of it."""
    with Router.from_config(config) as router:
        report = router.import_feedback(file, source=source)
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        _show(report)
    if report.rows and not report.taken and not report.duplicate:
        raise typer.Exit(1)  # a file of another kind, or of another log


def _show(report: ImportReport) -> None:
    console.print(
        f"{report.rows:,} rows: {report.taken:,} taken, {report.duplicate:,} duplicate, "
        f"{report.unknown:,} for unknown decisions, {report.invalid:,} invalid"
    )
    for problem in report.problems:
        console.print(f"  {problem}", highlight=False, markup=False)
