"""Finished runs, one line of JSON each, so that an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

KEY = ("set", "method", "place", "seed")
Key = tuple[str, str, int, int]
Cell = dict[str, Any]
"""What was measured, beside its key."""


def read_cells(path: Path) -> dict[Key, Cell]:
    """Those that are there."""
    lines = path.read_text().splitlines() if path.is_file() else []
    found = [json.loads(line) for line in lines]
    return {(cell["set"], cell["method"], cell["place"], cell["seed"]): cell for cell in found}


def completed(todo: Sequence[Key], run: Callable[..., Cell], path: Path, *, jobs: int) -> dict[Key, Cell]:
    """All cells of the file, after those of ``todo`` that were not there are run as ``run(*key)`` and kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = read_cells(path)
    left = [key for key in todo if key not in cells]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, path.open("a") as file:
        bar = progress.add_task("runs", total=len(left))
        for cell in Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(run)(*key) for key in left):
            file.write(json.dumps(cell) + "\n")
            file.flush()
            progress.update(bar, advance=1, description=f"{cell['set']}, {cell['method']}")
    return read_cells(path)
