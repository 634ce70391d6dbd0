"""Structured logs: one JSON object per line, without prompts, answers or keys."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

from armwise.gateway.exchange import Exchange
from armwise.gateway.failures import code_of

_QUIET = ("healthz", "readyz", "metrics")

access = logging.getLogger("armwise.gateway.access")


def journal(exchange: Exchange) -> None:
    """Write the line of an exchange. What failed is named by its code: a message may quote the client."""
    if exchange.endpoint in _QUIET or not access.isEnabledFor(logging.INFO):
        return
    access.info("request", extra={"fields": line_of(exchange)})


def line_of(exchange: Exchange) -> dict[str, Any]:
    """What is written of an exchange."""
    line: dict[str, Any] = {
        "request_id": exchange.id,
        "endpoint": exchange.endpoint,
        "status": exchange.status or (getattr(exchange.error, "status", None)),
        "duration_ms": round(exchange.elapsed_s * 1e3, 3),
        "tenant": exchange.caller.name,
        "key_id": exchange.caller.key_id,
    }
    if exchange.error is not None:
        line["error"] = code_of(exchange.error)
    decision, answer = exchange.decision, exchange.answer
    if decision is not None:
        line |= {
            "decision_id": decision.id,
            "arm": exchange.arm,
            "drawn": decision.arm,
            "propensity": decision.propensity,
            "streamed": exchange.streamed,
            "attempts": len(exchange.attempts),
            "cost_usd": exchange.cost_usd,
        }
    if answer is not None:
        line |= {
            "model": answer.model,
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
        }
        if answer.gave_up:
            line["gave_up"] = dict(answer.gave_up)
    return line


class JsonFormatter(logging.Formatter):
    """Log records as JSON. Tracebacks are left out of it: the values in them may be the client's."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= fields
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


def write_journal(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send armwise's and the server's log records to a stream, standard error by default, as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("armwise", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
