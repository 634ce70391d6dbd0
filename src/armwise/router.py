"""The router: what services import. It puts the parts together and keeps the order of events."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from armwise.config import RouterConfig, load_config
from armwise.constraints import ToolRule
from armwise.contracts import (
    RETRACTION,
    Arm,
    Attempt,
    Budget,
    BudgetChange,
    Decision,
    Encoder,
    Event,
    JudgeDraw,
    Log,
    Model,
    PoolChange,
    Prunable,
    Request,
    RolloutChange,
    Signal,
    SourceChange,
    State,
)
from armwise.decider import Decider
from armwise.errors import BadInput, ConfigError, SnapshotError, StateError, UnknownDecision, UnknownName, unknown
from armwise.features import TextEncoder
from armwise.judging import Bench
from armwise.judging.build import bench_of
from armwise.learning import Door, FeedbackCounters, ImportReport, OnlineLearner, Retention
from armwise.learning.imports import read_rows, signals_of
from armwise.log import LogHealth, open_log
from armwise.orchestration import Answer, AnswerStream, BlockingAnswerStream, Fallback, Orchestrator, Witness
from armwise.pacing import BudgetReport, FloorReport, Objective, make_pacer
from armwise.plans import plan_of
from armwise.policies import make_policy
from armwise.predictors import DifficultyModel
from armwise.predictors.cost import usd_per_token
from armwise.providers.blocking import BackgroundLoop
from armwise.providers.breaker import BreakerSettings
from armwise.providers.client import ProviderClient
from armwise.providers.prices import price
from armwise.providers.retry import RetryPolicy
from armwise.providers.wire import Endpoint
from armwise.registry import Registry, SnapshotStore, Watch, registry_directory
from armwise.rewards import RULES, RewardRules
from armwise.rollout import INITIAL, Trained
from armwise.rules import Route, Rule, Rules
from armwise.sensitivity import Detector, texts_of
from armwise.sessions import SessionRules, Sessions, session_of

logger = logging.getLogger("armwise")

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_RETRY = RetryPolicy(max_retry_after_s=2.0)
"""A provider that asks for more than two seconds is left to itself: there are other arms."""
_TYPICAL_INPUT_TOKENS, _TYPICAL_OUTPUT_TOKENS = 500, 200


class Router:
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
    ) -> None:
        pool = _pool(models, arms)
        self.objective = objective or Objective.tradeoff()
        reference = self.objective.reference
        if reference is not None and pool and reference not in {arm.name for arm in pool}:
            raise BadInput(f"objective: {unknown('reference arm', reference, [arm.name for arm in pool])}")
        self.encoder: Encoder = encoder or TextEncoder()
        self._lock = threading.RLock()
        self._policy = {"name": policy} if isinstance(policy, str) else dict(policy)
        self._cost_ref_usd = _typical_usd(pool)
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
        self._fetched: Trained | None = None
        self._watch: Watch | None = None
        self._snapshot_every = snapshot_every
        self._snapshot_at = 0
        self._client = client
        self.detector = detector
        self._disabled: frozenset[str] = frozenset()
        self._fallback = fallback
        self._background = BackgroundLoop()
        self.judging: Bench | None = None
        """The judges at work, where there are any."""
        try:
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
        if not isinstance(config, RouterConfig):
            source, config = f"{config}: ", load_config(config)
        else:
            source = ""
        _check_prices(config, source)
        settings: dict[str, Any] = {
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
        }
        if "encoder" not in overrides:
            settings["encoder"] = TextEncoder.from_settings(config.features)
        return cls(**{**settings, **overrides})

    # ---------------------------------------------------------------------------- deciding

    def decide(self, request: Request | str) -> Decision:
        """Choose an arm for a request and log the choice. No I/O.

        Raises:
            BadInput: if the request cannot be read.
            NoEligibleArm: naming the constraints that excluded every arm.
        """
        if isinstance(request, str):
            request = Request.from_text(request)
        elif not isinstance(request, Request):
            raise BadInput(f"decide needs a Request or a string, got {type(request).__name__}")
        if self._sessions.infer and request.session is None and request.tools and request.messages:
            request = replace(request, session=session_of(request.messages))
        if self.detector is not None and not request.screened:
            request = self.screened(request, (request.messages, request.tools, request.response_format))
        if self._ruled or request.route is not None:
            request = self._rules_and_routes.routed(request, self.arms)
        context = self._encode(request)
        with self._lock:
            decider = self._decider
            if self._ruled:
                difficulty = decider.difficulty.predict(context.vector) if decider.difficulty is not None else 0.0
                request = self._rules_and_routes.applied(request, context, self.arms, difficulty)
            self._made += 1
            decision = decider.decide(
                request,
                context,
                id=f"{self._prefix}{self._made:x}",
                at=time.time(),
                seed=(self._seed + decider.decisions * _GOLDEN) & _MASK,
            )
            self._learner.apply(decision, self._log.append(decision))
        return decision

    def screened(self, request: Request, data: Any) -> Request:
        """The request at the sensitivity that its texts ask for, or at its own if that is higher.

        Args:
            data: JSON data, all of whose texts are searched.
        """
        if self.detector is None:
            return request
        return replace(request, sensitivity=self.detector.level(texts_of(data), request.sensitivity), screened=True)

    # ---------------------------------------------------------------------------- answering

    async def acomplete(
        self,
        request: Request | str | Mapping[str, Any],
        *,
        body: Mapping[str, Any] | None = None,
        endpoint: Endpoint = "chat",
        timeout_s: float | None = None,
        watch: Witness | None = None,
    ) -> Answer:
        """Decide, call, fall back if need be, and report what it cost and took. Quality is for you to report.

        Args:
            request: a request, a text, or the body of an OpenAI chat completion.
            body: what to send, where it holds more than the request does: tools, formats, images and unknown fields are
                passed through. ``model`` and ``stream`` are set for each upstream call.
            endpoint: what is asked of the models; plans over several are for ``chat`` alone.
            timeout_s: for all of it; by default the fallback's.
            watch: is told of the decision and of each upstream call as it ends.

        Raises:
            BadInput: if the request cannot be read or sent.
            NoEligibleArm: naming the constraints that excluded every arm; nothing was sent then.
            NoAnswer: if every arm that could be tried failed.
            ConfigError: if a key is not set, or a provider does not exist.
        """
        return await self.orchestrator.complete(request, body=body, endpoint=endpoint, timeout_s=timeout_s, watch=watch)

    async def astream(
        self,
        request: Request | str | Mapping[str, Any],
        *,
        body: Mapping[str, Any] | None = None,
        endpoint: Endpoint = "chat",
        timeout_s: float | None = None,
        watch: Witness | None = None,
    ) -> AnswerStream:
        """As :meth:`acomplete`, but streamed. Returns once an arm says something; until then it may fall back.

        >>> async with await router.astream("...") as stream:
        ...     async for chunk in stream: ...
        >>> stream.answer.cost_usd
        """
        return await self.orchestrator.stream(request, body=body, endpoint=endpoint, timeout_s=timeout_s, watch=watch)

    def complete(self, request: Request | str | Mapping[str, Any], **options: Any) -> Answer:
        """As :meth:`acomplete`, for code that is not async: waits for the answer.

        Inside a running event loop nothing may wait, so there it gives an awaitable: ``await router.complete(...)``.
        """
        work = self.acomplete(request, **options)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._background.run(work)
        return cast(Answer, work)

    def stream(self, request: Request | str | Mapping[str, Any], **options: Any) -> BlockingAnswerStream:
        """As :meth:`astream`, for code that is not async: an iterator over chunks, with ``answer`` behind the last."""
        return BlockingAnswerStream(self._background, self._background.run(self.astream(request, **options)))

    @cached_property
    def orchestrator(self) -> Orchestrator:
        """Calls what was decided on."""
        client = self._client
        if client is None:  # who is silent for as long as an arm may take has failed
            patience_s = (self._fallback or Fallback()).arm_timeout_s
            breaker = BreakerSettings(hung_s=min(BreakerSettings().hung_s, 0.9 * patience_s))
            client = ProviderClient((), keys=os.environ, retry=_RETRY, breaker=breaker)
        return Orchestrator(
            self, client, fallback=self._fallback, on_answer=None if self.judging is None else self._judge_answer
        )

    def _judge_answer(self, request: Request, answer: Answer) -> None:
        if not answer.fell_back:  # else it is not the drawn arm's
            self.judge(answer.decision, request, answer.text or json.dumps(answer.message.get("tool_calls") or []))

    def judge(self, decision: Decision, request: Request, answer: str) -> None:
        """Let the judges draw whether to look at an answer; for those who call the models themselves. Waits for none.

        Answers of :meth:`complete` and :meth:`stream` come to them by themselves.
        """
        if self.judging is not None:
            self.judging.offer(decision, request, answer)

    @property
    def decisions(self) -> int:
        """How many decisions were made, by the log."""
        return self._decider.decisions

    def record(self, attempt: Attempt | JudgeDraw) -> None:
        """Log an upstream call that was made for a decision, or a judge's draw."""
        self._apply(attempt)

    # ---------------------------------------------------------------------------- learning

    def observe(
        self,
        decision_id: str,
        *,
        quality: float | None = None,
        cost_usd: float | None = None,
        latency_ms: float | None = None,
        output_tokens: float | None = None,
        error: bool | None = None,
        source: str = "app",
        event_id: str | None = None,
        tenant: str | None = None,
    ) -> bool:
        """Report how a decision went, all at once or in parts, now or in a month.

        Each measure is a signal of its own, identified by its name unless ``event_id`` says otherwise: a second report
        of the same measure is a duplicate and changes nothing. To revise one, give another ``event_id``.

        Args:
            tenant: whose decision it has to be; ``None`` is anybody's.

        Returns:
            Whether anything new was taken in.

        Raises:
            BadInput: on a value out of range; nothing is taken in then.
            UnknownDecision: if no such decision was made, or not for that tenant.
            TooManySignals: if the source is a client that sends more than it may.
        """
        at = time.time()
        signals = [
            Signal(
                decision_id=decision_id,
                kind=kind,
                value=value,
                source=source,
                event_id=kind if event_id is None else f"{event_id}/{kind}",
                at=at,
            )
            for kind, value in (
                ("error", None if error is None else float(error)),  # first: it says how to take the others
                ("cost_usd", cost_usd),
                ("output_tokens", output_tokens),
                ("latency_ms", latency_ms),
                ("quality", quality),
            )
            if value is not None
        ]
        if not signals:
            raise BadInput("observe needs at least one of quality, cost_usd, latency_ms, output_tokens, error")
        return self._take(signals, tenant)

    def signal(
        self,
        decision_id: str,
        kind: str,
        value: float | None = None,
        *,
        event_id: str,
        source: str = "user",
        tenant: str | None = None,
        retracts: str | None = None,
    ) -> bool:
        """Report one signal of a user or another source; see :mod:`armwise.rewards` for the kinds.

        Args:
            value: may be left out for kinds that say the same whatever it is, such as ``thumbs_up``.
            source: who says so. Name clients ``user:NAME``, and their rate and influence are limited.
            tenant: whose decision it has to be; ``None`` is anybody's.
            retracts: of the kind ``retraction``: the event id, of this source, that is taken back.

        Returns:
            Whether it was new; a duplicate by (decision, source, event id) changes nothing.

        Raises:
            BadInput: on an unknown kind or a value out of range.
            UnknownDecision: if no such decision was made, or not for that tenant.
            TooManySignals: if the source is a client that sends more than it may.
        """
        try:
            signal = Signal(
                decision_id=decision_id,
                kind=kind,
                value=self._rules.value_of(kind, value),
                source=source,
                event_id=event_id,
                at=time.time(),
                retracts=retracts,
            )
        except BadInput:
            self.feedback.invalid += 1
            raise
        return self._take([signal], tenant)

    def retract(self, decision_id: str, event_id: str, *, source: str = "user", tenant: str | None = None) -> bool:
        """Take a signal back: as though it had never been sent. It may be told before the signal itself arrives.

        Returns:
            Whether it was new.

        Raises:
            UnknownDecision: if no such decision was made, or not for that tenant.
        """
        return self.signal(
            decision_id,
            RETRACTION,
            event_id=f"{RETRACTION}/{event_id}",
            source=source,
            tenant=tenant,
            retracts=event_id,
        )

    def import_feedback(
        self, rows: str | Path | Iterable[Mapping[str, Any]], *, source: str = "import"
    ) -> ImportReport:
        """Take in feedback that lives elsewhere: a JSONL or Parquet file, or rows.

        A row has ``decision_id`` and ``kind``, and may have ``value``, ``source``, ``event_id``, ``at`` (Unix time) and
        ``retracts``. What cannot be taken in is counted and left out; nothing is taken twice.

        Raises:
            BadInput: if the file cannot be read.
        """
        report = ImportReport()
        given = read_rows(rows) if isinstance(rows, (str, Path)) else rows
        for number, signal in signals_of(given, report, self._rules, source=source, now=time.time()):
            try:
                if self._take([signal], admitted=True):
                    report.taken += 1
                else:
                    report.duplicate += 1
            except UnknownDecision as error:
                report.unknown += 1
                report.refuse(number, error)
            except BadInput as error:
                report.invalid += 1
                report.refuse(number, error)
        return report

    @property
    def feedback(self) -> FeedbackCounters:
        """What became of the signals since the start."""
        return self._door.counters

    def sources(self) -> dict[str, SourceChange]:
        """Source -> what its word is worth now, for those of which anything is known."""
        with self._lock:
            return self._learner.standing.latest()

    def is_client(self, source: str) -> bool:
        """Whether a source of feedback is one client of many, whose rate and influence are limited."""
        return self._rules.is_client(source)

    def change_source(self, change: SourceChange) -> None:
        """Say what a source's word is worth from now on; part of the log. Its ``at`` is set to now."""
        with self._lock:
            self._apply(replace(change, at=time.time()))

    def _take(self, signals: list[Signal], tenant: str | None = None, *, admitted: bool = False) -> bool:
        counters = self._door.counters
        try:
            for signal in signals:
                self._rules.check(signal)
        except BadInput:
            counters.invalid += len(signals)
            raise
        with self._lock:
            if not admitted:
                self._door.admit(signals[0].source, len(signals), signals[0].at)
            known = self._known(signals, tenant)
            keys = {signal.key for signal in known}
            fresh = [signal for signal in signals if signal.key not in keys]
            for signal in fresh:
                self._learner.apply(signal, self._log.append(signal))
            for change in self._learner.proposals():
                self._learner.apply(change, self._log.append(change))
                if isinstance(change, RolloutChange):
                    self._withdrawn(change)
            self._maybe_snapshot()
        counters.taken += len(fresh)
        counters.retractions += sum(signal.kind == RETRACTION for signal in fresh)
        counters.duplicates += len(signals) - len(fresh)
        return bool(fresh)

    def _known(self, signals: list[Signal], tenant: str | None) -> list[Signal]:
        """The signals that there are of the same decision."""
        decision_id, counters = signals[0].decision_id, self._door.counters
        try:
            decision, known = self._learner.case(decision_id, self._log.position + 1)
        except UnknownDecision:
            counters.unknown += len(signals)
            raise
        if tenant is not None and decision.tenant != tenant:
            counters.foreign += len(signals)
            raise self._learner.unknown(decision_id)
        return known

    def explain(self, decision_id: str) -> str:
        """A former decision in words.

        Raises:
            UnknownDecision: if no such decision was made.
        """
        with self._lock:
            decision, _ = self._learner.case(decision_id, self._log.position + 1)
        return decision.explain()

    # ---------------------------------------------------------------------------- the pool

    def routes(self) -> tuple[str, ...]:
        """The virtual models that a request may ask for: ``armwise/auto`` and one per route."""
        return self._rules_and_routes.names

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms in the pool."""
        return self._decider.pool.names

    def pool(self) -> tuple[Arm, ...]:
        """The arms in the pool, with their prices and limits."""
        with self._lock:
            pool = self._decider.pool
            return tuple(pool.arms[pool.slot(name)] for name in pool.names)

    def arm(self, name: str) -> Arm:
        """One arm of the pool.

        Raises:
            UnknownModel: if it is not in the pool.
        """
        pool = self._decider.pool
        return pool.arms[pool.slot(name)]

    def add_model(self, model: Model | str, **settings: Any) -> None:
        """Add a model while running, or give a known one new particulars (price, limits); what it taught stays.

        Plans that call it take over its particulars too, so that what may be sent to it holds for them as well.

        Raises:
            BadInput: if it has no price.
        """
        if isinstance(model, str):
            model = Model(model, **settings)
        model = _priced(model)
        with self._lock:
            self.add_arm(Arm.of(model))
            for plan in self._plans_of(model.name):
                self.add_arm(replace(plan, models=tuple(model if m.name == model.name else m for m in plan.models)))

    def add_arm(self, arm: Arm) -> None:
        """Add a plan over several models while running; see :mod:`armwise.plans`.

        Raises:
            BadInput: if a model of it has no price, or the plan cannot be carried out.
        """
        usd_per_token(arm)  # refused before it is logged
        plan_of(arm)
        self._apply(PoolChange(action="add", arm=arm, at=time.time()))

    def remove_model(self, name: str) -> None:
        """Take a model, and the plans that call it, or one plan out of the pool.

        Decisions made before may still be reported on.

        Raises:
            UnknownModel: if there is no such arm.
        """
        with self._lock:
            self._remove(self.arm(name))
            for plan in self._plans_of(name):
                self._remove(plan)

    def _remove(self, arm: Arm) -> None:
        self._apply(PoolChange(action="remove", arm=arm, at=time.time()))

    def _plans_of(self, model: str) -> list[Arm]:
        """The plans in the pool that call a model."""
        return [arm for arm in self.pool() if arm.plan != "single" and model in {m.name for m in arm.models}]

    @property
    def disabled(self) -> frozenset[str]:
        """Arms that no decision draws, though they are in the pool."""
        return self._disabled

    def disable_model(self, name: str) -> None:
        """Have no decision draw an arm, until it is enabled again or the process ends. What it taught stays.

        Raises:
            UnknownModel: if there is no such arm.
        """
        with self._lock:
            self._decider.pool.set_available(name, "disabled")
            self._disabled |= {name}

    def enable_model(self, name: str) -> None:
        """Have a disabled arm drawn again.

        Raises:
            UnknownModel: if there is no such arm.
        """
        with self._lock:
            self._decider.pool.set_available(name, None)
            self._disabled -= {name}

    def rest(self, arms: frozenset[str]) -> None:
        """Leave these arms out of decisions, where there are others, until told otherwise; none is back in use at once.

        Not part of the log: a decision's own action set says what was left out, and why.
        """
        with self._lock:
            self._decider.pool.rest(arms)

    def _apply(self, event: Event) -> None:
        with self._lock:
            self._learner.apply(event, self._log.append(event))

    # ---------------------------------------------------------------------------- budgets

    def budgets(self) -> list[BudgetReport]:
        """How each budget stands now: spent, reserved, left, when it resets, and what a dollar is worth."""
        with self._lock:
            return self._decider.pacer.report(time.time())

    def holding(self) -> FloorReport | None:
        """Whether the quality floor is held, as far as judgements prove; None where the objective is not a floor."""
        with self._lock:
            return self._decider.pacer.holding()

    def set_budget(self, budget: Budget | None = None, **settings: Any) -> Budget:
        """Set a budget while running: a new one, or a new amount for a known name, which keeps what it has spent.

        Takes a :class:`Budget`, or its fields: ``router.set_budget(usd=5.0, tenant="acme", hard_stop=True)``.

        Raises:
            BadInput: if it is out of range.
        """
        if budget is None:
            try:
                budget = Budget(**settings)
            except TypeError as error:
                raise BadInput(f"set_budget needs a Budget or its fields: {error}") from error
        elif settings or not isinstance(budget, Budget):
            raise BadInput(f"set_budget needs a Budget or its fields, got {budget!r:.80} and {settings!r:.80}")
        self._apply(BudgetChange(action="set", budget=budget, at=time.time()))
        return budget

    def remove_budget(self, name: str) -> None:
        """Take a budget out of force.

        Raises:
            UnknownName: if there is none of that name.
        """
        with self._lock:
            there = {budget.name: budget for budget in self._decider.pacer.budgets}
            if name not in there:
                raise UnknownName(unknown("budget", name, there))
            self._apply(BudgetChange(action="remove", budget=there[name], at=time.time()))

    # ---------------------------------------------------------------------------- rollout

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
        if self.registry is not None:
            self._watch = Watch(self.registry.history, self._follow, after=rollout.sequence)
            self._watch.look()
            self._watch.start()

    def _follow(self, change: RolloutChange) -> None:
        """Swap as the registry says. What is slow, the disk, is done before the lock is taken."""
        trained = self._learner.trained_for(change)
        with self._lock:
            if self._closed or change.sequence <= self._decider.rollout.sequence:
                return
            self._decider.check_rollout(change, trained)
            self._fetched = trained
            self._apply(change)

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

    # ---------------------------------------------------------------------------- state: the fold over the log

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
        if learned_to < getattr(self._log, "pruned_to", 0):
            logger.warning(
                "no snapshot fits this policy, and the log was pruned: it learns anew from the decisions that are left"
            )
        self._learner.replay(self._log.events(learned_to))
        for change in self._learner.proposals():  # the process ended before they were written
            self._apply(change)
        self._snapshot_at = learned_to

    def _reconcile(self, arms: list[Arm]) -> None:
        """Bring the pool of the log in line with the arms given at the start."""
        pool = self._decider.pool
        wanted = {arm.name: arm for arm in arms}
        for name in pool.names if wanted else ():
            if name not in wanted:
                self._remove(self.arm(name))
        for arm in arms:
            if arm.name not in pool or pool.arms[pool.slot(arm.name)] != arm:
                self.add_arm(arm)

    def _reconcile_budgets(self, budgets: Sequence[Budget]) -> None:
        """Bring the log in line with the objective's budgets, where those have changed; what calls did since stays."""
        wanted = {budget.name: budget for budget in budgets}
        declared = dict(self._decider.pacer.declared)
        for name, budget in declared.items():
            if name not in wanted:
                self._apply(BudgetChange(action="remove", budget=budget, at=time.time(), declared=True))
        for name, budget in wanted.items():
            if declared.get(name) != budget:
                self._apply(BudgetChange(action="set", budget=budget, at=time.time(), declared=True))

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

    # ---------------------------------------------------------------------------- durability

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


