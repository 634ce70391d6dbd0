"""Learning: the online learner that folds the log into the policy's state, and the door that feedback comes in by."""

from armwise.learning.door import Door, FeedbackCounters
from armwise.learning.imports import ImportReport
from armwise.learning.online import OnlineLearner
from armwise.learning.retention import Retention

__all__ = ["Door", "FeedbackCounters", "ImportReport", "OnlineLearner", "Retention"]
