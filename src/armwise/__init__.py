"""armwise: an adaptive LLM router that learns which model answers best for its price, and can prove it from its log.

>>> from armwise import Model, Objective, Request, Router

Names are loaded when first asked for, so that ``import armwise`` is light and touches neither network nor disk.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armwise.contracts import Arm, Budget, Decision, Model, Outcome, Request, Signal
    from armwise.errors import ArmwiseError
    from armwise.pacing import Objective
    from armwise.router import Router

__version__ = "0.1.0"

__all__ = ["Arm", "ArmwiseError", "Budget", "Decision", "Model", "Objective", "Outcome", "Request", "Router", "Signal"]

_HOME = {
    "Arm": "contracts",
    "ArmwiseError": "errors",
    "Budget": "contracts",
    "Decision": "contracts",
    "Model": "contracts",
    "Objective": "pacing",
    "Outcome": "contracts",
    "Request": "contracts",
    "Router": "router",
    "Signal": "contracts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'armwise' has no attribute {name!r}")
    return getattr(import_module(f"armwise.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
