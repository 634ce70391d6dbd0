"""The history of a registry: one small immutable file for each change of what serves, numbered without a gap.

::

    changes/00000001.json      {"sha256": ..., "change": {"stage": "canary", "version": ..., "share": 0.1, ...}}

The number orders changes, not a clock. A file is written whole under a hidden name and then linked to its number, which
fails where that number is taken: of two who promote at once, one is told that the other was first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from armwise.contracts import RolloutChange
from armwise.errors import BadInput, SnapshotError

_NAME = re.compile(r"^(\d{8})\.json$")


class History:
    """Changes of what serves, oldest first.

    Args:
        directory: where the files are; made when the first is written.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)

    @property
    def last(self) -> int:
        """Number of the latest change; 0 where there is none.

        Raises:
            SnapshotError: if the directory cannot be read.
        """
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise SnapshotError(f"cannot read the registry's history {self._directory}: {error}") from error
        return max((int(found[1]) for found in map(_NAME.match, names) if found), default=0)

    def has(self, number: int) -> bool:
        """Whether there is a change of that number: one look at the disk."""
        return self._file(number).exists()

    def read(self, number: int) -> RolloutChange:
        """One change.

        Raises:
            SnapshotError: if it is missing, damaged, or of a newer armwise.
        """
        file = self._file(number)
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            if record["sha256"] != _digest(record["change"]):
                raise SnapshotError(f"{file} is damaged: its checksum is wrong; restore a copy of it")
            return RolloutChange(**{**record["change"], "sequence": number})
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, BadInput):
                raise SnapshotError(f"{file} is of another armwise: {error}; upgrade armwise") from error
            raise SnapshotError(f"cannot read the registry's history {file}: {error}; restore a copy of it") from error

    def after(self, number: int) -> Sequence[RolloutChange]:
        """Changes behind a number, in order.

        Raises:
            SnapshotError: as :meth:`read`.
        """
        return [self.read(at) for at in range(number + 1, self.last + 1)]

    def append(self, change: RolloutChange, *, seen: int | None = None) -> RolloutChange:
        """Publish a change, wholly or not at all; returns it with its number.

        Args:
            seen: the latest change that whoever decides knew of; by default the latest there is.

        Raises:
            SnapshotError: if another change came meanwhile, or the disk refuses it; nothing is published then.
        """
        number = (self.last if seen is None else seen) + 1
        change = replace(change, sequence=number)
        record = asdict(change)
        text = json.dumps({"sha256": _digest(record), "change": record}, indent=1)
        temporary: Path | None = None
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self._directory)
            temporary = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, self._file(number))
            directory = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except FileExistsError as error:
            raise SnapshotError(
                f"change {number} was published by another meanwhile: see `armwise models list`, and try again"
            ) from error
        except OSError as error:
            raise SnapshotError(f"cannot publish in {self._directory}: {error}; nothing is changed") from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        return change

    def _file(self, number: int) -> Path:
        return self._directory / f"{number:08d}.json"


def _digest(record: object) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
