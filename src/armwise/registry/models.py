"""The registry: trained policies, and the history of which of them serves.

::

    armwise.duckdb.models/
        snapshots/      immutable, checksummed (:mod:`armwise.registry.store`)
        changes/        who promoted what, when and why (:mod:`armwise.registry.history`)

What serves is what the last change says: there is no pointer to get out of step with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from armwise.contracts import RolloutChange
from armwise.errors import BadInput, SnapshotError
from armwise.policies import make_policy
from armwise.registry.history import History
from armwise.registry.store import Snapshot, SnapshotStore
from armwise.rollout import INITIAL, Trained


def registry_directory(log: str | os.PathLike[str]) -> Path:
    """Where the registry of the log at a path is."""
    log = Path(log)
    return log.with_name(log.name + ".models")


class Standing(NamedTuple):
    """What a history amounts to."""

    serving: str
    """Version, or ``initial``."""
    before: tuple[str, ...]
    """What served before, latest last."""
    trial: RolloutChange | None
    """What is being tried."""


class Registry:
    """Trained policies in a directory, which is made when first written to. Any number of processes may share it.

    Args:
        directory: see :func:`registry_directory`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.snapshots = SnapshotStore(self.directory / "snapshots")
        self.history = History(self.directory / "changes")

    @classmethod
    def of(cls, log: str | os.PathLike[str]) -> Registry:
        """The registry of the log at a path."""
        return cls(registry_directory(log))

    def standing(self) -> Standing:
        """What serves, what did, and what is tried.

        Raises:
            SnapshotError: if the history cannot be read.
        """
        return standing(self.history.after(0))

    def fetch(self, version: str) -> Trained:
        """A policy, built and restored.

        Raises:
            SnapshotError: if it is not there, damaged, or this armwise cannot build it.
        """
        return trained(self.snapshots.load(version))

    def promote(
        self,
        version: str,
        *,
        stage: str = "full",
        share: float = 0.0,
        tolerance: float = 0.0,
        level: float = 0.95,
        by: str = "",
        reason: str = "",
        seen: int | None = None,
    ) -> RolloutChange:
        """Let a snapshot serve, or be tried. Services that watch the registry follow within a second.

        Args:
            version: its first digits do; ``initial`` is the policy of the configuration.
            stage: ``full``, ``canary`` or ``shadow``.
            share: of the draw, for a canary.
            tolerance, level: of the sequential test that takes a canary off.
            by, reason: for the history.
            seen: as for :meth:`History.append`.

        Raises:
            BadInput: if it serves already, or share and stage do not go together.
            SnapshotError: if it is not there or is damaged, or another was promoted meanwhile.
        """
        latest = self.history.last
        if version != INITIAL:
            version = self.fetch(version).version
        now = self.standing()
        if stage in ("full", "canary", "shadow") and version == now.serving and not (stage == "full" and now.trial):
            raise BadInput(f"{version} serves already")
        change = RolloutChange(
            stage=stage,
            version=version,
            share=share,
            tolerance=tolerance,
            level=level,
            by=by,
            reason=reason,
            at=time.time(),
        )
        return self.history.append(change, seen=latest if seen is None else seen)

    def rollback(self, *, by: str = "", reason: str = "") -> RolloutChange:
        """Take off what is being tried; where nothing is, go back to what served before.

        Raises:
            BadInput: if there is nothing to go back to.
            SnapshotError: if the history cannot be read, or another change came meanwhile.
        """
        latest = self.history.last
        now = self.standing()
        at = time.time()
        if now.trial is not None and now.trial.stage != "apprentice":
            change = RolloutChange(stage="stop", version=now.trial.version, by=by, reason=reason, at=at)
        elif now.before:
            change = RolloutChange(stage="full", version=now.before[-1], by=by, reason=reason or "rollback", at=at)
        else:
            raise BadInput("there is nothing to go back to: the policy of the configuration serves")
        return self.history.append(change, seen=latest)

    def apprentice(
        self, rule: Mapping[str, str], *, share: float = 0.0, tolerance: float = 0.0, by: str = "", reason: str = ""
    ) -> RolloutChange:
        """Let a fixed rule decide, and the policy watch and learn; see :mod:`armwise.rollout`.

        Args:
            rule: task -> arm; ``""`` is for every other task.
            share: of each draw that the policy has all the same: without any, the log can answer no question.

        Raises:
            BadInput: if the rule is empty, or the share is not below 1.
            SnapshotError: if another change came meanwhile.
        """
        latest = self.history.last
        change = RolloutChange(
            stage="apprentice",
            version=self.standing().serving,
            share=share,
            tolerance=tolerance,
            rule=rule,
            by=by,
            reason=reason,
            at=time.time(),
        )
        return self.history.append(change, seen=latest)

    def unused(self, keep: int) -> Sequence[str]:
        """Versions, oldest first, that neither serve, did so last, are tried, nor are among the newest ``keep``."""
        now = self.standing()
        held = {now.serving, *now.before[-1:], *((now.trial.version,) if now.trial else ())}
        versions = [manifest.version for manifest in self.snapshots.list()]
        return [version for version in versions[: max(len(versions) - keep, 0)] if version not in held]


def standing(changes: Sequence[RolloutChange]) -> Standing:
    """What a sequence of changes amounts to."""
    served = [INITIAL]
    trial: RolloutChange | None = None
    for change in changes:
        if change.stage == "full":
            served = served[: served.index(change.version)] if change.version in served else served
            served = [*served, change.version]
            trial = None
        elif change.stage != "stop":
            trial = change
        elif trial is not None and trial.version == change.version:
            trial = None
    return Standing(served[-1], tuple(served[:-1]), trial)


def trained(snapshot: Snapshot) -> Trained:
    """The policy of a snapshot, ready to serve.

    Raises:
        SnapshotError: if this armwise cannot build it.
    """
    manifest, state = snapshot
    settings: dict[str, Any] = dict(manifest.policy)
    try:
        policy = make_policy(dimension=int(state["dimension"]), **settings)
        policy.restore(state["policy"]["state"])
        return Trained(
            version=manifest.version,
            settings=settings,
            policy=policy,
            arms=[record["name"] for record in state["pool"]["arms"]],
            feature_version=str(state["feature_version"]),
        )
    except (BadInput, TypeError, KeyError, ValueError) as error:
        raise SnapshotError(
            f"snapshot {manifest.version} cannot be built: {error}; it is of another armwise, or not a trained policy"
        ) from error
