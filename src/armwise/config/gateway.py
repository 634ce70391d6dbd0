"""The gateway: who may use it, and how much of it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from armwise.config.base import Positive, PositiveInt, Settings

_KEY = re.compile(r"sha256:[0-9a-f]{64}|env:[A-Za-z_][A-Za-z0-9_]*")
Level = Literal["public", "internal", "confidential", "restricted"]


def _check_key(value: str) -> str:
    if not _KEY.fullmatch(value):  # what came may be a key in the clear: it is not repeated
        raise ValueError("must be 'sha256:<64 hex digits>' (armwise key makes one) or 'env:NAME'; never the key itself")
    return value


Key = Annotated[str, AfterValidator(_check_key)]


class TenantSettings(Settings):
    """One tenant: its keys, its limits, and where its requests may go."""

    name: Annotated[str, Field(min_length=1)]
    keys: Annotated[list[Key], Field(min_length=1)]
    requests_per_minute: Positive | None = None
    burst: PositiveInt | None = None
    """Requests that may come at once; by default what a sixth of a minute allows."""
    max_in_flight: PositiveInt | None = None
    arms: frozenset[str] | None = None
    """Arms that its requests may use; ``None`` is all."""
    residency: frozenset[str] | None = None
    """Regions that its requests may be sent to; ``None`` is anywhere."""
    sensitivity: Level = "public"
    """Of its requests, unless they say or show more."""
    may_lower_sensitivity: bool = False
    """Whether a label of the caller may overrule what the detector found."""


class GatewaySettings(Settings):
    """How ``armwise serve`` listens and whom it answers.

    Without tenants everyone who can reach it is answered; it then listens on loopback only, unless ``open`` says
    otherwise.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    tenants: list[TenantSettings] = Field(default_factory=list)
    admin_keys: list[Key] = Field(default_factory=list)
    open: bool = False
    aliases: dict[str, str] = Field(default_factory=dict)
    """Model name that clients send -> the name that is meant, such as ``armwise/auto``."""
    max_body_bytes: PositiveInt = 20_000_000
    body_timeout_s: Positive = 30.0
    """How long a client may take to send its request."""
    write_timeout_s: Positive = 60.0
    """How long a client may leave a piece of the answer unread."""
    request_timeout_s: Positive = 300.0
    max_in_flight: PositiveInt = 1_000
    """Requests answered at the same time; more are told to come back."""
    durable_within_s: Positive = 5.0
    """How long an answer waits for its decision to be on disk. After that it is delivered, and counted as such."""
    shutdown_s: Positive = 60.0
    """How long requests under way may take to finish when the gateway is stopped."""
    public_metrics: bool = False
    """Whether ``/metrics`` needs no key where there are keys."""

    @model_validator(mode="after")
    def _sound(self) -> GatewaySettings:
        names = [tenant.name for tenant in self.tenants]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"tenants: duplicate name {', '.join(map(repr, twice))}; every tenant needs its own")
        keys = [key for tenant in self.tenants for key in tenant.keys] + list(self.admin_keys)
        if len(set(keys)) < len(keys):
            raise ValueError("tenants: a key is given twice; a key belongs to one tenant, or to the admin")
        return self
