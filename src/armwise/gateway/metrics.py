"""Prometheus metrics: what was asked, what answered, what it cost, and how the log fares."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from armwise.gateway.durability import Durability
from armwise.gateway.exchange import Exchange
from armwise.gateway.failures import code_of
from armwise.gateway.limits import Limits
from armwise.router import Router

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """Counts exchanges, and reads the rest when asked. Labels come from the configuration, never from clients."""

    def __init__(self, router: Router, limits: Limits, durability: Durability) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Readings(router, limits, durability))

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        self._requests = counter("armwise_requests", "Requests by how they were answered", ("endpoint", "status"))
        self._errors = counter("armwise_errors", "Requests that were not answered, by why", ("endpoint", "code"))
        self._answers = counter(
            "armwise_answers", "Answers by arm, and whether it was fallen back to", ("arm", "fell_back")
        )
        self._resumed = counter("armwise_streams_resumed", "Streams that broke and were gone on with", ("how",))
        self._cost = counter("armwise_cost_usd", "Billed cost in USD", ("arm", "tenant"))
        self._attempts = counter("armwise_attempts", "Upstream calls by how they ended", ("model", "status"))
        self._tokens = counter("armwise_tokens", "Tokens billed", ("model", "kind"))
        self._duration = Histogram(
            "armwise_request_duration_seconds",
            "From the first byte of a request to the last of its answer",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._overhead = Histogram(
            "armwise_overhead_seconds",
            "What a request took beside its upstream calls",
            buckets=_SECONDS[:10],
            registry=self.registry,
        )
        self._first = Histogram(
            "armwise_time_to_first_byte_seconds",
            "From the first byte of a request to the first of its streamed answer",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._upstream = Histogram(
            "armwise_attempt_duration_seconds",
            "Of upstream calls",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def observe(self, exchange: Exchange) -> None:
        """Count an exchange that is over."""
        endpoint = exchange.endpoint
        status = exchange.status or getattr(exchange.error, "status", 499)
        self._requests.labels(endpoint, str(status)).inc()
        if exchange.error is not None:
            self._errors.labels(endpoint, code_of(exchange.error)).inc()
        if exchange.decision is None:
            return
        elapsed = exchange.elapsed_s
        self._duration.labels(endpoint).observe(elapsed)
        arm = exchange.arm or exchange.decision.arm
        if exchange.answer is not None:
            self._answers.labels(arm, "yes" if exchange.answer.fell_back else "no").inc()
            for resumption in exchange.answer.resumed:
                self._resumed.labels(resumption.how).inc()
        self._cost.labels(arm, exchange.caller.name or "").inc(exchange.cost_usd)
        upstream = 0.0
        for attempt in exchange.attempts:
            self._attempts.labels(attempt.model, attempt.status).inc()
            self._upstream.labels(attempt.model).observe(attempt.latency_ms / 1e3)
            upstream += attempt.latency_ms / 1e3
            self._tokens.labels(attempt.model, "input").inc(attempt.input_tokens or 0)
            self._tokens.labels(attempt.model, "output").inc(attempt.output_tokens or 0)
        if len(exchange.attempts) == 1:  # calls of an ensemble run side by side, and retries wait
            self._overhead.observe(max(0.0, elapsed - upstream))
        if exchange.streamed and exchange.first_byte_s is not None:
            self._first.observe(exchange.first_byte_s)

    async def show(self, exchange: Exchange) -> None:
        """``GET /metrics``."""
        await exchange.whole(200, generate_latest(self.registry), {}, CONTENT_TYPE_LATEST)


class _Readings(Collector):
    """What is not counted by exchange, but read when Prometheus asks."""

    def __init__(self, router: Router, limits: Limits, durability: Durability) -> None:
        self._router = router
        self._limits = limits
        self._durability = durability

    def collect(self) -> Iterator[Metric]:
        """The readings of this moment."""
        router, log = self._router, self._router.log_health
        yield _gauge("armwise_in_flight", "Requests under way", self._limits.in_flight)
        yield _gauge("armwise_log_healthy", "Whether the log can be written", float(log.ok))
        yield _gauge("armwise_log_published", "Whether the log can be published", float(log.publish_error is None))
        yield _gauge("armwise_log_position", "Events in the log", log.position)
        yield _gauge("armwise_log_queued", "Events that are not on disk yet", log.queued)
        yield _gauge("armwise_log_lost", "Events that could not be kept", log.lost)
        yield CounterMetricFamily(
            "armwise_not_durable", "Answers delivered before their decision was on disk", value=self._durability.missed
        )
        arms = GaugeMetricFamily("armwise_arm_in_use", "Arms of the pool: 1 in use, 0 disabled", labels=("arm",))
        disabled = router.disabled
        for name in router.arms:
            arms.add_metric((name,), 0.0 if name in disabled else 1.0)
        yield arms
        health = GaugeMetricFamily("armwise_model_healthy", "0 while a model's provider cools down", labels=("model",))
        cooling = router.orchestrator.client.cooling()
        pooled = {model.name for arm in router.pool() for model in arm.models}
        for model in router.orchestrator.client.models:
            if model.name not in pooled:
                continue  # it left the pool; its connections outlive it
            health.add_metric((model.name,), 0.0 if model.name in cooling else 1.0)
        yield health
        yield from _budgets(router)
        yield from _policies(router)
        feedback = CounterMetricFamily("armwise_feedback", "Signals by what became of them", labels=("outcome",))
        for outcome, count in router.feedback.as_dict().items():
            feedback.add_metric((outcome,), count)
        yield feedback
        yield from judged(router)


def judged(router: Router) -> Iterator[Metric]:
    """Which sources of feedback may train, and the numbers of the judges, where there are any."""
    trusted = GaugeMetricFamily(
        "armwise_source_training", "0 while a source of feedback is kept from training", labels=("source",)
    )
    for source, standing in router.sources().items():
        if not router.is_client(source):  # of whom there may be any number
            trusted.add_metric((source,), float(standing.training))
    yield trusted
    if router.judging is not None:
        numbers = GaugeMetricFamily("armwise_judging", "Numbers of the judges since the start", labels=("what",))
        for what, value in router.judging.as_dict().items():
            numbers.add_metric((what,), value)
        yield numbers


def _budgets(router: Router) -> Iterator[Metric]:
    spent = GaugeMetricFamily("armwise_budget_spent_usd", "Billed, reserved and estimated", labels=("budget", "tenant"))
    whole = GaugeMetricFamily("armwise_budget_usd", "The amount of a budget", labels=("budget", "tenant"))
    left = GaugeMetricFamily("armwise_budget_left_usd", "What is left of a budget", labels=("budget", "tenant"))
    for report in router.budgets():
        labels = (report.name, report.tenant or "")
        spent.add_metric(labels, report.spent_usd)
        whole.add_metric(labels, report.usd)
        left.add_metric(labels, report.usd - report.spent_usd)
    yield spent
    yield whole
    yield left


def _policies(router: Router) -> Iterator[Metric]:
    """Which policy versions are in force, and the share of each draw that they have: the canary's, and the rest."""
    told = router.rollout()
    trial = told["trial"]
    shares = GaugeMetricFamily(
        "armwise_policy_share",
        "Share of each draw that a policy version has; 0 for one that only watches",
        labels=("version", "role"),
    )
    share = trial["share"] if trial is not None else 0.0
    shares.add_metric((told["serving"], "serving"), 1.0 - share)
    if trial is not None:
        shares.add_metric((trial["version"], trial["stage"]), share)
    yield shares
    yield _gauge("armwise_rollout_changes", "Changes of the rollout that the registry has made", told["change"])


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
