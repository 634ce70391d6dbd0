"""The classifier of tasks that a registry keeps: one file, the latest that was found good."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from armwise.errors import SnapshotError
from armwise.predictors.labels import LabelClassifier
from armwise.registry import codec

_FILE = "tasks.classifier"


def save_tasks(
    directory: str | os.PathLike[str], classifier: LabelClassifier, feature_version: str, metrics: Mapping[str, Any]
) -> Path:
    """Keep a classifier in a registry's directory, wholly or not at all; returns its file.

    Args:
        metrics: how good it was found to be, as plain types.

    Raises:
        SnapshotError: if it cannot be written.
    """
    path = Path(directory) / _FILE
    codec.write(path, classifier.state(), {"feature_version": feature_version, "metrics": dict(metrics)})
    return path


class KeptTasks:
    """The classifier of a registry, as it is replaced by later ones.

    Args:
        directory: of the registry.
        feature_version: of the contexts that it is to be asked about.
    """

    def __init__(self, directory: str | os.PathLike[str], feature_version: str) -> None:
        self._path = Path(directory) / _FILE
        self._feature_version = feature_version
        self._seen: tuple[int, int, int] | None = None

    def newer(self) -> LabelClassifier | None:
        """The classifier that is there, if it is another than at the last call; else None. One that fails is told once.

        Raises:
            SnapshotError: if it is damaged, or of other features.
        """
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return None
        seen = there.st_ino, there.st_mtime_ns, there.st_size
        if seen == self._seen:
            return None
        self._seen = seen
        state, manifest = codec.read(self._path)
        if manifest["feature_version"] != self._feature_version:
            raise SnapshotError(
                f"{self._path} is of features {manifest['feature_version']!r}, the encoder now gives "
                f"{self._feature_version!r}: run armwise retrain, or delete it"
            )
        return LabelClassifier.of_state(state)
