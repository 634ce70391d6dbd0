"""Rewards: from signals to one outcome per decision. Pure rules, the same in the learner, in SQL and offline."""

from armwise.rewards.fusion import ESTIMATED, SourceModel, Worth
from armwise.rewards.kinds import KINDS, MEASURES, NOT_OF_USERS, QUALITY_VARIANCE, RULES, RewardRules, SignalKind
from armwise.rewards.resolve import Opinion, Reading, fuse, lesson_weight, opinions, read, resolve, without_retracted
from armwise.rewards.sources import Standing

__all__ = [
    "ESTIMATED",
    "KINDS",
    "MEASURES",
    "NOT_OF_USERS",
    "QUALITY_VARIANCE",
    "RULES",
    "Opinion",
    "Reading",
    "RewardRules",
    "SignalKind",
    "SourceModel",
    "Standing",
    "Worth",
    "fuse",
    "lesson_weight",
    "opinions",
    "read",
    "resolve",
    "without_retracted",
]
