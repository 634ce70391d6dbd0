"""The estimators, one file each, and their names."""

from armwise.errors import UnknownName, unknown
from armwise.evaluation.estimators.base import Estimator, Rows, Terms, Tunable
from armwise.evaluation.estimators.clipped_ips import ClippedIPS
from armwise.evaluation.estimators.direct_method import DirectMethod
from armwise.evaluation.estimators.dr import DR
from armwise.evaluation.estimators.dr_os import DROptimisticShrinkage
from armwise.evaluation.estimators.ips import IPS
from armwise.evaluation.estimators.mrdr import MRDR
from armwise.evaluation.estimators.on_policy import OnPolicy
from armwise.evaluation.estimators.replay import Replay
from armwise.evaluation.estimators.sndr import SNDR
from armwise.evaluation.estimators.snips import SNIPS
from armwise.evaluation.estimators.sub_gaussian_ips import SubGaussianIPS
from armwise.evaluation.estimators.switch_dr import SwitchDR

ESTIMATORS: dict[str, type[Estimator]] = {
    kind.name: kind
    for kind in (
        Replay,
        DirectMethod,
        IPS,
        ClippedIPS,
        SNIPS,
        SubGaussianIPS,
        DR,
        SNDR,
        SwitchDR,
        DROptimisticShrinkage,
        MRDR,
    )
}
"""Registered estimators by name."""


def estimator_named(name: str) -> Estimator:
    """The estimator registered under ``name``, with its defaults.

    Raises:
        UnknownName: no such estimator; the message suggests the near miss.
    """
    if name not in ESTIMATORS:
        raise UnknownName(unknown("estimator", name, ESTIMATORS))
    return ESTIMATORS[name]()


__all__ = [
    "DR",
    "ESTIMATORS",
    "IPS",
    "MRDR",
    "SNDR",
    "SNIPS",
    "ClippedIPS",
    "DROptimisticShrinkage",
    "DirectMethod",
    "Estimator",
    "OnPolicy",
    "Replay",
    "Rows",
    "SubGaussianIPS",
    "SwitchDR",
    "Terms",
    "Tunable",
    "estimator_named",
]
