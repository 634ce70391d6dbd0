"""Reading: YAML and ``ARMWISE_*`` variables, read once, checked whole.

Every complaint names the path in the file, what came, what is allowed, and the near miss if there is one; all are
reported at once. ``ARMWISE_LOG__PATH=x`` overrides ``log.path``, ``ARMWISE_MODELS__0__NAME`` the first model's name.
Nothing else on this floor or below reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from armwise.config.keys import missing_keys
from armwise.config.router import RouterConfig
from armwise.errors import BadInput, ConfigError, unknown

PREFIX = "ARMWISE_"
_RESERVED = frozenset({"DATA", "NODE", "PEERS"})
"""Variables with our prefix that are not settings."""


def load_config(path: str | Path, *, env: Mapping[str, str] | None = None, needs_keys: bool = True) -> RouterConfig:
    """Read a configuration file, with the overrides of the environment.

    Args:
        path: of the file.
        env: variables; by default those of the process.
        needs_keys: whether an absent key of a model is an error; :func:`missing_keys` names them all.

    Raises:
        ConfigError: naming every wrong setting by its path in the file.
    """
    env = os.environ if env is None else env
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    return parse_config(data, source=str(path), env=env, needs_keys=needs_keys)


def parse_config(
    data: Any, *, source: str = "config", env: Mapping[str, str] | None = None, needs_keys: bool = True
) -> RouterConfig:
    """Check settings already read.

    Raises:
        ConfigError: naming every wrong setting by its path.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: a config is a mapping with at least 'models', got {type(data).__name__}")
    env = env or {}
    data = deepcopy(data)
    _override(data, env)
    try:
        config = RouterConfig.model_validate(data)
    except ValidationError as error:
        lines = [complaint(item) for item in error.errors(include_url=False)]
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from None
    missing = [key for key in missing_keys(config, env) if key.owner == "model"]
    if missing and needs_keys:
        raise ConfigError("\n".join(f"{source}: {key}" for key in missing))
    return config


@contextmanager
def located(source: str | Path) -> Iterator[None]:
    """What is complained of in here is of the file ``source``, and says so."""
    try:
        yield
    except (BadInput, ConfigError) as error:
        raise ConfigError("\n".join(f"{source}: {line}" for line in str(error).splitlines())) from error


def _override(data: dict[str, Any], env: Mapping[str, str]) -> None:
    """Lay ``ARMWISE_A__0__B=value`` over ``data['a'][0]['b']``."""
    for name in sorted(env):
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX) in _RESERVED:
            continue
        path = name.removeprefix(PREFIX).lower().split("__")
        if path[0] not in RouterConfig.model_fields:
            raise ConfigError(f"{name}: {unknown('setting', path[0], RouterConfig.model_fields)}")
        if path[0] == "log" and len(path) > 1 and not isinstance(data.get("log", {}), dict):
            data["log"] = {"path": data["log"]}  # the short form
        at: Any = data
        try:
            for step in path[:-1]:
                at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
                if not isinstance(at, (dict, list)):
                    raise ConfigError(f"{name}: {step!r} holds {at!r}, which has no setting {path[-1]!r} inside")
            key = int(path[-1]) if isinstance(at, list) else path[-1]
            at[key] = yaml.safe_load(env[name])
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error
        except (ValueError, IndexError) as error:
            raise ConfigError(f"{name}: no such place in the file: {error}") from error


def complaint(item: Any, root: type[BaseModel] = RouterConfig) -> str:
    """One of pydantic's findings about a section in our words."""
    path = ""
    for step in item["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    came = item["input"]
    if item["type"] == "extra_forbidden":
        return f"{path}: {unknown('setting', item['loc'][-1], _allowed(root, item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"{path}: is missing"
    if item["type"] == "value_error":
        message = item["msg"].removeprefix("Value error, ")
        return f"{path}: {message}" if path else message
    allowed = item["msg"][0].lower() + item["msg"][1:]
    if any("key" in str(step) for step in item["loc"]):  # what came may be a key in the clear: it is not repeated
        return f"{path}: {allowed}, got {type(came).__name__}"
    return f"{path}: {allowed}, got {type(came).__name__} {came!r:.80}"


def _allowed(root: type[BaseModel], path: tuple[int | str, ...]) -> set[str]:
    """The settings there are at a path of a section."""
    sections: list[type[BaseModel]] = [root]
    for step in path:
        if isinstance(step, str):
            found = [section.model_fields[step].annotation for section in sections if step in section.model_fields]
            sections = [inner for annotation in found for inner in _sections_in(annotation)] or sections
    return {name for section in sections for name in section.model_fields}


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every section that an annotation mentions: ``list[ModelSettings] | None`` has one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
