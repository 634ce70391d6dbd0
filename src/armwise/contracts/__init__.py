"""The records and protocols that every floor speaks in.

Records are frozen, keyword-only (bar a leading name) and checked at birth, so that what passes a border is known to be
well-formed. Units are in the names. Nothing here does I/O, reads a clock or draws a random number.

The life of a request::

    Request --Encoder--> Context --Decider--> Decision --...--> Signal, Signal, ... --resolve--> Outcome
"""

from armwise.contracts.arms import SENSITIVITIES, Arm, Model, arm_as_dict, arm_from_dict, check_sensitivity
from armwise.contracts.decisions import Beside, Choice, Decision, Predictions, Trade, penalty, utility
from armwise.contracts.events import (
    RETRACTION,
    STAGES,
    Attempt,
    Budget,
    BudgetChange,
    Event,
    JudgeDraw,
    Outcome,
    PoolChange,
    RolloutChange,
    Signal,
    SourceChange,
)
from armwise.contracts.protocols import (
    BayesianModel,
    Encoder,
    Experience,
    Knowledge,
    Log,
    Policy,
    PolicyBook,
    Posterior,
    Prunable,
    QualityModel,
)
from armwise.contracts.requests import Context, Request
from armwise.contracts.values import Slots, State, Vector, record_fields

__all__ = [
    "RETRACTION",
    "SENSITIVITIES",
    "STAGES",
    "Arm",
    "Attempt",
    "BayesianModel",
    "Beside",
    "Budget",
    "BudgetChange",
    "Choice",
    "Context",
    "Decision",
    "Encoder",
    "Event",
    "Experience",
    "JudgeDraw",
    "Knowledge",
    "Log",
    "Model",
    "Outcome",
    "Policy",
    "PolicyBook",
    "PoolChange",
    "Posterior",
    "Predictions",
    "Prunable",
    "QualityModel",
    "Request",
    "RolloutChange",
    "Signal",
    "Slots",
    "SourceChange",
    "State",
    "Trade",
    "Vector",
    "arm_as_dict",
    "arm_from_dict",
    "check_sensitivity",
    "penalty",
    "record_fields",
    "utility",
]
