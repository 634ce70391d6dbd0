"""Arrays that are too wide for memory, kept in a temporary directory and read back in blocks of equal size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from armwise.errors import LogError
from armwise.evaluation.blocks import BLOCK
from armwise.offline.rows import Array


class Spool:
    """Rows of several arrays, written once and read as often as needed. A context manager: gone at its end.

    The directory is the system's for temporary files, which ``TMPDIR`` names.

    Raises:
        LogError: if there is no room.
    """

    def __init__(self, *, block: int = BLOCK) -> None:
        self._block = block
        self._waiting: list[tuple[Array, ...]] = []
        self._rows = self._blocks = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="armwise-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def put(self, arrays: Sequence[Array]) -> None:
        """Add rows: as many of each array, of the same arrays each time."""
        self._waiting.append(tuple(arrays))
        self._rows += len(arrays[0])
        while self._rows >= self._block:
            self._write(self._block)

    def finish(self) -> None:
        """Write what is left; nothing can be put afterwards."""
        if self._rows:
            self._write(self._rows)

    def read(self) -> Iterator[tuple[Array, ...]]:
        """Blocks in the order in which they were put, all but the last of equal size."""
        for number in range(self._blocks):
            with self._path(number).open("rb") as file:
                count = int(np.load(file))
                yield tuple(np.load(file) for _ in range(count))

    def _write(self, rows: int) -> None:
        whole = [np.concatenate(parts) for parts in zip(*self._waiting, strict=True)]
        try:
            with self._path(self._blocks).open("wb") as file:
                np.save(file, np.array(len(whole)))
                for array in whole:
                    np.save(file, np.ascontiguousarray(array[:rows]))
        except OSError as error:
            raise LogError(
                f"cannot keep rows in {self._folder.name} ({error.strerror}); make room, or set TMPDIR"
            ) from error
        self._blocks += 1
        self._rows -= rows
        self._waiting = [tuple(array[rows:].copy() for array in whole)]

    def _path(self, number: int) -> Path:
        return Path(self._folder.name) / f"{number}.npy"
