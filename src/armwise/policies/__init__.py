"""Policies: context and action set -> probabilities. One algorithm, one file; any of them by name from the config."""

from collections.abc import Callable, Mapping
from typing import Any

from armwise.contracts import Policy
from armwise.errors import BadInput, unknown
from armwise.policies.base import draw
from armwise.policies.greedy import EpsilonGreedy
from armwise.policies.squarecb import SquareCB
from armwise.policies.thompson import ThompsonSampling
from armwise.policies.uniform import Uniform
from armwise.predictors import make_quality_model

__all__ = ["POLICIES", "EpsilonGreedy", "SquareCB", "ThompsonSampling", "Uniform", "draw", "make_policy"]

POLICIES: Mapping[str, Callable[..., Policy]] = {
    policy.name: policy for policy in (ThompsonSampling, SquareCB, EpsilonGreedy, Uniform)
}


def make_policy(
    name: str, dimension: int, *, engine: str = "logistic", model: Mapping[str, Any] | None = None, **parameters: Any
) -> Policy:
    """Build a policy by name.

    Args:
        name: a key of :data:`POLICIES`.
        dimension: length of the context vectors.
        engine: the quality engine it stands on, a key of :data:`armwise.predictors.ENGINES`.
        model: parameters of the engine.
        parameters: parameters of the policy.

    Raises:
        BadInput: on an unknown name or parameter, or an engine that cannot serve the policy.
    """
    if name not in POLICIES:
        raise BadInput(unknown("policy", name, POLICIES))
    quality = make_quality_model(engine, dimension, **(model or {}))
    if POLICIES[name] is ThompsonSampling and not hasattr(quality, "posterior"):
        raise BadInput(f"policy 'thompson' needs an engine with a posterior (linear, logistic), got {engine!r}")
    try:
        return POLICIES[name](quality, **parameters)
    except TypeError as error:
        raise BadInput(f"policy {name!r}: {error}") from error
