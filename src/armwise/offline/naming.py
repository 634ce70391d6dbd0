"""Candidates by what is written on a command line: ``name=what`` or just ``what``.

=====================  ==================================================================================
``path.yaml``          a configuration: its policy over its models, under its exchange rates
``squarecb``           a policy by name, over the log's own pool, at the exchange rates in force on each row
``snapshot:VERSION``   what was learned, from the log's snapshots; ``latest`` is a version too
``path.snapshot``      the same, from a file
``arm:NAME``           always that arm; ``arm:*`` is one candidate per arm
=====================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from armwise.config import load_config
from armwise.contracts import Arm
from armwise.errors import BadInput, SnapshotError, unknown
from armwise.log.reading import Reading
from armwise.offline.candidates import Candidate, constant, fresh, from_config, from_snapshot
from armwise.offline.reading import LogSummary, pool_of
from armwise.policies import POLICIES
from armwise.registry import Snapshot, SnapshotStore, codec
from armwise.registry.store import Manifest


def make_candidates(
    specs: Sequence[str], log: Reading, about: LogSummary, *, snapshots: Path | None = None
) -> list[Candidate]:
    """The candidates that were written down.

    Args:
        snapshots: the directory that ``snapshot:VERSION`` looks in.

    Raises:
        BadInput: on a specification that names nothing, or a candidate that the log cannot answer for.
        ConfigError: on a configuration that does not hold together.
        SnapshotError: on a snapshot that is missing, damaged, or of other features.
    """
    arms = pool_of(log)
    tried = [arm for arm in arms if arm.name in about.arms]
    made: list[Candidate] = []
    for spec in specs:
        name, _, what = spec.partition("=") if "=" in spec else ("", "", spec)
        if what == "arm:*":
            made += [_constant(f"always {arm.name}", arm.name, tried, about) for arm in tried]
            continue
        made.append(_one(name, what, tried, about, snapshots))
    return made


def _one(name: str, what: str, arms: Sequence[Arm], about: LogSummary, snapshots: Path | None) -> Candidate:
    kind, _, rest = what.partition(":")
    if kind == "arm" and rest:
        return _constant(name or f"always {rest}", rest, arms, about)
    if kind == "snapshot" and rest:
        snapshot = _stored(rest, snapshots)
        return from_snapshot(name or f"snapshot {snapshot.version}", snapshot, feature_version=about.feature_version)
    if what.endswith(".snapshot"):
        state, manifest = codec.read(what)
        known = {key: value for key, value in manifest.items() if key in Manifest.__dataclass_fields__}
        snapshot = Snapshot(Manifest(**known), state)
        return from_snapshot(name or f"snapshot {snapshot.version}", snapshot, feature_version=about.feature_version)
    if what.endswith((".yaml", ".yml")):
        return from_config(
            name or Path(what).stem,
            load_config(what),
            arms,
            seen=about.arms,
            dimension=about.dimension,
            feature_version=about.feature_version,
        )
    if what in POLICIES:
        return fresh(name or what, what, arms, dimension=about.dimension, feature_version=about.feature_version)
    raise BadInput(
        f"candidate {what!r} is no configuration (path.yaml), snapshot (snapshot:VERSION, path.snapshot), arm "
        f"(arm:NAME) or policy: {unknown('policy', what, POLICIES)}"
    )


def _constant(name: str, arm: str, arms: Sequence[Arm], about: LogSummary) -> Candidate:
    return constant(name, arm, arms, dimension=about.dimension, feature_version=about.feature_version)


def _stored(version: str, directory: Path | None) -> Snapshot:
    if directory is None or not directory.is_dir():
        raise SnapshotError(f"there are no snapshots at {directory}; name a file: path.snapshot")
    store = SnapshotStore(directory)
    if version != "latest":
        return store.load(version)
    snapshot = store.latest()
    if snapshot is None:
        raise SnapshotError(f"there is no snapshot in {directory} yet")
    return snapshot
