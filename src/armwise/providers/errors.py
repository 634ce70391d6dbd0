"""What an upstream model can do wrong.

    ProviderError
    ├── ConnectFailed     no connection, or it broke before an answer began
    ├── Timeout           connected, but silent for too long
    │   └── DeadlineExceeded   the caller's own deadline; says nothing about the provider
    ├── RateLimited       HTTP 429; says when to come back, where the provider does
    ├── ServerFault       HTTP 5xx, or an error in the middle of a stream
    ├── BadResponse       HTTP 200, but not an answer
    │   └── CutShort      the answer ended in the middle; carries what was received
    ├── AuthFailed        HTTP 401 or 403: the key of this deployment is not good
    ├── Rejected          HTTP 4xx: this model does not take this request; another might
    │   └── Refused       the provider's content filter blocked the request
    └── Unavailable       every deployment is cooling down; nothing was sent

No message and no representation ever holds a key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from armwise.contracts import Attempt
from armwise.errors import ProviderError


class UpstreamError(ProviderError):
    """Common to all of the tree.

    Attributes:
        attempts: every upstream call made, the failed last one included.
        received: what came of the answer before it failed, as a chat completion; None where nothing did.
        http_status: of the provider, where it gave one.
        sent: whether the request may have reached the provider, which then may charge for it.
        retry_after_s: when the provider, or the circuit breaker, allows another call.
    """

    retryable: ClassVar[bool] = True
    """Whether the same request may succeed at the same model."""
    blames: ClassVar[bool] = True
    """Whether it counts against the deployment's health."""
    of_content: ClassVar[bool] = False
    """Whether the answer itself was at fault, and not the way to it."""
    label: ClassVar[str] = "failed"

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        received: Mapping[str, Any] | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after_s = retry_after_s
        self.received = received
        self.sent = sent
        self.attempts: tuple[Attempt, ...] = ()
        self.detail = message
        """What went wrong, without where."""

    named: ClassVar[bool] = False
    """Whether the label says more than the HTTP status."""

    @property
    def attempt_status(self) -> str:
        """The status of an :class:`~armwise.contracts.Attempt` that ended so."""
        return self.label if self.named or self.http_status is None else f"http_{self.http_status}"


class ConnectFailed(UpstreamError):
    """No connection, or one that broke before an answer began."""

    label = "connect_failed"


class Timeout(UpstreamError):
    """Silent for too long."""

    status = 504
    label = "timeout"
    named = True


class DeadlineExceeded(Timeout):
    """The caller's deadline came first."""

    retryable = False
    blames = False
    label = "deadline"


class RateLimited(UpstreamError):
    """Too many requests for this deployment."""

    status = 429
    blames = False
    label = "rate_limited"
    named = True


class ServerFault(UpstreamError):
    """The provider failed."""

    label = "server_fault"


class BadResponse(UpstreamError):
    """HTTP 200, but not an answer in the provider's own format."""

    of_content = True
    label = "bad_response"


class CutShort(BadResponse):
    """The answer ended in the middle."""

    of_content = False
    label = "cut_short"


class AuthFailed(UpstreamError):
    """The key of this deployment is not accepted."""

    retryable = False
    label = "auth_failed"
    named = True


class Rejected(UpstreamError):
    """This model does not take this request: too long, a parameter it lacks, a name it does not know."""

    status = 400
    retryable = False
    blames = False
    of_content = True
    label = "rejected"


class Refused(Rejected):
    """The provider's content filter blocked the request."""

    label = "refused"
    named = True


class Unavailable(UpstreamError):
    """Every deployment of the model is cooling down; nothing was sent."""

    status = 503
    retryable = False
    blames = False
    label = "unavailable"


def from_status(
    status: int, message: str, *, retry_after_s: float | None = None, codes: Sequence[str] = ()
) -> UpstreamError:
    """The error for an HTTP status that is not a success. ``codes`` are what the provider calls it."""
    said = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (401, 403):
        return AuthFailed(said, http_status=status)
    if status == 408:
        return Timeout(said, http_status=status)
    if status == 429:
        if "insufficient_quota" in codes:
            retry_after_s = max(60.0, retry_after_s or 0.0)
        return RateLimited(said, http_status=status, retry_after_s=retry_after_s)
    if status >= 500 or status in (409, 425):
        return ServerFault(said, http_status=status, retry_after_s=retry_after_s)
    if {"content_filter", "content_policy_violation"} & set(codes):
        return Refused(said, http_status=status)
    if status < 400:
        return BadResponse(f"{said} where an answer was due", http_status=status)
    return Rejected(said, http_status=status)
