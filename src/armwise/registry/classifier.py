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


def load_tasks(directory: str | os.PathLike[str], feature_version: str) -> LabelClassifier | None:
    """The classifier in a registry's directory; None if there is none.

    Raises:
        SnapshotError: if it is damaged, or of other features.
    """
    path = Path(directory) / _FILE
    if not path.exists():
        return None
    state, manifest = codec.read(path)
    if manifest["feature_version"] != feature_version:
        raise SnapshotError(
            f"{path} is of features {manifest['feature_version']!r}, the encoder now gives {feature_version!r}: "
            "run armwise retrain, or delete it"
        )
    return LabelClassifier.of_state(state)
