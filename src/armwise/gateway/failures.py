"""Errors as clients of the OpenAI API expect them. The one place where an error becomes a status and a body."""

from __future__ import annotations

import math
from typing import Any

from armwise.errors import (
    ArmwiseError,
    BadInput,
    BudgetExhausted,
    CallerError,
    NoAnswer,
    NoEligibleArm,
    NotAuthorised,
    TooManySignals,
    UnknownDecision,
    UnknownModel,
)
from armwise.gateway.keys import Forbidden
from armwise.gateway.limits import Overloaded, TooManyRequests
from armwise.gateway.reading import TooLarge, TooSlow
from armwise.orchestration.fallback import said

_NAMES: tuple[tuple[type[ArmwiseError], str, str], ...] = (
    (NotAuthorised, "authentication_error", "invalid_api_key"),
    (Forbidden, "permission_error", "permission_denied"),
    (UnknownModel, "invalid_request_error", "model_not_found"),
    (UnknownDecision, "invalid_request_error", "decision_not_found"),
    (NoEligibleArm, "invalid_request_error", "no_eligible_arm"),
    (BudgetExhausted, "insufficient_quota", "insufficient_quota"),
    (TooManyRequests, "rate_limit_error", "rate_limit_exceeded"),
    (TooManySignals, "rate_limit_error", "rate_limit_exceeded"),
    (TooLarge, "invalid_request_error", "body_too_large"),
    (TooSlow, "invalid_request_error", "request_timeout"),
    (BadInput, "invalid_request_error", "invalid_request"),
    (CallerError, "invalid_request_error", "invalid_request"),
    (Overloaded, "server_error", "overloaded"),
)


def status_of(error: Exception) -> int:
    """The HTTP status by which an error is answered."""
    return error.status if isinstance(error, ArmwiseError) else 500


def code_of(error: Exception) -> str:
    """The short name of an error, for clients, logs and metrics."""
    return _names(error)[1]


def _names(error: Exception) -> tuple[str, str]:
    if isinstance(error, NoAnswer):
        if error.status == 400:
            return "invalid_request_error", "rejected_upstream"
        return ("rate_limit_error", "rate_limited_upstream") if error.status == 429 else ("server_error", "no_answer")
    return next(((kind, code) for cls, kind, code in _NAMES if isinstance(error, cls)), ("server_error", "internal"))


def error_body(error: Exception, *, request_id: str, begun: bool = False) -> dict[str, Any]:
    """The body; of an answer that had ``begun``, what ends it. What is not the caller's fault is told without
    particulars of the inside."""
    kind, code = _names(error)
    message = _message(error, request_id)
    if begun and isinstance(error, NoAnswer):
        message = f"the answer broke off and nothing could go on with it; what came of it is not whole ({message})"
    data: dict[str, Any] = {"message": message, "type": kind, "param": None, "code": code}
    if isinstance(error, UnknownModel):
        data["param"] = "model"
    body: dict[str, Any] = {"error": data}
    if isinstance(error, NoAnswer):
        body["armwise"] = {"decision_id": error.decision_id, "arm": error.arm, "gave_up": dict(error.gave_up)}
    elif isinstance(error, NoEligibleArm):
        body["armwise"] = {"excluded": error.excluded}
    return body


def _message(error: Exception, request_id: str) -> str:
    if isinstance(error, NoAnswer) and error.status != 400:
        return f"no model could answer: {said(error.gave_up)}" if error.gave_up else "no model could answer"
    if isinstance(error, NoAnswer):  # what it said is about the request; where it was is not the client's business
        return f"no model takes this request: {said(error.gave_up)} (the last one said: {error.detail})"
    if isinstance(error, (CallerError, Overloaded)):
        return str(error)
    return f"something went wrong in the gateway; its log has the details under request {request_id}"


def retry_after(error: Exception) -> dict[str, str]:
    """The header that says when to come back, if there is a time for it."""
    seconds = getattr(error, "retry_after_s", None)
    if seconds is None or not math.isfinite(seconds):
        return {}
    return {"retry-after": str(max(1, math.ceil(seconds))), "retry-after-ms": str(max(1, math.ceil(seconds * 1e3)))}
