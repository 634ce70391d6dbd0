"""A directory of snapshots: immutable files, each named by its place in the sequence and its content."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from armwise.contracts import State
from armwise.errors import BadInput, SnapshotError, unknown
from armwise.registry import codec

logger = logging.getLogger("armwise.registry")

_NAME = re.compile(r"^(\d{8})-([0-9a-f]{12})\.snapshot$")
_STALE_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What is known of a snapshot without loading it."""

    version: str
    """12 hex digits: a hash of state, position, feature version, policy and pool."""
    position: int
    """Position of the log up to which it has learned."""
    feature_version: str
    policy: Mapping[str, Any] = field(default_factory=dict)
    """Name and parameters of the policy."""
    pool: Sequence[Any] = ()
    """The arms, by name or as records, in the order of their slots."""
    parents: Sequence[str] = ()
    """Versions that it was made from."""
    created_at: float = 0.0
    """Unix time, seconds."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on: log, first and last position, rows, sha256."""
    made_by: str = ""
    """Who or what made it."""


class Snapshot(NamedTuple):
    """A state with its manifest."""

    manifest: Manifest
    state: State

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def position(self) -> int:
        return self.manifest.position


class SnapshotStore:
    """Snapshots in a directory, which is made when the first is saved.

    Several processes may save into one directory: a file appears whole or not at all, and none replaces another.

    Args:
        directory: where the files are.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)

    @property
    def directory(self) -> Path:
        return self._directory

    def save(
        self,
        state: State,
        *,
        position: int,
        feature_version: str,
        policy: Mapping[str, Any] | None = None,
        pool: Iterable[Any] = (),
        parents: Iterable[str] = (),
        created_at: float | None = None,
        metrics: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        made_by: str = "",
    ) -> Manifest:
        """Save a state; returns its manifest. What is there already, bit for bit, is not saved again.

        Args:
            state: see :data:`armwise.contracts.State`.
            position: of the log up to which it has learned.
            feature_version: of the encoder that it learned with.
            policy: name and parameters, JSON values.
            pool: the arms, JSON values.
            parents: versions that it was made from.
            created_at: Unix time, seconds; by default, now.
            metrics: JSON values.
            data: what it was trained on, JSON values.
            made_by: who or what made it.

        Raises:
            BadInput: if ``position`` is not a whole number of at least 0.
            SnapshotError: if the state holds what no snapshot can, or the disk refuses it.
        """
        if isinstance(position, bool) or not isinstance(position, int) or position < 0:
            raise BadInput(f"position must be a whole number of at least 0, got {position!r}")
        content: dict[str, Any] = {
            "position": position,
            "feature_version": feature_version,
            "policy": dict(policy or {}),
            "pool": list(pool),
        }
        version = codec.content_hash(state, content)[:12]
        manifest = Manifest(
            version=version,
            parents=list(parents),
            created_at=time.time() if created_at is None else created_at,
            metrics=dict(metrics or {}),
            data=dict(data or {}),
            made_by=made_by,
            **content,
        )
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SnapshotError(f"cannot keep snapshots in {self._directory}: {error}") from error
        files = self._files()
        for file in files:
            if _version(file) == version and self._is_good(file):
                return self._manifest(file)
        sequence = _sequence(files[-1]) + 1 if files else 1
        codec.write(self._directory / f"{sequence:08d}-{version}.snapshot", state, asdict(manifest))
        return manifest

    def list(self) -> Sequence[Manifest]:
        """Manifests of all snapshots, oldest first; one that cannot be read is left out with a warning."""
        found = []
        for file in self._files():
            try:
                found.append(self._manifest(file))
            except SnapshotError as error:
                logger.warning("left out: %s", error)
        return found

    def latest(self, *, at_most: int | None = None) -> Snapshot | None:
        """The newest good snapshot, or None if there is none; a damaged one is passed over with a warning.

        Args:
            at_most: only those that have learned to this position of the log or less.

        Raises:
            SnapshotError: if there are snapshots, but none can be read.
        """
        problems = []
        readable = False
        for file in reversed(self._files()):
            try:
                if at_most is not None and self._manifest(file).position > at_most:
                    readable = True
                    continue
                snapshot = self._load(file)
            except SnapshotError as error:
                logger.warning("passed over, an older one is tried: %s", error)
                problems.append(error)
            else:
                return snapshot
        if problems and not readable:
            raise SnapshotError(
                f"none of the {len(problems)} snapshot(s) in {self._directory} can be read; the newest: {problems[0]}"
            ) from problems[0]
        return None

    def load(self, version: str) -> Snapshot:
        """The snapshot of that version; its first digits do where they name one alone.

        Raises:
            SnapshotError: if there is none, if several begin so, or if it is damaged.
        """
        files = self._files()
        named = [file for file in files if version and _version(file).startswith(version)]
        if len({_version(file) for file in named}) > 1:
            raise SnapshotError(f"several snapshots begin with {version!r}: {', '.join(map(_version, named))}")
        if not named:
            raise SnapshotError(f"{self._directory}: {unknown('snapshot', version, map(_version, files))}")
        return self._load(named[-1])

    def delete(self, versions: Iterable[str]) -> Sequence[str]:
        """Remove snapshots by version; returns those that were there.

        Raises:
            SnapshotError: if a file cannot be removed.
        """
        named = set(versions)
        removed = []
        for file in self._files():
            if _version(file) in named:
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    raise SnapshotError(f"cannot remove the snapshot {file}: {error}") from error
                removed.append(_version(file))
        return removed

    def prune(self, keep: int) -> Sequence[str]:
        """Remove all but the newest ``keep`` good snapshots; returns the versions removed. Damaged files are left.

        Raises:
            BadInput: if ``keep`` is not at least 1.
            SnapshotError: if a file cannot be removed.
        """
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise BadInput(f"keep must be a whole number of at least 1, got {keep!r}")
        good = [file for file in self._files() if self._is_good(file)]
        removed = []
        for file in good[:-keep]:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise SnapshotError(f"cannot remove the snapshot {file}: {error}") from error
            removed.append(_version(file))
        self._sweep()
        return removed

    # ------------------------------------------------------------------------------------------ how

    def _files(self) -> Sequence[Path]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SnapshotError(f"cannot look for snapshots in {self._directory}: {error}") from error
        return [self._directory / name for name in sorted(names) if _NAME.match(name)]

    def _sweep(self) -> None:
        """Remove what a process that was killed while it saved left behind."""
        for file in self._directory.glob(".*.tmp"):
            try:
                if time.time() - file.stat().st_mtime > _STALE_S:
                    file.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("cannot remove the leftover %s: %s", file, error)

    def _load(self, file: Path) -> Snapshot:
        state, record = codec.read(file)
        return Snapshot(_as_manifest(record, file), state)

    def _manifest(self, file: Path) -> Manifest:
        return _as_manifest(codec.read_manifest(file), file)

    def _is_good(self, file: Path) -> bool:
        try:
            self._load(file)
        except SnapshotError as error:
            logger.warning("not counted: %s", error)
            return False
        return True


def _as_manifest(record: Mapping[str, Any], file: Path) -> Manifest:
    known = {item.name for item in fields(Manifest)}
    try:
        return Manifest(**{name: value for name, value in record.items() if name in known})
    except TypeError as error:
        raise SnapshotError(f"{file} is a file of armwise, but not a snapshot of a policy: {error}") from error


def _sequence(file: Path) -> int:
    return int(file.name[:8])


def _version(file: Path) -> str:
    return file.name[9:21]
