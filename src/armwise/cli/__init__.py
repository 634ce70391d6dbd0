"""The command line: thin shells around the library, one file per command. Every one that computes takes ``--json``."""

import sys
from typing import Annotated

import typer

from armwise import __version__
from armwise.cli.demo import demo
from armwise.cli.doctor import doctor
from armwise.cli.evaluate import evaluate
from armwise.cli.feedback import feedback
from armwise.cli.key import key
from armwise.cli.log import app as log
from armwise.cli.models import models
from armwise.cli.report import report
from armwise.cli.retrain import retrain
from armwise.cli.route import route
from armwise.cli.serve import serve
from armwise.cli.simulate import simulate
from armwise.errors import ArmwiseError

app = typer.Typer(
    name="armwise",
    help="An adaptive LLM router: learns which model answers best for its price, and proves it from its own log.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (demo, route, simulate, evaluate, report, retrain, doctor, serve, key):
    app.command()(command)
app.add_typer(feedback)
app.add_typer(log, name="log")
app.add_typer(models)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"armwise {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: errors of armwise and of the file system become one line and exit code 2, without a traceback."""
    try:
        app()
    except (ArmwiseError, OSError) as error:
        print(f"armwise: {error}", file=sys.stderr)
        sys.exit(2)
