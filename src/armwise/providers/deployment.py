"""One place where a model can be called: a base URL, a key, a region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from armwise.contracts import Model
from armwise.errors import ConfigError, unknown
from armwise.providers.anthropic import Anthropic
from armwise.providers.gemini import Gemini
from armwise.providers.openai import OpenAI
from armwise.providers.secret import Secret
from armwise.providers.wire import WireFormat

FORMATS: dict[str, WireFormat] = {"openai": OpenAI(), "anthropic": Anthropic(), "gemini": Gemini()}
"""Wire format by the name that a model's ``provider`` gives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """Where and with what key a model is called.

    ``residency`` must be the model's own: a deployment elsewhere would break a promise made about the model.

    Raises:
        ConfigError: on a base URL that is not http(s), or that holds credentials or a query.
    """

    model: str
    base_url: str | None = None
    """The wire format's own where None."""
    api_key: Secret | None = field(default=None, repr=False)
    residency: str | None = None
    upstream: str | None = None
    """The provider's name of the model at this place, where it is not the model's ``upstream``."""
    weight: float = 1.0
    """Share of the load relative to the other deployments of the model."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with each request; may hold secrets, so they are not shown."""
    label: str = ""
    """Its name in errors; the host of the base URL where empty."""

    def __post_init__(self) -> None:
        owner = f"deployment of {self.model!r}"
        if not 0 < self.weight < float("inf"):
            raise ConfigError(f"{owner}: weight must be over 0 and finite, got {self.weight!r}")
        for name, value in self.headers.items():
            if not f"{name}{value}".isprintable() or not f"{name}{value}".isascii():
                raise ConfigError(f"{owner}: header {name!r} holds a character that a header cannot hold")
        if self.base_url is None:
            return
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{owner}: base_url must begin with http:// or https:// and name a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError(f"{owner}: base_url must hold no user, query or fragment; keys go into api_key")

    @property
    def name(self) -> str:
        """How it is called in errors."""
        return self.label or urlsplit(self.base_url or "").netloc or "default"


def format_of(model: Model) -> WireFormat:
    """The wire format that a model speaks.

    Raises:
        ConfigError: if there is none of that name.
    """
    if model.provider not in FORMATS:
        raise ConfigError(f"model {model.name!r}: {unknown('provider', model.provider, FORMATS)}")
    return FORMATS[model.provider]


def deployment_of(model: Model, keys: Mapping[str, str]) -> Deployment:
    """The deployment that a model's own record describes.

    Args:
        model: whose base_url and api_key_env are taken.
        keys: name -> key, usually ``os.environ``.

    Raises:
        ConfigError: if it names a key that is not there.
    """
    secret = None
    if model.api_key_env is not None:
        value = keys.get(model.api_key_env)
        if not value:
            raise ConfigError(f"model {model.name!r} needs the key {model.api_key_env}, which is not set")
        secret = Secret(value, name=model.api_key_env)
    return Deployment(model=model.name, base_url=model.base_url, api_key=secret, residency=model.residency)
