"""What a plan is asked, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from armwise.contracts import Decision, Model
from armwise.orchestration.answer import Resumption
from armwise.orchestration.calls import Calls
from armwise.providers.completion import Completion


class Ask(NamedTuple):
    """What a plan is asked."""

    body: Mapping[str, Any]
    models: Mapping[str, Model]
    """By name: those of the arm, and no others."""
    calls: Calls
    decision: Decision


class Draft(NamedTuple):
    """An answer that a plan settled on."""

    completion: Completion
    confidence: float | None = None
    """In [0, 1], where the plan measures it."""
    resumed: tuple[Resumption, ...] = ()
    """How its stream was gone on with."""
