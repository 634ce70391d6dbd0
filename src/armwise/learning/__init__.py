"""Learning: the online learner that folds the log into the policy's state."""

from armwise.learning.online import OnlineLearner

__all__ = ["OnlineLearner"]
