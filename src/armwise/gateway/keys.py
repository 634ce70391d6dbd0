"""Who is asking: keys are known by their SHA-256 alone, and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from armwise.config.gateway import GatewaySettings, TenantSettings
from armwise.errors import CallerError, ConfigError, NotAuthorised

_PREFIX = "aw-"


class Forbidden(CallerError):
    """A good key, but not of the kind that the route needs."""

    status = 403


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks."""

    tenant: TenantSettings | None = None
    """None where the gateway has no tenants, and for an admin."""
    admin: bool = False
    key_id: str = "open"
    """The first digits of the key's digest: tells keys apart in logs, and gives none away."""

    @property
    def name(self) -> str | None:
        """Of the tenant."""
        return self.tenant.name if self.tenant is not None else None


class Keyring:
    """The keys that are accepted.

    Args:
        settings: tenants and admin keys, as digests or by the name of a variable.
        environment: where the variables are.

    Raises:
        ConfigError: on a variable that is not set, or two tenants of one key.
    """

    def __init__(self, settings: GatewaySettings, environment: Mapping[str, str]) -> None:
        self._callers: dict[bytes, Caller] = {}
        for i, tenant in enumerate(settings.tenants):
            for j, key in enumerate(tenant.keys):
                self._add(key, environment, f"gateway.tenants[{i}].keys[{j}]", tenant)
        for j, key in enumerate(settings.admin_keys):
            self._add(key, environment, f"gateway.admin_keys[{j}]", None)
        self.open = not settings.tenants
        """Whether requests need no key."""
        self.guarded = bool(self._callers)
        """Whether there is any key at all; without one, everyone is the admin."""

    def _add(self, key: str, environment: Mapping[str, str], where: str, tenant: TenantSettings | None) -> None:
        kind, _, value = key.partition(":")
        if kind == "env":
            if not environment.get(value):
                raise ConfigError(f"{where}: the environment has no {value}")
            digest = hashlib.sha256(environment[value].encode()).digest()
        else:
            digest = bytes.fromhex(value)
        if digest in self._callers:
            raise ConfigError(f"{where}: this key is given twice; a key belongs to one tenant, or to the admin")
        self._callers[digest] = Caller(tenant=tenant, admin=tenant is None, key_id=digest.hex()[:8])

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Whose key came, in ``Authorization: Bearer`` or ``x-api-key``.

        Raises:
            NotAuthorised: if none came, or one that is not known. The message does not repeat it.
        """
        key = _presented(headers)
        if self.open and (key is None or not self.guarded):
            return Caller(admin=not self.guarded)
        if key is None:
            raise NotAuthorised("no API key came; send it as 'Authorization: Bearer KEY'")
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).digest()
        found = None
        for known, caller in self._callers.items():  # all of them, so that the time taken tells nothing
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            if self.open:
                return Caller()
            raise NotAuthorised("the API key is not known here")
        return found

    def admin(self, headers: Mapping[str, str]) -> Caller:
        """The caller, who must hold an admin key where there are keys.

        Raises:
            NotAuthorised: if no good key came.
            Forbidden: if it is not an admin's.
        """
        caller = self.caller(headers)
        if not caller.admin:
            raise Forbidden("this route needs an admin key")
        return caller


def _presented(headers: Mapping[str, str]) -> str | None:
    given = headers.get("authorization")
    if given is not None:
        scheme, _, key = given.partition(" ")
        return key.strip() or None if scheme.lower() == "bearer" else None
    return headers.get("x-api-key") or None


def new_key() -> tuple[str, str]:
    """A fresh key, and what to write of it into a configuration."""
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
