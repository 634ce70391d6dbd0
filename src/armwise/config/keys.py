"""Which keys a configuration names that the environment lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from armwise.config.router import RouterConfig

Owner = Literal["model", "judge", "tenant", "admin"]
_VARIABLE = "env:"


@dataclass(frozen=True, kw_only=True)
class MissingKey:
    """A key that is named and absent.

    Attributes:
        owner: whose it is: without a model's nothing can be routed, without a tenant's the gateway does not start.
        where: its path in the configuration.
        variable: of the environment.
    """

    owner: Owner
    where: str
    variable: str

    def __str__(self) -> str:
        return f"{self.where}: the environment has no {self.variable}"


def missing_keys(config: RouterConfig, env: Mapping[str, str]) -> list[MissingKey]:
    """Every key that a configuration names and the environment lacks."""
    return [key for key in _named(config) if key.variable and not env.get(key.variable)]


def _named(config: RouterConfig) -> Iterator[MissingKey]:
    for i, model in enumerate(config.models):
        if model.enabled:
            yield MissingKey(owner="model", where=f"models[{i}].api_key_env", variable=model.api_key_env or "")
    for i, judge in enumerate(config.judging.judges):
        if judge.model is not None:
            where = f"judging.judges[{i}].model.api_key_env"
            yield MissingKey(owner="judge", where=where, variable=judge.model.api_key_env or "")
    for i, tenant in enumerate(config.gateway.tenants):
        for j, key in enumerate(tenant.keys):
            yield MissingKey(owner="tenant", where=f"gateway.tenants[{i}].keys[{j}]", variable=_variable(key))
    for i, key in enumerate(config.gateway.admin_keys):
        yield MissingKey(owner="admin", where=f"gateway.admin_keys[{i}]", variable=_variable(key))


def _variable(key: str) -> str:
    """The variable that a key names; "" where it is no name but a digest."""
    return key.removeprefix(_VARIABLE) if key.startswith(_VARIABLE) else ""
