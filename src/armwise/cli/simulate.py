"""``armwise simulate``."""

from pathlib import Path
from typing import Annotated

import typer

from armwise.cli.common import Json, console
from armwise.simulation.command import run_study


def simulate(
    study: Annotated[Path, typer.Argument(help="A study: policies, worlds, seeds, as YAML.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default results/NAME beside it.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
    backend: Annotated[str, typer.Option(help="Of joblib, by name: loky, threading, ray, dask.")] = "loky",
    write_up: Annotated[Path | None, typer.Option(help="Markdown file to put the result in.")] = None,
    as_json: Json = False,
) -> None:
    """Compare policies on recorded or synthetic traffic; an interrupted study goes on where it stopped."""
    run_study(
        study,
        out=out,
        json=as_json,
        jobs=jobs,
        backend=backend,
        write_up=write_up,
        console=None if as_json else console,
    )
