"""Typed settings: YAML and ``ARMWISE_*`` variables, read once, checked whole, frozen.

Every complaint names the path in the file, what came, what is allowed, and the near miss if there is one; all are
reported at once. ``ARMWISE_LOG__PATH=x`` overrides ``log.path``, ``ARMWISE_MODELS__0__NAME`` the first model's name.
Nothing below this file reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from armwise.contracts import Model
from armwise.errors import BadInput, ConfigError, unknown
from armwise.pacing import Objective
from armwise.policies import make_policy

PREFIX = "ARMWISE_"
_RESERVED = frozenset({"DATA"})
"""Variables with our prefix that are not settings."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Settings):
    """One model of the pool. Prices may be left out where genai-prices knows the model."""

    name: Annotated[str, Field(min_length=1)]
    input_usd_per_mtok: NonNegative | None = None
    output_usd_per_mtok: NonNegative | None = None
    context_window: Annotated[int, Field(gt=0)] | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    modalities: frozenset[str] = frozenset({"text"})
    tools: bool = True
    residency: str | None = None
    clearance: Literal["public", "internal", "confidential", "restricted"] = "public"
    latency_ms: Positive | None = None
    family: str | None = None
    quality_prior: Annotated[float, Field(ge=0, le=1)] | None = None
    provider: Literal["openai", "anthropic", "gemini"] = "openai"
    upstream: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    enabled: bool = True

    def record(self) -> Model:
        """The model as the router takes it."""
        return Model(**self.model_dump(exclude={"enabled"}))


class MaxQuality(_Settings):
    """The best quality whose billed cost stays at a budget."""

    spend_usd_per_request: Positive | None = None
    spend_usd_per_day: Positive | None = None
    latency_weight: NonNegative = 0.0


class MinCost(_Settings):
    """The lowest cost whose judged quality stays at a fraction of a reference arm's."""

    reference: str
    quality_fraction: Fraction = 0.95
    latency_weight: NonNegative = 0.0


class Tradeoff(_Settings):
    """Constant exchange rates."""

    cost_weight: NonNegative = 0.2
    latency_weight: NonNegative = 0.0
    cost_ref_usd: Positive | None = None
    latency_ref_ms: Positive = 1_000.0


class ObjectiveSettings(_Settings):
    """Exactly one of the three."""

    max_quality: MaxQuality | None = None
    min_cost: MinCost | None = None
    tradeoff: Tradeoff | None = None

    @model_validator(mode="after")
    def _one(self) -> ObjectiveSettings:
        given = self.model_fields_set
        if len(given) != 1:
            raise ValueError(
                f"takes exactly one of max_quality, min_cost, tradeoff; got {', '.join(sorted(given)) or 'none'}"
            )
        return self

    def record(self) -> Objective:
        """The objective as the router takes it."""
        if self.max_quality is not None:
            return Objective.max_quality(**self.max_quality.model_dump())
        if self.min_cost is not None:
            return Objective.min_cost(**self.min_cost.model_dump())
        return Objective.tradeoff(**(self.tradeoff or Tradeoff()).model_dump())


class LogSettings(_Settings):
    """Where decisions are kept."""

    path: str | None = "armwise.duckdb"
    snapshot_every: Annotated[int, Field(gt=0)] = 20_000


class RouterConfig(_Settings):
    """A whole configuration file."""

    models: Annotated[list[ModelSettings], Field(min_length=1)]
    objective: ObjectiveSettings = ObjectiveSettings(tradeoff=Tradeoff())
    policy: str | dict[str, Any] = "thompson"
    features: dict[str, Any] = Field(default_factory=dict)
    log: LogSettings = LogSettings()
    seed: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_log(cls, data: Any) -> Any:
        """``log: armwise.duckdb`` and ``log: null`` are short for ``log: {path: ...}``."""
        if isinstance(data, dict) and "log" in data and not isinstance(data["log"], dict):
            return {**data, "log": {"path": data["log"]}}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> RouterConfig:
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"models: duplicate name {', '.join(map(repr, twice))}; every model needs its own")
        reference = self.objective.min_cost.reference if self.objective.min_cost else None
        if reference is not None and reference not in names:
            raise ValueError(f"objective.min_cost.reference: {unknown('model', reference, names)}")
        try:
            settings = self.policy_settings()
            if "name" not in settings:
                raise BadInput("name is missing")
            make_policy(dimension=2, **settings)
        except (BadInput, TypeError) as error:
            raise ValueError(f"policy: {error}") from error
        return self

    def policy_settings(self) -> dict[str, Any]:
        """Name and parameters of the policy."""
        return {"name": self.policy} if isinstance(self.policy, str) else dict(self.policy)

    def records(self) -> list[Model]:
        """The enabled models of the pool."""
        return [model.record() for model in self.models if model.enabled]


def load_config(path: str | Path, *, env: Mapping[str, str] | None = None) -> RouterConfig:
    """Read a configuration file, with the overrides of the environment.

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
    return parse_config(data, source=str(path), env=env)


def parse_config(data: Any, *, source: str = "config", env: Mapping[str, str] | None = None) -> RouterConfig:
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
        lines = [_complaint(item) for item in error.errors(include_url=False)]
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from None
    missing = [
        f"{source}: models[{i}].api_key_env: the environment has no {model.api_key_env}"
        for i, model in enumerate(config.models)
        if model.enabled and model.api_key_env and not env.get(model.api_key_env)
    ]
    if missing:
        raise ConfigError("\n".join(missing))
    return config


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


_FIELDS: dict[str, type[BaseModel]] = {
    "": RouterConfig,
    "models": ModelSettings,
    "objective": ObjectiveSettings,
    "objective.max_quality": MaxQuality,
    "objective.min_cost": MinCost,
    "objective.tradeoff": Tradeoff,
    "log": LogSettings,
}


def _complaint(item: Any) -> str:
    """One of pydantic's findings in our words."""
    path = ""
    for step in item["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    came = item["input"]
    if item["type"] == "extra_forbidden":
        parent = ".".join(str(step) for step in item["loc"][:-1] if not isinstance(step, int))
        allowed = _FIELDS[parent].model_fields if parent in _FIELDS else {}
        return f"{path}: {unknown('setting', item['loc'][-1], allowed)}"
    if item["type"] == "missing":
        return f"{path}: is missing"
    if item["type"] == "value_error":
        message = item["msg"].removeprefix("Value error, ")
        return f"{path}: {message}" if path else message
    allowed = item["msg"][0].lower() + item["msg"][1:]
    return f"{path}: {allowed}, got {type(came).__name__} {came!r:.80}"
