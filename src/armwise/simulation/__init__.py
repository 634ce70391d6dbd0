"""The simulator: outcome tables and worlds, replay of the real decision code over them, baselines, sweeps, reports.

>>> from armwise.simulation import OutcomeTable, frontiers, replay   # doctest: +SKIP
>>> run = replay(OutcomeTable.packaged(), cost_weight=0.1)
>>> run.mean_quality, run.mean_cost_usd, run.shares
"""

from armwise.simulation.baselines import Frontier, hull, spend_saved_at
from armwise.simulation.command import StudyResult, run_study
from armwise.simulation.episode import Episode, World
from armwise.simulation.frontier import frontiers, mean_frontier
from armwise.simulation.replay import Run, replay, replay_router
from armwise.simulation.study import Study, load_study, parse_study
from armwise.simulation.table import OutcomeTable
from armwise.simulation.worlds import LoggedWorld

__all__ = [
    "Episode",
    "Frontier",
    "LoggedWorld",
    "OutcomeTable",
    "Run",
    "Study",
    "StudyResult",
    "World",
    "frontiers",
    "hull",
    "load_study",
    "mean_frontier",
    "parse_study",
    "replay",
    "replay_router",
    "run_study",
    "spend_saved_at",
]
