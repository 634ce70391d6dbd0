"""One run of retraining: learn, choose, confirm, publish. Nothing is published before everything is known."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from armwise.config import RouterConfig, load_config
from armwise.config.retrain import RetrainSettings
from armwise.contracts import Arm, PoolChange, RolloutChange
from armwise.errors import BadInput, SnapshotError, StateError
from armwise.features import TextEncoder
from armwise.log.events import arm_from_json
from armwise.log.reading import Reading
from armwise.offline import LoggedRows, read_blocks, read_rows, summary
from armwise.registry import Registry, save_tasks
from armwise.retraining.classifying import TaskTraining, learn_tasks
from armwise.retraining.gate import Check, Verdict, decide
from armwise.retraining.judgement import Judgement, judge
from armwise.retraining.source import cuts, open_source
from armwise.retraining.trainee import Trainee, share, teach, trainee

Progress = Callable[[str, int, int], None]
"""What is done, how many rows of it, of how many."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Retraining:
    """What a run found.

    Attributes:
        winner: the candidate that was chosen.
        verdict: of the gate; only the winner came before it.
        selection: all candidates, on the rows that chose.
        confirmation: the winner, on rows that nothing was chosen by.
        data: log, positions, rows, sha256, feature version.
        version: of the winner's snapshot; None where nothing was published.
        change: what was promoted; None where nothing was.
        seconds: how long it took.
        tasks: the classifier of tasks; None where none is asked for, or none could be learned.
        no_tasks: why it could not.
    """

    settings: RetrainSettings
    winner: str
    verdict: Verdict
    selection: Judgement
    confirmation: Judgement
    data: dict[str, Any]
    serving: str
    version: str | None
    change: RolloutChange | None
    seconds: float
    tasks: TaskTraining | None = None
    no_tasks: str | None = None

    @property
    def promoted(self) -> bool:
        """Whether the winner serves, or is tried, from now on."""
        return self.change is not None

    @property
    def reason(self) -> str:
        """In one line."""
        return self.verdict.reason

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON."""
        selection = {name: _plain(self.selection.utility(name)) for name in self.selection.tables}
        return {
            "promoted": self.promoted,
            "passed": self.verdict.promoted,
            "reason": self.reason,
            "winner": self.winner,
            "version": self.version,
            "stage": self.change.stage if self.change else None,
            "serving": self.serving,
            "candidates": selection,
            "checks": [
                {
                    "name": check.name,
                    "passed": check.passed,
                    "reason": check.reason,
                    "difference": None if check.difference is None else _plain(check.difference),
                    "limit": check.limit,
                }
                for check in self.verdict.checks
            ],
            "data": self.data,
            "notes": list(self.confirmation.notes),
            "tasks": {"passed": False, "reason": self.no_tasks}
            if self.no_tasks is not None
            else self.tasks and self.tasks.to_dict(),
            "seconds": self.seconds,
        }


def retrain(
    config: str | Path | RouterConfig,
    *,
    source: str | Reading | None = None,
    registry: str | Path | Registry | None = None,
    feature_version: str | None = None,
    publish: bool = True,
    by: str = "armwise retrain",
    on_progress: Progress | None = None,
) -> Retraining:
    """Train the candidates of a configuration on its log, and promote the best if the gate lets it pass.

    The rows are cut in three, in the order of the log: candidates learn from the first part; doubly robust estimates
    on the second choose one; on the third it is compared with what served then, which had not seen those rows either
    when it decided on them. Where it passes, it learns from the rest too (``refit``) and is published.

    Args:
        source: of the log; by default the configuration's.
        registry: by default the one beside the log.
        feature_version: of the rows to use; by default that of the configuration's features.
        publish: False only says what would be done.
        by: who promotes, for the history.
        on_progress: told how far it is.

    Raises:
        ConfigError: on a wrong setting.
        BadInput: if the log is of other features or arms, or too short.
        LogError: if the log cannot be read.
        SnapshotError: if the registry cannot be written, or another was promoted meanwhile; nothing is published.
        StateError: if another run is under way.
    """
    started = time.monotonic()
    if not isinstance(config, RouterConfig):
        config = load_config(config)
    settings, say = config.retrain, on_progress or (lambda step, done, total: None)
    shelf = _registry(config, registry)
    version = feature_version or TextEncoder.from_settings(config.features).version
    with alone(shelf.directory):
        seen = shelf.history.last
        standing = shelf.standing()
        given = source if isinstance(source, Reading) else open_source(source or _source(config))
        try:
            run = _Run(config, settings, given, version, say)
            verdict = run.verdict()
            tasks, no_tasks = run.tasks()
            if publish and tasks is not None and tasks.passed:
                save_tasks(shelf.directory, tasks.classifier, version, tasks.to_dict())
            kept: str | None = None
            change: RolloutChange | None = None
            if publish and verdict.promoted:
                kept = run.save(shelf, standing.serving, verdict, by)
                change = shelf.promote(
                    kept,
                    stage=settings.stage,
                    share=settings.share,
                    tolerance=settings.tolerance,
                    by=by,
                    reason=verdict.reason,
                    seen=seen,
                )
                shelf.snapshots.delete(shelf.unused(settings.keep))
        finally:
            if given is not source:
                given.close()
    return Retraining(
        settings=settings,
        winner=run.winner.name,
        verdict=verdict,
        selection=run.selection,
        confirmation=run.confirmation,
        data=run.data,
        serving=standing.serving,
        version=kept,
        change=change,
        seconds=time.monotonic() - started,
        tasks=tasks,
        no_tasks=no_tasks,
    )


class _Run:
    """Learning, choosing and confirming, on one log."""

    def __init__(
        self, config: RouterConfig, settings: RetrainSettings, log: Reading, feature_version: str, say: Progress
    ) -> None:
        self.settings, self._log, self._feature_version, self._say = settings, log, feature_version, say
        self._config = config
        about = summary(log, feature_version=feature_version)
        if about.decisions < 10:
            raise BadInput(f"{about.name} holds {about.decisions} decisions; too few to learn from and to judge by")
        if len(about.arms) < 2:
            raise BadInput(f"{about.name} knows only the arm {about.arms[0]!r}: there is nothing to choose between")
        changes = _pool_changes(log) or _configured(config, about.arms)
        self.trainees = [
            trainee(
                one.name,
                one.settings(),
                changes,
                dimension=about.dimension,
                feature_version=feature_version,
                window_rows=one.window_rows,
            )
            for one in settings.candidates
        ]
        share(self.trainees)
        shares = (settings.train, settings.train + settings.select, 1.0)
        self.start, self.taught, self.chosen, self.end = cuts(log, feature_version, shares, settings.latest_rows)
        self._total = min(about.decisions, settings.latest_rows or about.decisions)
        self._digest = hashlib.sha256()
        self._rows = 0
        self._learn(self.trainees, self.start, self.taught, round(settings.train * self._total))
        self.selection = self._judge(self.trainees, self.taught, self.chosen, "choosing")
        self.winner = self._choose()
        self.confirmation = self._judge([self.winner], self.chosen, self.end, "confirming")
        self.data = {
            "log": about.name,
            "first": self.start + 1,
            "last": self.end,
            "rows": self._rows,
            "sha256": self._digest.hexdigest(),
            "feature_version": feature_version,
            "arms": list(about.arms),
        }

    def verdict(self) -> Verdict:
        settings = self.settings
        return decide(
            self.confirmation,
            self.winner.name,
            margin=settings.margin,
            guards=settings.guards,
            least_rows=settings.least_rows,
        )

    def tasks(self) -> tuple[TaskTraining | None, str | None]:
        """The classifier of tasks, where one is asked for; or why it cannot be learned, which stops nothing else."""
        settings = self._config.classifier
        if settings is None:
            return None, None
        names = TextEncoder.from_settings(self._config.features).names
        try:
            found = learn_tasks(self._log, names=names, feature_version=self._feature_version, settings=settings)
        except BadInput as error:
            return None, str(error)
        return found, None

    def save(self, registry: Registry, parent: str, verdict: Verdict, by: str) -> str:
        """The winner, after it learned from what judged it; its version."""
        winner = self.winner
        if self.settings.refit:
            for rows in (self.selection.rows, self.confirmation.rows):
                self._say("learning the rest", 0, len(rows))
                teach([winner], rows)
        gap = self.confirmation.utility(winner.name)
        return registry.snapshots.save(
            winner.decider.state(),
            position=max(winner.learned_to, 0),
            feature_version=self._feature_version,
            policy=dict(winner.settings),
            pool=[arm.name for arm in winner.decider.pool.arms],
            parents=[parent],
            metrics={
                "utility_gain": gap.value,
                "lower": gap.lower,
                "upper": gap.upper,
                "level": gap.level,
                "rows": len(self.confirmation.rows),
                "checks": {check.name: check.passed for check in verdict.checks},
            },
            data=self.data,
            made_by=by,
        ).version

    def _learn(self, trainees: Sequence[Trainee], after: int, until: int, count: int) -> None:
        windows = [one.window_rows for one in trainees]
        for one, window in zip(trainees, windows, strict=True):
            one.first = self._from(until, window) if window is not None else 0
        done = 0
        for rows in read_blocks(self._log, after=after, until=until, feature_version=self._feature_version):
            self._note(rows)
            teach(trainees, rows)
            done += len(rows)
            self._say("learning", done, max(count, done))

    def _from(self, until: int, window: int) -> int:
        """Position of the first of the last ``window`` rows up to one."""
        found = self._log.query(
            "SELECT min(position) AS first FROM (SELECT position FROM decisions WHERE feature_version = $1 "
            f"AND head IS NULL AND position <= $2 ORDER BY position DESC LIMIT {int(window)})",
            [self._feature_version, until],
        )
        return int(found.column(0)[0].as_py())

    def _judge(self, trainees: Sequence[Trainee], after: int, until: int, step: str) -> Judgement:
        rows = read_rows(self._log, after=after, until=until, feature_version=self._feature_version)
        self._note(rows)
        self._say(step, 0, len(rows))
        found = judge(trainees, rows, level=self.settings.level)
        self._say(step, len(rows), len(rows))
        return found

    def _choose(self) -> Trainee:
        """The best by its estimate, of those that the rows can answer for, if there are any."""
        able = [
            one for one in self.trainees if self.selection.evaluation.verdict(one.name).status != "refused"
        ] or self.trainees
        return max(able, key=lambda one: float(np.nan_to_num(self.selection.utility(one.name).value, nan=-np.inf)))

    def _note(self, rows: LoggedRows) -> None:
        self._rows += len(rows)
        for column in (rows.position, rows.arm, rows.propensity, rows.quality, rows.cost_usd, rows.vectors):
            self._digest.update(np.ascontiguousarray(column).data)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold the registry's lock: runs that would overlap exclude each other; a run that dies lets go of it.

    Raises:
        StateError: if another run holds it.
        SnapshotError: if the registry cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "retrain.lock").open("a")
    except OSError as error:
        raise SnapshotError(f"cannot write to the registry {directory}: {error}; nothing is changed") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(f"another run of retrain is under way on {directory}; let it end") from None
        yield


def _registry(config: RouterConfig, given: str | Path | Registry | None) -> Registry:
    if isinstance(given, Registry):
        return given
    if given is not None or config.retrain.registry is not None:
        return Registry(given or str(config.retrain.registry))
    if config.log.path is None:
        raise BadInput("there is no log: set log.path, or retrain.registry and retrain.source")
    return Registry.of(config.log.path)


def _source(config: RouterConfig) -> str:
    source = config.retrain.source or config.log.path
    if source is None:
        raise BadInput("there is no log to learn from: set log.path or retrain.source")
    return source


def _pool_changes(log: Reading) -> list[PoolChange]:
    rows = log.query("SELECT action, arm FROM pool_changes ORDER BY position").to_pylist()
    return [PoolChange(action=row["action"], arm=arm_from_json(row["arm"])) for row in rows]


def _configured(config: RouterConfig, seen: Sequence[str]) -> list[PoolChange]:
    """The pool of the configuration, where the log does not say it; in its order, for so the service has it."""
    arms = [*(Arm.of(model) for model in config.records()), *config.arms()]
    strange = sorted(set(seen) - {arm.name for arm in arms})
    if strange:
        raise BadInput(f"the rows are of the arms {', '.join(strange)} too, which the configuration does not have")
    return [PoolChange(action="add", arm=arm) for arm in arms]


def _plain(estimate: Any) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in ((field, getattr(estimate, field)) for field in estimate.__dataclass_fields__)
    }


__all__ = ["Check", "Retraining", "alone", "retrain"]
