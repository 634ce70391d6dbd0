"""A whole configuration file: one section per concern."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from armwise.config.base import Positive, PositiveInt, Settings
from armwise.config.classifier import ClassifierSettings
from armwise.config.fallback import FallbackSettings
from armwise.config.gateway import GatewaySettings
from armwise.config.judging import JudgingSettings
from armwise.config.objective import ObjectiveSettings, Tradeoff
from armwise.config.pool import ModelSettings
from armwise.config.retrain import RetrainSettings
from armwise.config.rewards import RewardSettings
from armwise.config.rollout import ApprenticeSettings
from armwise.config.rules import RouteSettings, RuleSettings
from armwise.config.sensitivity import SensitivitySettings
from armwise.config.sessions import SessionSettings
from armwise.config.tools import ToolSettings
from armwise.contracts import Arm, Model
from armwise.errors import BadInput, unknown
from armwise.plans import plan_arms
from armwise.policies import POLICIES, Fixed, ThompsonSampling, make_policy
from armwise.rules import PREFIX, Rules


class LogSettings(Settings):
    """Where decisions are kept."""

    path: str | None = "armwise.duckdb"
    snapshot_every: PositiveInt = 20_000
    """Events between two snapshots of what was learned."""
    publish_every_s: Positive | None = 60.0
    """Seconds between two publishings as Parquet, for those who read while the service writes."""
    keep_days: Positive | None = None
    """How long decisions stay in the log; what they taught stays."""


class RouterConfig(Settings):
    """A whole configuration file."""

    models: Annotated[list[ModelSettings], Field(min_length=1)]
    plans: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name -> ``cascade`` or ``ensemble`` with its settings; see :mod:`armwise.plans`."""
    fallback: FallbackSettings = FallbackSettings()
    sessions: SessionSettings = SessionSettings()
    tools: ToolSettings | None = None
    rules: list[RuleSettings] = Field(default_factory=list)
    routes: dict[str, RouteSettings] = Field(default_factory=dict)
    objective: ObjectiveSettings = ObjectiveSettings(tradeoff=Tradeoff())
    policy: str | dict[str, Any] = "thompson"
    features: dict[str, Any] = Field(default_factory=dict)
    log: LogSettings = LogSettings()
    rewards: RewardSettings = RewardSettings()
    judging: JudgingSettings = JudgingSettings()
    sensitivity: SensitivitySettings | None = None
    gateway: GatewaySettings = GatewaySettings()
    apprentice: ApprenticeSettings | None = None
    classifier: ClassifierSettings | None = None
    """Where it is set, ``armwise retrain`` learns which tasks callers name, and the router guesses them."""
    retrain: RetrainSettings = RetrainSettings()
    seed: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_log(cls, data: Any) -> Any:
        """``log: armwise.duckdb`` and ``log: null`` are short for ``log: {path: ...}``."""
        if isinstance(data, dict) and "log" in data and not isinstance(data["log"], dict):
            return {**data, "log": {"path": data["log"]}}
        return data

    @field_validator("policy", mode="before")
    @classmethod
    def _named(cls, policy: Any) -> Any:
        if not isinstance(policy, (str, dict)):
            raise ValueError(f"a policy is a name, or a mapping of name and parameters, got {type(policy).__name__}")
        return policy

    @model_validator(mode="after")
    def _consistent(self) -> RouterConfig:
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"models: duplicate name {', '.join(map(repr, twice))}; every model needs its own")
        try:
            names += [arm.name for arm in self.arms()]
        except BadInput as error:
            raise ValueError(f"plans: {error}") from error
        for name in self.fallback.order:
            if name not in names:
                raise ValueError(f"fallback.order: {unknown('arm', name, names)}")
        try:
            routes = [route.record(name) for name, route in self.routes.items()]
            Rules([rule.record() for rule in self.rules], routes, arms=names)
        except BadInput as error:
            raise ValueError(f"rules and routes: {error}") from error
        for name in self.apprentice.rule().values() if self.apprentice else ():
            if name not in names:
                raise ValueError(f"apprentice: {unknown('arm', name, names)}")
        virtual = {PREFIX + "auto", "auto", "armwise", *(PREFIX + route for route in self.routes)}
        for alias, name in self.gateway.aliases.items():
            if name not in virtual and name not in names:
                raise ValueError(f"gateway.aliases.{alias}: {unknown('model', name, [*virtual, *names])}")
        for i, tenant in enumerate(self.gateway.tenants):
            for name in sorted(tenant.arms or ()):
                if name not in names:
                    raise ValueError(f"gateway.tenants[{i}].arms: {unknown('arm', name, names)}")
        kinds = self.rewards.record().kinds
        for i, judge in enumerate(self.judging.judges):
            if judge.signal not in kinds:
                raise ValueError(f"judging.judges[{i}].signal: {unknown('signal kind', judge.signal, kinds)}")
        reference = self.objective.min_cost.reference if self.objective.min_cost else None
        if reference is not None and reference not in names:
            raise ValueError(f"objective.min_cost.reference: {unknown('arm', reference, names)}")
        try:
            settings = self.policy_settings()
            if "name" not in settings:
                raise BadInput("name is missing")
            policy = make_policy(dimension=2, **settings)
            for name in policy.shares if isinstance(policy, Fixed) else ():
                if name not in names:
                    raise BadInput(unknown("arm", name, names))
        except (BadInput, TypeError) as error:
            raise ValueError(f"policy: {error}") from error
        return self

    def policy_settings(self) -> dict[str, Any]:
        """Name and parameters of the policy.

        Where there are judges, Thompson sampling explores as much as they can follow, unless told how much.
        """
        settings: dict[str, Any] = {"name": self.policy} if isinstance(self.policy, str) else dict(self.policy)
        kind = POLICIES.get(str(settings.get("name")))
        if self.judging.judges and kind is not None and issubclass(kind, ThompsonSampling):
            settings.setdefault("explored", self.judging.explored)
        return settings

    def records(self) -> list[Model]:
        """The enabled models of the pool."""
        return [model.record() for model in self.models if model.enabled]

    def arms(self) -> list[Arm]:
        """The plans over several models, each an arm of its own.

        Raises:
            BadInput: on a plan that cannot be carried out.
        """
        return plan_arms(self.plans, self.records())
