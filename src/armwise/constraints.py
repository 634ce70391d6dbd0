"""Hard constraints: the arms that may answer a request. Nothing downstream can leave the set that this file gives.

Each constraint says in words why it excluded an arm. What depends only on the kind of request is worked out once per
kind and kept; what depends on its length or on a prediction is checked each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from armwise.contracts import (
    SENSITIVITIES,
    Arm,
    Context,
    Model,
    Request,
    Slots,
    State,
    Vector,
    arm_as_dict,
    arm_from_dict,
)
from armwise.errors import BadInput, NoEligibleArm, UnknownModel, unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolRule:
    """Which arms may take requests with tools, by how often their calls were valid.

    Raises:
        BadInput: on a number out of range.
    """

    min_validity: float
    """Share of an arm's calls that named a tool there is and fitted its schema."""
    probe_every: int = 50
    """At every this many decisions all of them may, so that an arm that got better is found out."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_validity <= 1.0:
            raise BadInput(f"tools.min_validity must be between 0 and 1, got {self.min_validity!r}")
        if self.probe_every < 1:
            raise BadInput(f"tools.probe_every must be at least 1, got {self.probe_every!r}")

    def able(self, actions: "ActionSet", validity: Vector) -> "ActionSet":
        """The arms whose calls are valid often enough; all of them where none is."""
        keep = validity >= self.min_validity
        if keep.all() or not keep.any():
            return actions
        reasons = {
            name: f"its tool calls are valid in {share:.0%} of cases, below {self.min_validity:.0%}"
            for name, share in zip(actions.names, validity, strict=True)
        }
        return _narrow(actions, keep, reasons)


class ActionSet(NamedTuple):
    """The eligible arms: their slots (ascending), their names, and what excluded the others."""

    slots: Slots
    names: tuple[str, ...]
    excluded: Mapping[str, str]
    token_limit: float
    """Fewest tokens (input and output) that every arm of the set can take."""

    def without(self, keep: np.ndarray, reasons: Mapping[str, str]) -> "ActionSet":
        """The set narrowed to ``keep`` (shape (arms,), bool)."""
        names = tuple(name for name, kept in zip(self.names, keep, strict=True) if kept)
        return self._replace(slots=self.slots[keep], names=names, excluded={**self.excluded, **reasons})


class Pool:
    """The arms by slot, with those removed or disabled marked as such. A slot is never given to another arm.

    Who is disabled is part of its state; who rests, or is out of use for another reason, is of the moment.
    """

    def __init__(self) -> None:
        self.arms: list[Arm] = []
        self._slot_of: dict[str, int] = {}
        self._disabled: set[str] = set()
        self._unavailable: dict[str, str] = {}
        self._kinds: dict[object, ActionSet] = {}
        self._resting: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return name in self._slot_of

    @property
    def names(self) -> tuple[str, ...]:
        """Arms that are in the pool, in the order of their slots."""
        return tuple(self._slot_of)

    def slot(self, name: str) -> int:
        """Slot of an arm of the pool.

        Raises:
            UnknownModel: if it is not in the pool.
        """
        if name not in self._slot_of:
            raise UnknownModel(unknown("arm", name, self._slot_of))
        return self._slot_of[name]

    def slots_of(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Slots of those of the arms that are still in the pool."""
        return tuple([self._slot_of[name] for name in names if name in self._slot_of])

    def add(self, arm: Arm) -> int:
        """Give an arm the next slot."""
        slot = len(self.arms)
        self.arms.append(arm)
        self._slot_of[arm.name] = slot
        self._kinds.clear()
        return slot

    def replace(self, arm: Arm) -> int:
        """New particulars (price, limits) for an arm that keeps its slot, and so all that was learned of it."""
        slot = self.slot(arm.name)
        self.arms[slot] = arm
        self._kinds.clear()
        return slot

    def remove(self, name: str) -> None:
        """Take an arm out of the pool; what it taught stays under its slot."""
        self.slot(name)
        del self._slot_of[name]
        self._disabled.discard(name)
        self._unavailable.pop(name, None)
        self._kinds.clear()

    @property
    def disabled(self) -> frozenset[str]:
        """Arms that are in the pool and out of every action set."""
        return frozenset(self._disabled)

    def disable(self, name: str) -> None:
        """Leave an arm, and plans that call its model, out of every action set."""
        self.slot(name)
        self._disabled.add(name)
        self._kinds.clear()

    def enable(self, name: str) -> None:
        """Have a disabled arm back."""
        self.slot(name)
        self._disabled.discard(name)
        self._kinds.clear()

    def set_available(self, name: str, reason: str | None) -> None:
        """Mark an arm as out of use for a reason, or with ``None`` as back in use."""
        self.slot(name)
        if reason is None:
            self._unavailable.pop(name, None)
        else:
            self._unavailable[name] = reason
        self._kinds.clear()

    def rest(self, names: frozenset[str]) -> None:
        """Arms whose provider is cooling down: left out while a request has any other. Without one they are tried."""
        self._resting = names

    def state(self) -> State:
        """The arms by slot, which of them are in the pool, and which of those are disabled."""
        return {
            "arms": [arm_as_dict(arm) for arm in self.arms],
            "names": dict(self._slot_of),
            "disabled": sorted(self._disabled),
        }

    def restore(self, state: State) -> None:
        """Take over a saved pool."""
        self.arms = [arm_from_dict(record) for record in state["arms"]]
        self._slot_of = {name: int(slot) for name, slot in sorted(state["names"].items(), key=lambda item: item[1])}
        self._disabled = set(state.get("disabled", ()))  # older snapshots know of none
        self._unavailable.clear()
        self._kinds.clear()

    def eligible(self, context: Context, request: Request) -> ActionSet:
        """The action set of a request.

        Raises:
            NoEligibleArm: naming the constraint that excluded each arm.
        """
        kind = (
            context.tools,
            context.modalities,
            request.residency,
            request.sensitivity,
            request.arms,
            request.narrowed_by,
        )
        actions = self._kinds.get(kind)
        if actions is None:
            if len(self._kinds) > 1024:  # kinds come from callers: bound what they can make us keep
                self._kinds.clear()
            actions = self._kinds[kind] = self._eligible_kind(context, request)
        needed = context.input_tokens + (request.max_output_tokens or 0)
        if needed > actions.token_limit:
            limits = [_token_limit(self.arms[slot]) for slot in actions.slots]
            actions = _narrow(
                actions,
                np.array(limits) >= needed,
                {n: f"context window {x:.0f} < {needed} tokens" for n, x in zip(actions.names, limits, strict=True)},
            )
        if not actions.names:
            strangers = sorted((request.arms or frozenset()) - self._slot_of.keys())
            hint = f"; {unknown('arm', strangers[0], self._slot_of)}" if strangers else ""
            raise NoEligibleArm(_emptied(actions.excluded) + hint, excluded=dict(actions.excluded))
        return self._rested(actions) if self._resting else actions

    def _rested(self, actions: ActionSet) -> ActionSet:
        keep = np.array([name not in self._resting for name in actions.names])
        if keep.all() or not keep.any():
            return actions
        return _narrow(actions, keep, dict.fromkeys(actions.names, "its provider is cooling down"))

    def _eligible_kind(self, context: Context, request: Request) -> ActionSet:
        excluded = {}
        slots = []
        for name, slot in self._slot_of.items():
            reason = self._out_of_use(self.arms[slot]) or _objection(self.arms[slot], context, request)
            if reason:
                excluded[name] = reason
            else:
                slots.append(slot)
        slots.sort()
        limit = min((_token_limit(self.arms[slot]) for slot in slots), default=np.inf)
        names = tuple(self.arms[slot].name for slot in slots)
        return ActionSet(np.array(slots, dtype=np.intp), names, excluded, limit)

    def _out_of_use(self, arm: Arm) -> str | None:
        """Why an arm is left out whatever is asked, or None."""
        if arm.name in self._disabled:
            return "disabled"
        called = next((model.name for model in arm.models if model.name in self._disabled), None)
        return f"{called}: disabled" if called is not None else self._unavailable.get(arm.name)


