"""What there is to choose: models, and arms made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field
from typing import Any

from armwise.contracts.values import check_name, check_number
from armwise.errors import BadInput


@dataclass(frozen=True, slots=True)
class Model:
    """One upstream model: its price, its limits, and where it may be used.

    Prices are list prices in USD per million tokens; where they are ``None`` the router looks the name up in the price
    list of ``genai-prices`` and refuses a model that it cannot price.

    Raises:
        BadInput: on an empty name, or a number that is negative or not finite.
    """

    name: str
    _: KW_ONLY
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    context_window: int | None = None
    """Tokens of input and output together; ``None`` means no limit is known."""
    max_output_tokens: int | None = None
    modalities: frozenset[str] = frozenset({"text"})
    tools: bool = True
    residency: str | None = None
    """Region where the model runs. Requests that restrict residency never reach a model that does not say."""
    clearance: str = "public"
    """Highest sensitivity that may be sent to it, a level of :data:`SENSITIVITIES`."""
    latency_ms: float | None = None
    """Expected latency before anything is measured."""
    family: str | None = None
    quality_prior: float | None = None
    """Expected mean quality before anything is measured, in [0, 1]."""
    profile: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Benchmark -> published score in [0, 1]. Models of like profiles share what is learned of them."""
    provider: str = "openai"
    """Wire format: ``openai``, ``anthropic`` or ``gemini``."""
    upstream: str | None = None
    """The provider's own name of the model; ``name`` where ``None``."""
    base_url: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable that holds the key. The key itself is never part of a record."""

    def __post_init__(self) -> None:
        check_name("Model", self.name)
        owner = f"Model({self.name!r})"
        for name in ("input_usd_per_mtok", "output_usd_per_mtok", "context_window", "max_output_tokens", "latency_ms"):
            check_number(owner, name, getattr(self, name))
        check_number(owner, "quality_prior", self.quality_prior, 0.0, 1.0)
        profile: object = self.profile
        if not isinstance(profile, Mapping):
            raise BadInput(
                f"{owner}.profile must map benchmarks to scores, got {type(profile).__name__} {profile!r:.80}"
            )
        for benchmark, score in self.profile.items():
            check_name(f"{owner}.profile", benchmark)
            check_number(owner, f"profile[{benchmark!r}]", score, 0.0, 1.0)
        object.__setattr__(self, "profile", dict(self.profile))
        modalities: object = self.modalities
        if isinstance(modalities, str):
            raise BadInput(f"{owner}.modalities must be a collection of names, got the string {modalities!r}")
        object.__setattr__(self, "modalities", frozenset(self.modalities))
        check_sensitivity(f"{owner}.clearance", self.clearance)


SENSITIVITIES: tuple[str, ...] = ("public", "internal", "confidential", "restricted")
"""Levels of sensitivity, lowest first. A model is eligible if its clearance is at least the request's sensitivity."""


def check_sensitivity(owner: str, value: object) -> None:
    """Raise BadInput unless ``value`` is a level of :data:`SENSITIVITIES`."""
    if value not in SENSITIVITIES:
        raise BadInput(f"{owner} must be one of {', '.join(SENSITIVITIES)}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer: a model, or a plan over several (a cascade, an ensemble).

    An arm is eligible only where every model it may call is, so a plan can never leave the action set.
    """

    name: str
    _: KW_ONLY
    models: tuple[Model, ...]
    plan: str = "single"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("Arm", self.name)
        object.__setattr__(self, "models", tuple(self.models))
        if not self.models or not all(isinstance(model, Model) for model in self.models):
            raise BadInput(f"Arm({self.name!r}).models must be at least one Model, got {self.models!r:.80}")

    @classmethod
    def of(cls, model: Model) -> Arm:
        """The plain arm: call this model once."""
        return cls(model.name, models=(model,))


def arm_as_dict(arm: Arm) -> dict[str, Any]:
    """An arm as plain JSON, for logs and snapshots."""
    record = asdict(arm)
    for model in record["models"]:
        model["modalities"] = sorted(model["modalities"])
    return {**record, "models": list(record["models"]), "options": dict(arm.options)}


def arm_from_dict(record: Mapping[str, Any]) -> Arm:
    """What :func:`arm_as_dict` wrote; keys that a newer version added are an error.

    Raises:
        BadInput: if the record is not an arm's.
    """
    try:
        models = tuple(Model(**{**model, "modalities": frozenset(model["modalities"])}) for model in record["models"])
        return Arm(record["name"], models=models, plan=record["plan"], options=record["options"])
    except (KeyError, TypeError) as error:
        raise BadInput(f"not the record of an arm: {error}") from error
