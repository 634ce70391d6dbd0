"""What is asked, and what an encoder makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from armwise.contracts.arms import check_sensitivity
from armwise.contracts.values import Vector, check_number
from armwise.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the application asks, and what it requires of the answer.

    Messages are OpenAI chat messages. ``vector`` skips the encoder: a ready context of finite float64 values whose
    length is the router's. ``features`` are the caller's own, numeric or categorical. The trade of one request
    (``cost_weight``, ``latency_weight``) overrides the router's objective, and nothing is relearned for it;
    ``max_cost_usd`` and ``max_latency_ms`` are hard limits on the *predicted* cost and latency.

    Raises:
        BadInput: on values of the wrong type or range.
    """

    messages: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    response_format: Mapping[str, Any] | None = None
    max_output_tokens: int | None = None
    task: str | None = None
    features: Mapping[str, float | str | bool] = field(default_factory=dict)
    vector: Vector | None = None
    input_tokens: int | None = None
    tenant: str | None = None
    session: str | None = None
    cost_weight: float | None = None
    latency_weight: float | None = None
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    residency: frozenset[str] | None = None
    """Regions that the request may be sent to; ``None`` is anywhere."""
    sensitivity: str = "public"
    screened: bool = False
    """Whether ``sensitivity`` is settled: a router that searches requests for personal data leaves this one alone."""
    modalities: frozenset[str] = frozenset({"text"})
    """Modalities needed beyond what the messages show."""
    arms: frozenset[str] | None = None
    """Arms the caller allows; ``None`` is all of them."""
    narrowed_by: tuple[str, ...] = ()
    """The rules and routes that took part in ``arms``, for the reasons given."""
    route: str | None = None
    """The model asked for: a route (``armwise/code``), or the name of an arm; ``None`` is ``armwise/auto``."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("messages", "tools"):
            value = getattr(self, name)
            if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
                raise BadInput(f"Request.{name} must be a list of objects, got {type(value).__name__}")
            for i, item in enumerate(value):
                if not isinstance(item, Mapping):
                    raise BadInput(f"Request.{name}[{i}] must be an object, got {type(item).__name__} {item!r:.80}")
        for name in (
            "max_output_tokens",
            "input_tokens",
            "cost_weight",
            "latency_weight",
            "max_cost_usd",
            "max_latency_ms",
        ):
            if getattr(self, name) is not None:
                check_number("Request", name, getattr(self, name))
        check_sensitivity("Request.sensitivity", self.sensitivity)
        for name in ("residency", "arms", "modalities"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise BadInput(f"Request.{name} must be a collection of names, got the string {value!r}")
            if value is not None and not isinstance(value, frozenset):
                object.__setattr__(self, name, frozenset(value))
        if self.features:
            for key, feature in self.features.items():
                if not isinstance(feature, (str, bool)):
                    check_number("Request", f"features[{key!r}]", feature, -math.inf)

    @classmethod
    def from_text(cls, text: str, **kwargs: Any) -> Request:
        """A request of one user message.

        Raises:
            BadInput: if ``text`` is not a string.
        """
        if not isinstance(text, str):
            raise BadInput(f"Request.from_text needs a string, got {type(text).__name__}")
        return cls(messages=({"role": "user", "content": text},), **kwargs)


class Context(NamedTuple):
    """The features of a request: what an encoder makes of it, and all that a policy sees.

    ``vector`` has shape (dimension,), finite, and is exactly representable in float32, so that the log can keep it
    in half the space and still replay it bit for bit.
    """

    vector: Vector
    task: str
    input_tokens: int
    tools: bool = False
    modalities: frozenset[str] = frozenset({"text"})
