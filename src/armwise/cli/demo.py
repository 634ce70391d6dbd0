"""``armwise demo``."""

from pathlib import Path
from typing import Annotated

import typer

from armwise.cli.common import Json, console
from armwise.demo import run_demo


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the log and the page.")] = Path("armwise-demo"),
    limit: Annotated[int | None, typer.Option(help="Only so many prompts, for a quick look.")] = None,
    as_json: Json = False,
) -> None:
    """Replay real outcomes of twelve models through the router, from a cold start, and show what it saves."""
    run_demo(json=as_json, out=out, console=None if as_json else console, limit=limit)
