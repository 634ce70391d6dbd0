"""OpenTelemetry spans by the gen_ai conventions: one per request, and one inside it per upstream call.

Needs the API alone; without an SDK that is set up, nothing is recorded and next to nothing is done. Spans are made when
the request is over, with the times it had. They hold no prompt and no answer.
"""

from __future__ import annotations

import time

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from armwise.contracts import Attempt
from armwise.gateway.exchange import Exchange
from armwise.gateway.failures import code_of
from armwise.router import Router

_OPERATION = {"chat": "chat", "responses": "chat", "embeddings": "embeddings"}
_PROVIDER = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini"}


class Tracing:
    """Makes spans of exchanges.

    Args:
        router: tells the provider of a model.
        provider: of tracers; by default the one that the application has set.
    """

    def __init__(self, router: Router, provider: TracerProvider | None = None) -> None:
        self._router = router
        self._tracer = trace.get_tracer("armwise", tracer_provider=provider)

    def observe(self, exchange: Exchange) -> None:
        """Make the spans of an exchange that is over; it continues the trace of its client, if that sent one."""
        operation = _OPERATION.get(exchange.endpoint)
        if operation is None:
            return
        now = time.time_ns()
        began = now - int(exchange.elapsed_s * 1e9)
        span = self._tracer.start_span(
            f"{operation} {exchange.arm or 'armwise'}",
            context=extract(exchange.headers),
            kind=SpanKind.SERVER,
            start_time=began,
        )
        if span.is_recording():
            span.set_attribute("gen_ai.operation.name", operation)
            span.set_attribute("gen_ai.provider.name", "armwise")
            span.set_attribute("http.response.status_code", exchange.status or 499)
            decision, answer = exchange.decision, exchange.answer
            if decision is not None:
                span.set_attributes(
                    {
                        "armwise.decision.id": decision.id,
                        "armwise.arm": exchange.arm or "",
                        "armwise.arm.drawn": decision.arm,
                        "armwise.propensity": decision.propensity,
                        "armwise.policy.version": decision.policy_version,
                        "armwise.cost_usd": exchange.cost_usd,
                        "armwise.task": decision.context.task,
                    }
                )
                if decision.session is not None:
                    span.set_attribute("gen_ai.conversation.id", decision.session)
            if answer is not None:
                span.set_attribute("gen_ai.response.model", answer.model)
                span.set_attribute("gen_ai.usage.input_tokens", answer.usage.input_tokens)
                span.set_attribute("gen_ai.usage.output_tokens", answer.usage.output_tokens)
                if answer.finish_reason is not None:
                    span.set_attribute("gen_ai.response.finish_reasons", [answer.finish_reason])
            if exchange.error is not None:
                span.set_attribute("error.type", code_of(exchange.error))
                span.set_status(Status(StatusCode.ERROR, code_of(exchange.error)))
            inside = trace.set_span_in_context(span)
            for attempt in exchange.attempts:
                self._attempt(attempt, operation, inside)
        span.end(now)

    def _attempt(self, attempt: Attempt, operation: str, inside: Context) -> None:
        start = int(attempt.at * 1e9)
        span = self._tracer.start_span(
            f"{operation} {attempt.model}", context=inside, kind=SpanKind.CLIENT, start_time=start
        )
        provider = next(
            (model.provider for model in self._router.orchestrator.client.models if model.name == attempt.model), ""
        )
        span.set_attributes(
            {
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": _PROVIDER.get(provider, provider),
                "gen_ai.request.model": attempt.model,
                "armwise.decision.id": attempt.decision_id,
                "armwise.attempt": attempt.attempt,
            }
        )
        if attempt.input_tokens is not None:
            span.set_attribute("gen_ai.usage.input_tokens", attempt.input_tokens)
        if attempt.output_tokens is not None:
            span.set_attribute("gen_ai.usage.output_tokens", attempt.output_tokens)
        if attempt.cost_usd is not None:
            span.set_attribute("armwise.cost_usd", attempt.cost_usd)
        if attempt.status != "ok":
            span.set_attribute("error.type", attempt.status)
            span.set_status(Status(StatusCode.ERROR, attempt.status))
        span.end(start + int(attempt.latency_ms * 1e6))
