"""Rewards: from signals to one outcome per decision. Pure rules, the same in the learner, in SQL and offline."""

from armwise.rewards.kinds import KINDS, MEASURES, NOT_OF_USERS, QUALITY_VARIANCE, RULES, RewardRules, SignalKind
from armwise.rewards.resolve import Opinion, fuse, lesson_weight, opinions, resolve, without_retracted
from armwise.rewards.sources import Standing

__all__ = [
    "KINDS",
    "MEASURES",
    "NOT_OF_USERS",
    "QUALITY_VARIANCE",
    "RULES",
    "Opinion",
    "RewardRules",
    "SignalKind",
    "Standing",
    "fuse",
    "lesson_weight",
    "opinions",
    "resolve",
    "without_retracted",
]
