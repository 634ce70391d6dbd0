"""The three predictions of every arm, learned apart: quality, billed cost, latency.

Quality engines, of one protocol (:class:`armwise.contracts.QualityModel`): ``logistic`` and ``linear``, one regression
per arm; ``shared``, with weights in common between arms that are alike, and ``mixed``, two of them of which the traffic
chooses; ``neighbours``, by similar requests; ``means``,
blind to the request; ``vw`` through VowpalWabbit.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from armwise.contracts import Knowledge, QualityModel
from armwise.errors import BadInput, misfit, unknown
from armwise.predictors.calibrated import CalibratedModel
from armwise.predictors.cost import CostModel
from armwise.predictors.difficulty import DifficultyModel
from armwise.predictors.linear import LinearModel
from armwise.predictors.logistic import LogisticModel
from armwise.predictors.means import MeanModel
from armwise.predictors.mixed import MixedModel
from armwise.predictors.neighbours import NeighbourModel
from armwise.predictors.pooled import PooledLogModel
from armwise.predictors.shared import SharedModel
from armwise.predictors.validity import ValidityModel
from armwise.predictors.vw import VWModel

__all__ = [
    "ENGINES",
    "CalibratedModel",
    "CostModel",
    "DifficultyModel",
    "LinearModel",
    "LogisticModel",
    "MeanModel",
    "MixedModel",
    "NeighbourModel",
    "PooledLogModel",
    "SharedModel",
    "VWModel",
    "ValidityModel",
    "make_quality_model",
]


class Engine(Protocol):
    """A class of quality models."""

    @property
    def knowledge(self) -> Knowledge: ...

    def __call__(self, *args: Any, **kwargs: Any) -> QualityModel: ...


ENGINES: Mapping[str, Engine] = {
    "logistic": LogisticModel,
    "linear": LinearModel,
    "shared": SharedModel,
    "mixed": MixedModel,
    "neighbours": NeighbourModel,
    "means": MeanModel,
    "vw": VWModel,
}


def make_quality_model(engine: str, dimension: int, *, calibrate: bool = False, **parameters: Any) -> QualityModel:
    """Build a quality engine by name; with ``calibrate``, its predictions are put right by their own record.

    Raises:
        BadInput: on an unknown engine or parameter.
    """
    if engine not in ENGINES:
        raise BadInput(unknown("engine", engine, ENGINES))
    try:
        made = ENGINES[engine](dimension, **parameters)
    except TypeError as error:
        raise BadInput(misfit(f"engine {engine!r}", parameters, error, ENGINES[engine])) from error
    return CalibratedModel(made) if calibrate else made
