"""Rewards: from signals to one outcome per decision. Pure rules, the same in the learner, in SQL and offline."""

from armwise.rewards.kinds import QUALITY_OF, check_signal
from armwise.rewards.resolve import resolve

__all__ = ["QUALITY_OF", "check_signal", "resolve"]
