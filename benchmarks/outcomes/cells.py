"""Finished runs, one line of JSON each, so that an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Key = tuple[Any, ...]
"""What was run: text and whole numbers."""
Cell = dict[str, Any]
"""What was measured, beside the parts of its key by their names."""


@dataclass(frozen=True)
class Cells:
    """The runs of a file."""

    path: Path
    names: tuple[str, ...]
    """Of the parts of a key."""

    def read(self) -> dict[Key, Cell]:
        """Those that are there."""
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        found = [json.loads(line) for line in lines]
        return {tuple(cell[name] for name in self.names): cell for cell in found}

    def completed(self, todo: Sequence[Key], run: Callable[..., Cell], *, jobs: int) -> dict[Key, Cell]:
        """All that are there, after those of ``todo`` that were not are run as ``run(*key)`` and kept."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        there = self.read()
        left = [key for key in todo if key not in there]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress, self.path.open("a") as file:
            bar = progress.add_task("runs", total=len(left))
            done = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_one)(run, key) for key in left)
            for key, measured in done:
                file.write(json.dumps({**dict(zip(self.names, key, strict=True)), **measured}) + "\n")
                file.flush()
                progress.update(bar, advance=1, description=", ".join(map(str, key[:-1])))
        return self.read()


def _one(run: Callable[..., Cell], key: Key) -> tuple[Key, Cell]:
    return key, run(*key)