def within(actions: ActionSet, predicted: Vector, limit: float, what: str) -> ActionSet:
    """The arms whose predicted cost or latency is within a request's own limit.

    Raises:
        NoEligibleArm: if none is; a limit of the caller's is never quietly exceeded.
    """
    keep = predicted <= limit
    if keep.all():
        return actions
    reasons = {n: f"predicted {what} {p:.3g} > {limit:.3g}" for n, p in zip(actions.names, predicted, strict=True)}
    actions = _narrow(actions, keep, reasons)
    if not actions.names:
        raise NoEligibleArm(_emptied(actions.excluded), excluded=dict(actions.excluded))
    return actions


def _narrow(actions: ActionSet, keep: np.ndarray, reasons: Mapping[str, str]) -> ActionSet:
    dropped = {name: reasons[name] for name, kept in zip(actions.names, keep, strict=True) if not kept}
    return actions.without(keep, dropped)


def _objection(arm: Arm, context: Context, request: Request) -> str | None:
    """Why an arm may not answer this kind of request, or None."""
    if request.arms is not None and arm.name not in request.arms:
        by = " and ".join(request.narrowed_by)
        return f"not among the arms that {by} allows" if by else "not among the arms the request allows"
    for model in arm.models:
        reason = _model_objection(model, context, request)
        if reason:
            return reason if len(arm.models) == 1 else f"{model.name}: {reason}"
    return None


def _model_objection(model: Model, context: Context, request: Request) -> str | None:
    if SENSITIVITIES.index(request.sensitivity) > SENSITIVITIES.index(model.clearance):
        return f"sensitivity {request.sensitivity} above its clearance {model.clearance}"
    if request.residency is not None and model.residency not in request.residency:
        return f"residency {model.residency or 'unknown'} not in {', '.join(sorted(request.residency)) or 'none'}"
    if context.tools and not model.tools:
        return "takes no tools"
    missing = context.modalities - model.modalities
    if missing:
        return f"does not take {', '.join(sorted(missing))}"
    return None


def _token_limit(arm: Arm) -> float:
    return min((model.context_window for model in arm.models if model.context_window is not None), default=np.inf)


def _emptied(excluded: Mapping[str, str]) -> str:
    if not excluded:
        return "no arm can answer: the pool is empty"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in excluded.items())
    return f"no arm can answer this request: {reasons}"
