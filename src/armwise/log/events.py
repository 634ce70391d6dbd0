"""What may enter a log, and an arm as text."""

from __future__ import annotations

import json

from armwise.contracts import (
    Arm,
    Attempt,
    BudgetChange,
    Decision,
    Event,
    JudgeDraw,
    PoolChange,
    RolloutChange,
    Signal,
    SourceChange,
    arm_as_dict,
    arm_from_dict,
)
from armwise.errors import BadInput

KINDS: tuple[type, ...] = (
    Decision,
    Signal,
    Attempt,
    PoolChange,
    JudgeDraw,
    SourceChange,
    BudgetChange,
    RolloutChange,
)


def check_event(event: object) -> None:
    """Refuse what no log could give back.

    Raises:
        BadInput: if it is not an event, or an arm whose options are not JSON values.
    """
    kind = type(event)
    if kind is Decision or kind is Signal or kind is Attempt:
        return
    if isinstance(event, PoolChange):
        arm_to_json(event.arm)
    elif not isinstance(event, KINDS):
        names = ", ".join(kind.__name__ for kind in KINDS)
        raise BadInput(f"a log takes {names}; got {type(event).__name__} {event!r:.80}")


def check_after(after: object) -> None:
    """Raise BadInput unless ``after`` is a position: a whole number, at least 0."""
    if isinstance(after, bool) or not isinstance(after, int) or after < 0:
        raise BadInput(f"after must be a position, a whole number of at least 0, got {after!r}")


def arm_to_json(arm: Arm) -> str:
    """An arm as JSON; numbers keep every bit, tuples in its options come back as lists.

    Raises:
        BadInput: if its options hold anything but JSON values.
    """
    try:
        return json.dumps(arm_as_dict(arm), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise BadInput(f"Arm({arm.name!r}).options must hold JSON values only: {error}") from error


def arm_from_json(text: str) -> Arm:
    """The arm that :func:`arm_to_json` wrote."""
    return arm_from_dict(json.loads(text))


def kind_of(event: Event) -> str:
    """Table that holds events of this kind."""
    return _TABLES[type(event)]


_TABLES: dict[type, str] = {
    Decision: "decisions",
    Signal: "signals",
    Attempt: "attempts",
    PoolChange: "pool_changes",
    JudgeDraw: "judge_draws",
    SourceChange: "source_changes",
    BudgetChange: "budget_changes",
    RolloutChange: "rollout_changes",
}
