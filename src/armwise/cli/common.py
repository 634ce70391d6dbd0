"""What the commands share: the console, and the options that many of them take."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")]
Config = Annotated[Path, typer.Argument(help="A YAML configuration.")]