def _pool(models: Iterable[Model], arms: Iterable[Arm]) -> list[Arm]:
    """The arms of a pool, priced.

    Raises:
        BadInput: on a duplicate name or a model without a price.
    """
    pool = [Arm.of(_priced(model)) for model in models]
    pool += [replace(arm, models=tuple(map(_priced, arm.models))) for arm in arms]
    names = [arm.name for arm in pool]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"duplicate arm {', '.join(map(repr, twice))}; every arm needs its own name")
    return pool


def _priced(model: Model) -> Model:
    """The model with its list prices filled in where it gives none."""
    if model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        return model
    input_price, output_price = price(model.upstream or model.name)
    return replace(
        model,
        input_usd_per_mtok=input_price if model.input_usd_per_mtok is None else model.input_usd_per_mtok,
        output_usd_per_mtok=output_price if model.output_usd_per_mtok is None else model.output_usd_per_mtok,
    )


def _check_prices(config: RouterConfig, source: str) -> None:
    """Raise ConfigError if an enabled model has no price, naming each by its path in the file."""
    lines = []
    for i, settings in enumerate(config.models):
        try:
            if settings.enabled:
                _priced(settings.record())
        except BadInput as error:
            lines.append(f"{source}models[{i}]: {error}")
    if lines:
        raise ConfigError("\n".join(lines))


def _typical_usd(pool: Iterable[Arm]) -> float:
    """What the dearest arm asks for a typical request: the cost of reference where the objective gives none."""
    prices = [usd_per_token(arm) for arm in pool]
    typical = (_TYPICAL_INPUT_TOKENS * input_ + _TYPICAL_OUTPUT_TOKENS * output for input_, output in prices)
    return max(typical, default=0.0) or 1e-3


def _policy_version(settings: Mapping[str, Any]) -> str:
    """Short name of a policy and its parameters."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    return f"{settings['name']}-{digest[:8]}"
