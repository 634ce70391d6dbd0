"""Worlds: where traffic, outcomes and their nuisances come from. One protocol: a seed gives an episode."""

from armwise.simulation.worlds.logged import LoggedWorld
from armwise.simulation.worlds.nuisances import (
    NUISANCES,
    Drift,
    HeavyTail,
    Judge,
    NewArm,
    Nuisance,
    Outage,
    PriceChange,
    Season,
    TroubledWorld,
)
from armwise.simulation.worlds.synthetic import SyntheticWorld
from armwise.simulation.worlds.table import TableWorld

__all__ = [
    "NUISANCES",
    "Drift",
    "HeavyTail",
    "Judge",
    "LoggedWorld",
    "NewArm",
    "Nuisance",
    "Outage",
    "PriceChange",
    "Season",
    "SyntheticWorld",
    "TableWorld",
    "TroubledWorld",
]
