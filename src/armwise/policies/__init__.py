"""Policies: context and action set -> probabilities. One algorithm, one file; any of them by name from the config.

docs/policies.md says what each is for, and where its theory stops.
"""

from collections.abc import Mapping
from typing import Any

from armwise.contracts import Policy
from armwise.errors import BadInput, misfit, unknown
from armwise.policies.bag import BootstrappedBag
from armwise.policies.base import ModelPolicy, draw
from armwise.policies.explore_commit import ExploreThenCommit
from armwise.policies.fastcb import FastCB
from armwise.policies.feelgood import FeelGoodThompson
from armwise.policies.fixed import Fixed
from armwise.policies.greedy import EpsilonGreedy
from armwise.policies.knn import NearestNeighbours
from armwise.policies.linucb import LinUCB
from armwise.policies.performance import Performance
from armwise.policies.river import RiverBandit
from armwise.policies.softmax import Softmax
from armwise.policies.squarecb import SquareCB
from armwise.policies.thompson import ThompsonSampling
from armwise.policies.uniform import Uniform
from armwise.policies.vw import VWReduction
from armwise.predictors import ENGINES, make_quality_model

__all__ = [
    "POLICIES",
    "BootstrappedBag",
    "EpsilonGreedy",
    "ExploreThenCommit",
    "FastCB",
    "FeelGoodThompson",
    "Fixed",
    "LinUCB",
    "ModelPolicy",
    "NearestNeighbours",
    "Performance",
    "RiverBandit",
    "Softmax",
    "SquareCB",
    "ThompsonSampling",
    "Uniform",
    "VWReduction",
    "draw",
    "make_policy",
]

POLICIES: Mapping[str, type[ModelPolicy]] = {
    policy.name: policy
    for policy in (
        ThompsonSampling,
        FeelGoodThompson,
        SquareCB,
        FastCB,
        LinUCB,
        NearestNeighbours,
        EpsilonGreedy,
        Softmax,
        BootstrappedBag,
        ExploreThenCommit,
        Performance,
        Fixed,
        Uniform,
        VWReduction,
        RiverBandit,
    )
}


def make_policy(
    name: str,
    dimension: int,
    *,
    engine: str | None = None,
    model: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Policy:
    """Build a policy by name.

    Args:
        name: a key of :data:`POLICIES`.
        dimension: length of the context vectors.
        engine: the quality engine it stands on, a key of :data:`armwise.predictors.ENGINES`; by default the policy's.
        model: parameters of the engine.
        parameters: parameters of the policy.

    Raises:
        BadInput: on an unknown name or parameter, or an engine that cannot serve the policy.
    """
    if name not in POLICIES:
        raise BadInput(unknown("policy", name, POLICIES))
    kind = POLICIES[name]
    engine = kind.engine if engine is None else engine
    settings = dict(model or {})
    if engine in ENGINES and ENGINES[engine].knowledge < kind.needs:
        able = ", ".join(known for known, maker in ENGINES.items() if maker.knowledge >= kind.needs)
        raise BadInput(f"policy {name!r} needs an engine with a {kind.needs.name.lower()} ({able}), got {engine!r}")
    try:
        return kind.build(lambda: make_quality_model(engine, dimension, **settings), **parameters)
    except TypeError as error:
        raise BadInput(misfit(f"policy {name!r}", parameters, error, kind.__init__, kind.build)) from error
