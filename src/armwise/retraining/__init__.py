"""Retraining: candidates learn from the log, one is chosen, and a gate decides whether it may serve."""

from armwise.retraining.gate import Check, Verdict
from armwise.retraining.run import Retraining, retrain

__all__ = ["Check", "Retraining", "Verdict", "retrain"]
