"""The router, put together: the one place that knows all the parts."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from armwise.config import RouterConfig, load_config, located
from armwise.constraints import ToolRule
from armwise.contracts import (
    Arm,
    Encoder,
    Log,
    Model,
)
from armwise.decider import Decider
from armwise.errors import BadInput, unknown
from armwise.features import TextEncoder
from armwise.judging import Bench
from armwise.judging.build import bench_of
from armwise.learning import Door, OnlineLearner, Retention
from armwise.log import open_log
from armwise.orchestration import Fallback
from armwise.pacing import Objective, make_pacer
from armwise.policies import make_policy
from armwise.predictors import DifficultyModel
from armwise.predictors.labels import LabelClassifier
from armwise.providers.blocking import BackgroundLoop
from armwise.providers.client import ProviderClient
from armwise.registry import KeptTasks, Registry, SnapshotStore, Watch, registry_directory
from armwise.rewards import RULES, RewardRules
from armwise.rollout import Trained
from armwise.router.answering import Answering
from armwise.router.budgets import Budgeting
from armwise.router.pricing import check_prices, priced_pool, typical_usd
from armwise.rules import Route, Rule, Rules
from armwise.sensitivity import Detector
from armwise.sessions import SessionRules, Sessions

_MASK = (1 << 64) - 1


class Router(Answering, Budgeting):
    """Decides which arm answers each request, and learns from what comes back.

    Thread-safe, and safe to call from asyncio: :meth:`decide` takes microseconds and does no I/O.

    Args:
        models: the pool; more can join while running. With a log, the pool is reconciled with this list at the start;
            an empty list takes the pool as the log has it.
        arms: plans over several models, beside the plain arms of ``models``.
        objective: what to aim for; by default a constant trade-off.
        policy: a name (``thompson``, ``squarecb``, ...), or a mapping with ``name`` and parameters.
        log: a path for a DuckDB log, a log of your own, or ``None`` to keep none.
        seed: makes the sequence of draws repeatable; ``None`` takes one from the system.
        encoder: turns requests into contexts; by default the text encoder.
        snapshot_every: events between two snapshots of what was learned.
        publish_every_s: seconds between two publishings of the log as Parquet, for those who read while it is written;
            ``None`` publishes only on demand.
        keep_days: how long decisions stay in a log on disk; ``None`` keeps them for ever. What they taught stays.
        client: calls the models; by default one with the keys of the environment, made when first needed.
        fallback: when an arm is given up for the next best one.
        sessions: when a session keeps its arm.
        rules, routes: what narrows requests before anything is learned; see :mod:`armwise.rules`.
        tools: which arms may take requests with tools, by how often their calls were valid.
        registry: directory of trained policies, or a registry; by default the one beside the log.
        apprentice: the present fixed rule, which a new installation imitates at first: task -> arm, ``""`` for every
            other task.
        apprentice_share: of each draw that the policy has from the beginning.
        classifier: guesses the task of requests whose callers name none; True takes the one that ``armwise retrain``
            learned from callers' labels and keeps in the registry, where there is one, and its successors.
        detector: raises the sensitivity of requests by what their text shows; by default nothing is searched.
        rewards: how signals become rewards; by default :data:`armwise.rewards.RULES`.
        judging: makes the bench of judges for this router; by default there is none.

    Raises:
        BadInput: on a model without price, a duplicate name, an unknown policy.
        LogError: if the log cannot be opened.
        SnapshotError: if what was learned belongs to other features.
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        arms: Iterable[Arm] = (),
        objective: Objective | None = None,
        policy: str | Mapping[str, Any] = "thompson",
        log: str | Path | Log | None = None,
        seed: int | None = None,
        encoder: Encoder | None = None,
        snapshot_every: int = 20_000,
        publish_every_s: float | None = 60.0,
        keep_days: float | None = None,
        client: ProviderClient | None = None,
        fallback: Fallback | None = None,
        sessions: SessionRules | None = None,
        rules: Sequence[Rule] = (),
        routes: Sequence[Route] = (),
        tools: ToolRule | None = None,
        registry: str | Path | Registry | None = None,
        apprentice: Mapping[str, str] | None = None,
        apprentice_share: float = 0.0,
        rewards: RewardRules | None = None,
        judging: Callable[[Router], Bench] | None = None,
        detector: Detector | None = None,
        classifier: LabelClassifier | bool = False,
    ) -> None:
        pool = priced_pool(models, arms)
        self.objective = objective or Objective.tradeoff()
        reference = self.objective.reference
        if reference is not None and pool and reference not in {arm.name for arm in pool}:
            raise BadInput(f"objective: {unknown('reference arm', reference, [arm.name for arm in pool])}")
        self.encoder: Encoder = encoder or TextEncoder()
        self._lock = threading.RLock()
        self._policy = {"name": policy} if isinstance(policy, str) else dict(policy)
        self._cost_ref_usd = typical_usd(pool)
        self._rules = rewards or RULES
        self._door = Door(self._rules)
        self._sessions = sessions or SessionRules()
        self._rules_and_routes = Rules(rules, routes, arms=[arm.name for arm in pool])
        self._ruled = bool(rules or routes)
        self._tools = tools
        self._decider, self._learner = self._fresh()
        self._encode = self.encoder.encode
        self._seed = secrets.randbits(64) if seed is None else seed & _MASK
        self._prefix = f"{int(time.time() * 1000):011x}{secrets.token_hex(3)}"
        self._made = 0
        self._closed = False
        self._log = open_log(log, rules=self._rules, publish_every_s=publish_every_s)
        self._snapshots = (
            SnapshotStore(Path(f"{log}.snapshots")) if isinstance(log, (str, Path)) and log != ":memory:" else None
        )
        if registry is None and self._snapshots is not None:
            registry = registry_directory(str(log))
        self.registry = Registry(registry) if isinstance(registry, (str, Path)) else registry
        self._labels: LabelClassifier | None = None
        self._tasks: KeptTasks | None = None
        self._fetched: Trained | None = None
        self._watch: Watch | None = None
        self._snapshot_every = snapshot_every
        self._snapshot_at = 0
        self._client = client
        self.detector = detector
        self._fallback = fallback
        self._background = BackgroundLoop()
        self.judging: Bench | None = None
        """The judges at work, where there are any."""
        try:
            if not isinstance(classifier, bool):
                self._labels = classifier
            elif classifier and self.registry is not None:
                self._tasks = KeptTasks(self.registry.directory, self.encoder.version)
                self._labels = self._tasks.newer()
            self._rebuild()
            self._reconcile(pool)
            self._reconcile_budgets(self.objective.all_budgets)
            if judging is not None:
                self.judging = judging(self)
            self._begin_rollout(apprentice, apprentice_share)
        except BaseException:
            self._log.close()
            raise
        self._retention = (
            Retention(self.prune, keep_days) if keep_days is not None and self._snapshots is not None else None
        )

    @classmethod
    def from_config(cls, config: str | Path | RouterConfig, **overrides: Any) -> Router:
        """Build a router from a YAML file or a loaded config; keyword arguments take precedence.

        Raises:
            ConfigError: naming the path in the file, what came, and what is allowed.
        """
        if isinstance(config, RouterConfig):
            return cls(**{**cls._configured(config, overrides), **overrides})
        loaded = load_config(config)
        with located(config):
            arguments = cls._configured(loaded, overrides)
        return cls(**{**arguments, **overrides})

    @staticmethod
    def _configured(config: RouterConfig, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that a configuration stands for; no encoder is made where another is given."""
        check_prices(config)
        arguments: dict[str, Any] = {
            "models": config.records(),
            "arms": config.arms(),
            "fallback": Fallback(**config.fallback.model_dump()),
            "sessions": config.sessions.record(),
            "registry": config.retrain.registry,
            "apprentice": config.apprentice.rule() if config.apprentice else None,
            "apprentice_share": config.apprentice.share if config.apprentice else 0.0,
            "tools": config.tools.record() if config.tools else None,
            "rules": [rule.record() for rule in config.rules],
            "routes": [route.record(name) for name, route in config.routes.items()],
            "objective": config.objective.record(),
            "policy": config.policy_settings(),
            "log": config.log.path,
            "seed": config.seed,
            "snapshot_every": config.log.snapshot_every,
            "publish_every_s": config.log.publish_every_s,
            "keep_days": config.log.keep_days,
            "rewards": config.rewards.record(),
            "judging": bench_of(config.judging, os.environ),
            "detector": config.sensitivity.record() if config.sensitivity is not None else None,
            "classifier": config.classifier is not None,
        }
        if "encoder" not in overrides:
            arguments["encoder"] = TextEncoder.from_settings(config.features)
        return arguments

    def _fresh(self) -> tuple[Decider, OnlineLearner]:
        """A decider that has learned nothing, and its learner."""
        dimension = len(self.encoder.names)
        decider = Decider(
            policy=make_policy(dimension=dimension, **self._policy),
            pacer=make_pacer(self.objective, cost_ref_usd=self._cost_ref_usd, budgets=False),  # they are in the log
            dimension=dimension,
            policy_version=_policy_version(self._policy),
            feature_version=self.encoder.version,
            sessions=Sessions(self._sessions),
            difficulty=DifficultyModel(dimension) if self._rules_and_routes.needs_difficulty else None,
            tools=self._tools,
            settings=self._policy,
        )
        return decider, OnlineLearner(decider, recall=self._recall, fetch=self._fetch, rules=self._rules)

    async def aclose(self) -> None:
        """Close the connections of the running event loop, then :meth:`close`."""
        if "orchestrator" in self.__dict__:
            await self.orchestrator.client.aclose()
        self.close()

    def close(self) -> None:
        """Flush, snapshot and release the log. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._retention is not None:
            self._retention.stop()
        try:
            if self.judging is not None:
                self.judging.close()
            if self._watch is not None:
                self._watch.stop()
            if self._background.started:
                self._background.run(self.orchestrator.client.aclose())
                self._background.close()
            self.snapshot()
        finally:
            self._log.close()

    def __enter__(self) -> Router:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _policy_version(settings: Mapping[str, Any]) -> str:
    """Short name of a policy and its parameters."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    return f"{settings['name']}-{digest[:8]}"
