"""Sessions keep their arm: switching in the middle breaks caches and confuses agents.

The first decision of a session is drawn like any other. Those that follow are pinned to its arm with probability one,
given the pin; they say so (``method`` is ``session``, ``head`` is the decision that they follow), so that no estimator
takes them for draws. What is reported of their quality is credited to the head: its reward is the mean over the turns
that were judged, each weighted by how sure its quality is. Cost and latency stay each turn's own.

A session leaves its arm for a reason only, which stands in the decision (``switched``); then a new arm is drawn, and
that decision is the head of what follows.

All of it is a fold over the log, bounded in size, and part of the decider's state.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from armwise.contracts import Decision, Outcome, Request, State, Trade, Vector
from armwise.errors import BadInput
from armwise.rewards import QUALITY_VARIANCE, lesson_weight

PINNED = "session"
"""The ``method`` of a decision that follows its session's first."""

_NOTHING = 1e-9
"""A weight below this is what rounding leaves of none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRules:
    """When a session keeps its arm.

    Raises:
        BadInput: on a number out of range.
    """

    idle_s: float = 3_600.0
    """Silence after which a session is forgotten: caches are cold by then."""
    budget_margin: float = 0.5
    """A session leaves its arm where dearer money has made it worse than the cheapest arm of its action set by this
    much more utility than it was when the session began."""
    infer: bool = False
    """Whether requests with tools and without a session get one, from the beginning of their conversation."""
    capacity: int = 10_000
    """Sessions remembered; beyond that the one longest silent is forgotten."""

    def __post_init__(self) -> None:
        for name in ("idle_s", "budget_margin"):
            value = getattr(self, name)
            if not value > 0 or math.isnan(value):
                raise BadInput(f"sessions.{name} must be over 0, got {value!r}")
        if self.capacity < 1:
            raise BadInput(f"sessions.capacity must be at least 1, got {self.capacity!r}")


class Pin(NamedTuple):
    """What is remembered of a session."""

    arm: str
    head: str
    """The decision that drew the arm."""
    last: str
    """The latest decision."""
    at: float
    rate: float
    """Utility per USD when the arm was drawn."""
    failed: bool = False
    """Whether the arm failed at the latest decision."""


class Credit(NamedTuple):
    """What the turns of a session amount to."""

    weighted: float
    weight: float
    learned: float | None
    learned_deviation: float


class Sessions:
    """The sessions under way, and what was credited to their heads."""

    def __init__(self, rules: SessionRules | None = None) -> None:
        self.rules = rules or SessionRules()
        self._pins: OrderedDict[tuple[str | None, str], Pin] = OrderedDict()
        self._credits: OrderedDict[str, Credit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pins)

    # ---------------------------------------------------------------------------- deciding

    def pin(self, request: Request) -> Pin | None:
        """What is remembered of a request's session."""
        return None if request.session is None else self._pins.get((request.tenant, request.session))

    def reason_to_leave(
        self,
        pin: Pin,
        arms: Sequence[str],
        excluded: Mapping[str, str],
        cost_usd: Vector,
        trade: Trade,
        at: float,
    ) -> str | None:
        """Why a session does not keep its arm, or None.

        Args:
            pin: what is remembered of it.
            arms: the action set.
            excluded: why the others are not in it.
            cost_usd: predicted, per arm of the action set.
            trade: in force.
            at: Unix time of the decision.
        """
        if at - pin.at > self.rules.idle_s:
            return f"idle: silent for {at - pin.at:.0f} s"
        if pin.failed:
            return f"failure: {pin.arm} failed at {pin.last}"
        if pin.arm not in arms:
            return f"capability: {pin.arm}: {excluded.get(pin.arm, 'left the pool')}"
        dearer = float(cost_usd[arms.index(pin.arm)] - cost_usd.min()) * (_rate(trade) - pin.rate)
        if dearer > self.rules.budget_margin:
            return f"budget: {pin.arm} costs {dearer:.2f} more utility than when the session began"
        return None

    # ---------------------------------------------------------------------------- events

    def decided(self, decision: Decision) -> None:
        """A decision was acted upon."""
        if decision.session is None:
            return
        key = decision.tenant, decision.session
        known = self._pins.pop(key, None)
        if decision.head is not None and known is not None and known.head == decision.head:
            self._pins[key] = known._replace(last=decision.id, at=decision.at, failed=False)
        else:
            head = decision.head or decision.id
            self._pins[key] = Pin(decision.arm, head, decision.id, decision.at, _rate(decision.trade))
        if len(self._pins) > self.rules.capacity:
            self._pins.popitem(last=False)

    def failed(self, decision: Decision) -> None:
        """The arm failed at a decision; if that is the latest of its session, the next one draws anew."""
        if decision.session is None:
            return
        key = decision.tenant, decision.session
        pin = self._pins.get(key)
        if pin is not None and pin.last == decision.id:
            self._pins[key] = pin._replace(failed=True)

    def credit(self, decision: Decision, known: Outcome, before: Outcome) -> tuple[Outcome, Outcome]:
        """What is known by now of a session's head, and what was learned of it before, given news of one turn."""
        if decision.session is None:
            return known, before
        head = decision.head or decision.id
        old = self._credits.pop(head, None)
        if old is None:  # the first news of it, or forgotten since: then as though no other turn had been judged
            old = Credit(_weighted(before), lesson_weight(before), before.quality, before.deviation)
        alone = decision.head is None and abs(old.weight - lesson_weight(before)) < _NOTHING
        weight = old.weight + lesson_weight(known) - lesson_weight(before)
        weighted = old.weighted + _weighted(known) - _weighted(before)
        if weight < _NOTHING:  # all of it was taken back
            now = Credit(0.0, 0.0, None, 0.0)
        elif alone:
            now = Credit(weighted, weight, known.quality, known.deviation)  # as it is, bit for bit
        else:
            sure = min(weight, 1.0)
            deviation = math.sqrt(QUALITY_VARIANCE * (1.0 - sure) / sure)
            now = Credit(weighted, weight, min(max(weighted / weight, 0.0), 1.0), deviation)
        self._credits[head] = now
        if len(self._credits) > self.rules.capacity:
            self._credits.popitem(last=False)
        return (
            Outcome(quality=now.learned, deviation=now.learned_deviation),
            Outcome(quality=old.learned, deviation=old.learned_deviation),
        )

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        return {
            "pins": [[*key, *pin] for key, pin in self._pins.items()],
            "credits": [[head, *credit] for head, credit in self._credits.items()],
        }

    def restore(self, state: State) -> None:
        self._pins = OrderedDict(((tenant, session), Pin(*pin)) for tenant, session, *pin in state["pins"])
        self._credits = OrderedDict((head, Credit(*credit)) for head, *credit in state["credits"])


def session_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """A session for a conversation that has none: the hash of its beginning, up to the user's first message.

    Two conversations that begin alike are taken for one.
    """
    beginning = []
    for message in messages:
        beginning.append([message.get("role"), message.get("content")])
        if message.get("role") == "user":
            break
    digest = hashlib.blake2b(json.dumps(beginning, sort_keys=True, default=str).encode(), digest_size=12)
    return f"inferred-{digest.hexdigest()}"


def _rate(trade: Trade) -> float:
    return trade.cost_weight / trade.cost_ref_usd


def _weighted(outcome: Outcome) -> float:
    return 0.0 if outcome.quality is None else lesson_weight(outcome) * outcome.quality
