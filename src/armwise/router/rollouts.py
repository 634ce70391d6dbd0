"""Rollout: which policy serves, which is tried beside it, and the registry that is followed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from armwise.contracts import (
    Policy,
    PolicyBook,
    RolloutChange,
)
from armwise.errors import BadInput, LogError, SnapshotError
from armwise.registry import Registry, Watch
from armwise.rollout import INITIAL, Trained
from armwise.router.keeping import Keeping

logger = logging.getLogger("armwise")


class RollingOut(Keeping):
    """Changes of the policy that serves, each an event of the log."""

    def promote(self, version: str, *, stage: str = "full", share: float = 0.0, **terms: Any) -> RolloutChange:
        """Let a snapshot of the registry serve, or be tried beside what serves; it takes effect before this returns.

        Args:
            version, stage, share, terms: as for :meth:`armwise.registry.Registry.promote`.

        Raises:
            BadInput: without a registry, or as the registry says.
            SnapshotError: if it cannot serve here; what serves goes on.
        """
        registry = self._needed_registry()
        trained = None if version == INITIAL else registry.fetch(version)
        change = RolloutChange(stage=stage, version=trained.version if trained else version, share=share)
        with self._lock:
            self._decider.check_rollout(change, trained)
        return self._followed(registry.promote(version, stage=stage, share=share, **terms))

    def rollback(self, *, by: str = "", reason: str = "") -> RolloutChange:
        """Take off what is tried, or go back to what served before; it takes effect before this returns.

        Raises:
            BadInput: without a registry, or if there is nothing to go back to.
        """
        return self._followed(self._needed_registry().rollback(by=by, reason=reason))

    def rollout(self) -> dict[str, Any]:
        """What serves, and what is tried beside it with what its rewards say so far."""
        with self._lock:
            rollout = self._decider.rollout
            return {
                "serving": rollout.version,
                "initial": rollout.initial,
                "trial": None if rollout.trial is None else rollout.trial.report(),
                "kept": [kept.version for kept in rollout.kept],
                "change": rollout.sequence,
                "error": None if self._watch is None else self._watch.error,
            }

    def _needed_registry(self) -> Registry:
        if self.registry is None:
            raise BadInput("this router has no registry: give it a log with a path, or registry=")
        return self.registry

    def _followed(self, change: RolloutChange) -> RolloutChange:
        if self._watch is not None:
            self._watch.look()
        return change

    def _begin_rollout(self, apprentice: Mapping[str, str] | None, share: float) -> None:
        """Follow the registry from now on; a new installation starts as an apprentice, if it is to."""
        rollout = self._decider.rollout
        new = self.registry is None or not self.registry.history.last
        if apprentice and new and rollout.trial is None and not self._decider.decisions:
            change = RolloutChange(
                stage="apprentice", version=INITIAL, rule=apprentice, share=share, by="configuration", at=time.time()
            )
            self._decider.check_rollout(change)
            self._apply(change if self.registry is None else self.registry.history.append(change))
        known = {one.version: one.policy for one in rollout.kept} | {rollout.version: rollout.policy}
        if rollout.trial is not None and rollout.trial.policy is not None:
            known[rollout.trial.change.version] = rollout.trial.policy
        self._record_policies(known)
        if self.registry is not None:
            self._watch = Watch(self.registry.history, self._follow, after=rollout.sequence, beside=self._follow_tasks)
            self._watch.look()
            self._watch.start()

    def _follow(self, change: RolloutChange) -> None:
        """Swap as the registry says. What is slow, the disk, is done before the lock is taken."""
        trained = self._learner.trained_for(change)
        if trained is not None:
            self._record_policies({trained.version: trained.policy})
        with self._lock:
            if self._closed or change.sequence <= self._decider.rollout.sequence:
                return
            self._decider.check_rollout(change, trained)
            self._fetched = trained
            self._apply(change)

    def _record_policies(self, policies: Mapping[str, Policy]) -> None:
        """Have the log say what the versions are that its decisions name; one that cannot be told is reported."""
        if not isinstance(self._log, PolicyBook):
            return
        for version, policy in policies.items():
            try:
                self._log.record_policy(
                    version,
                    spec=json.dumps(policy.spec, sort_keys=True, default=str),
                    feature_version=self.encoder.version,
                    at=time.time(),
                )
            except LogError as error:
                logger.warning("the log does not say what policy %s is: %s", version, error)

    def _follow_tasks(self) -> None:
        """Guess tasks by the latest classifier. No event: a guess is in its decision, and changes no feature."""
        found = self._tasks.newer() if self._tasks is not None else None
        if found is not None:
            self._labels = found

    def _fetch(self, version: str) -> Trained:
        fetched, self._fetched = self._fetched, None
        if fetched is not None and fetched.version == version:
            return fetched
        if self.registry is None:
            raise SnapshotError(f"the log says that {version} was promoted: give the router the registry that holds it")
        return self.registry.fetch(version)

    def _withdrawn(self, change: RolloutChange) -> None:
        logger.warning("candidate %s: %s", change.version, change.reason)
        if self._watch is not None:
            self._watch.publish(change)
