"""State is the fold over the log: what is appended and applied in one order, saved, rebuilt and pruned."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from armwise.contracts import (
    Context,
    Decision,
    Encoder,
    Event,
    Log,
    Prunable,
    Request,
    Signal,
    State,
)
from armwise.decider import Decider
from armwise.errors import BadInput, StateError
from armwise.judging import Bench
from armwise.learning import Door, OnlineLearner
from armwise.log import LogHealth
from armwise.orchestration import Fallback
from armwise.pacing import Objective
from armwise.predictors.labels import LabelClassifier
from armwise.providers.blocking import BackgroundLoop
from armwise.providers.client import ProviderClient
from armwise.registry import KeptTasks, Registry, SnapshotStore, Watch
from armwise.rewards import RewardRules
from armwise.rollout import Trained
from armwise.rules import Rules
from armwise.sensitivity import Detector
from armwise.sessions import SessionRules

logger = logging.getLogger("armwise")


class Keeping:
    """What every part stands on: the log, the state that follows from it, the lock that keeps their order."""

    encoder: Encoder
    objective: Objective
    registry: Registry | None
    judging: Bench | None
    """The judges at work, where there are any."""
    detector: Detector | None
    _lock: threading.RLock
    _log: Log
    _decider: Decider
    _learner: OnlineLearner
    _snapshots: SnapshotStore | None
    _snapshot_every: int
    _snapshot_at: int
    _closed: bool
    _rules: RewardRules
    _door: Door
    _rules_and_routes: Rules
    _labels: LabelClassifier | None
    _tasks: KeptTasks | None
    _ruled: bool
    _sessions: SessionRules
    _encode: Callable[[Request], Context]
    _seed: int
    _prefix: str
    _made: int
    _client: ProviderClient | None
    _fallback: Fallback | None
    _background: BackgroundLoop
    _watch: Watch | None
    _fetched: Trained | None

    def _apply(self, event: Event) -> None:
        with self._lock:
            self._learner.apply(event, self._log.append(event))

    def _recall(self, decision_id: str, position: int) -> tuple[Decision, list[Signal]] | None:
        decision = self._log.decision(decision_id)
        return None if decision is None else (decision, self._log.signals(decision_id, before=position))

    def _rebuild(self) -> None:
        """Take over the latest snapshot, then replay the rest of the log."""
        snapshot = self._snapshots.latest(at_most=self._log.position) if self._snapshots else None
        learned_to = 0
        if snapshot is not None and self._learner.accepts(snapshot.state):
            self._learner.restore(snapshot.state)
            learned_to = snapshot.position
        if isinstance(self._log, Prunable) and learned_to < self._log.pruned_to:
            logger.warning(
                "no snapshot fits this policy, and the log was pruned: it learns anew from the decisions that are left"
            )
        self._learner.replay(self._log.events(learned_to))
        for change in self._learner.proposals():  # the process ended before they were written
            self._apply(change)
        self._snapshot_at = learned_to

    def _maybe_snapshot(self) -> None:
        if self._snapshots is None or self._log.position - self._snapshot_at < self._snapshot_every:
            return
        self._snapshot_at = self._log.position
        threading.Thread(target=self._snapshot_quietly, name="armwise-snapshot", daemon=True).start()

    def _snapshot_quietly(self) -> None:
        try:
            self.snapshot()
        except (StateError, OSError) as error:
            logger.warning("snapshot not saved, the log still holds everything: %s", error)

    @property
    def position(self) -> int:
        """Position in the log of the last event so far, durable or not."""
        return self._log.position

    @property
    def log_health(self) -> LogHealth:
        """How the log fares; a log of your own that does not say is taken to be well."""
        health = getattr(self._log, "health", None)
        if isinstance(health, LogHealth):
            return health
        return LogHealth(ok=True, position=self._log.position, durable=self._log.position, queued=0, lost=0)

    def flush(self, timeout: float | None = None) -> None:
        """Return when everything so far is on disk.

        Raises:
            LogError: if it cannot be; it stays queued, and deciding goes on.
        """
        self._log.flush(timeout)

    def secure(self, timeout: float | None = None) -> None:
        """Return when everything so far would survive a crash. As :meth:`flush`, or quicker.

        Raises:
            LogError: if it cannot be made so.
        """
        self._log.secure(timeout)

    def snapshot(self) -> str | None:
        """Save what was learned, so that the next start need not replay the log. Returns its version.

        Raises:
            LogError: if the log behind it cannot be made durable.
        """
        if self._snapshots is None:
            return None
        with self._lock:
            position, state = self._log.position, self._learner.state()
            self._snapshot_at = position
        return self._save(state, position)

    def _save(self, state: State, position: int) -> str:
        assert self._snapshots is not None
        self._log.flush()
        return self._snapshots.save(state, position=position, feature_version=self.encoder.version).version

    def prune(self, keep_s: float) -> int:
        """Drop decisions older than so many seconds from the log; returns how many. What was learned is saved first.

        Late feedback on them is refused from then on as for any decision that nobody knows, and another policy can
        only be rebuilt from what is left. Deciding goes on meanwhile.

        Raises:
            BadInput: if there is no log on disk, or ``keep_s`` is negative.
            LogError, SnapshotError: if the disk refuses; nothing is deleted then.
        """
        if not isinstance(self._log, Prunable) or self._snapshots is None:
            raise BadInput("only a log in a file can be pruned")
        if not keep_s >= 0:
            raise BadInput(f"keep_s must be a number of seconds of at least 0, got {keep_s!r}")
        before = time.time() - keep_s
        self._log.flush()
        until = self._log.boundary(before)
        with self._lock:
            self._log.hide(until)
            self._learner.forget_cases()
            position, state = self._log.position, self._learner.state()
        self._save(state, position)
        return self._log.prune(until)
