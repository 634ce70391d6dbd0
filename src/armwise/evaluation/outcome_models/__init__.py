"""Models of the outcome given features and arm, and their cross-fitting."""

from armwise.errors import UnknownName, unknown
from armwise.evaluation.outcome_models.base import OutcomeModel, OutcomePredictions
from armwise.evaluation.outcome_models.cross_fit import CrossFit, cross_fit
from armwise.evaluation.outcome_models.ridge import RidgeOutcome
from armwise.evaluation.outcome_models.vw import VWOutcome

OUTCOME_MODELS: dict[str, type[OutcomeModel]] = {"ridge": RidgeOutcome, "vw": VWOutcome}
"""Registered outcome models by name."""


def outcome_model_named(name: str) -> OutcomeModel:
    """The model registered under ``name``, with its defaults.

    Raises:
        UnknownName: no such model; the message suggests the near miss.
    """
    if name not in OUTCOME_MODELS:
        raise UnknownName(unknown("outcome model", name, OUTCOME_MODELS))
    return OUTCOME_MODELS[name]()


__all__ = [
    "OUTCOME_MODELS",
    "CrossFit",
    "OutcomeModel",
    "OutcomePredictions",
    "RidgeOutcome",
    "VWOutcome",
    "cross_fit",
    "outcome_model_named",
]
