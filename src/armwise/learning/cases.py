"""The recent decisions and what was said of them, kept small.

The latest are kept as they are: most signals come within seconds. What is older is packed into one string of bytes,
with all that many decisions share (names, versions, kinds of signal) kept once; unpacked, it is the same bit for bit.
Packing takes as long as half a decision, so a thread of its own does it: whoever decides or reports does not wait.
"""

from __future__ import annotations

import struct
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from armwise.contracts import Context, Decision, Predictions, Signal, Trade
from armwise.rewards import Reading

_SHARED = 4_096
"""Most things kept once for the sake of many; what comes later is kept with its own decision."""

_PAUSE_S = 0.05
"""How long the packer rests where there is nothing to pack."""

_NUMBERS = struct.Struct("<6dQqII?")
"""at, propensity, the four of the trade, seed, input tokens, place of the arm, length of the vector, and whether that
needs 64 bits a number."""

T = TypeVar("T", bound=Hashable)


class Case(NamedTuple):
    """A decision, its signals, and what they came to when last read, by the standing that their sources had then."""

    decision: Decision
    signals: list[Signal]
    reading: Reading | None
    standing: int


class Cases:
    """The latest ``memory`` decisions by their id, of which some ``fresh`` are not packed. Safe to use from threads."""

    def __init__(self, memory: int, fresh: int = 1_000) -> None:
        self.memory = memory
        self._most_fresh = fresh
        self._lock = threading.Lock()
        self._packer: threading.Thread | None = None
        self._fresh: OrderedDict[str, Case] = OrderedDict()
        self._packed: OrderedDict[str, tuple[Any, ...]] = OrderedDict()
        self._shared: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self._fresh) + len(self._packed)

    def get(self, decision_id: str) -> Case | None:
        """The case of a decision; None if it is not kept. A packed one comes as a copy."""
        with self._lock:
            case = self._fresh.get(decision_id)
            packed = self._packed.get(decision_id) if case is None else None
        return case if packed is None else _unpacked(decision_id, packed)

    def put(self, case: Case) -> None:
        """Keep a case as it is now; the one longest untouched makes room."""
        name = case.decision.id
        with self._lock:
            self._packed.pop(name, None)
            self._fresh[name] = case
            if len(self) > self.memory:
                (self._packed or self._fresh).popitem(last=False)
        if self._packer is None and len(self._fresh) > self._most_fresh:
            self._packer = threading.Thread(
                target=_keep_packing, args=(weakref.ref(self),), name="armwise-cases", daemon=True
            )
            self._packer.start()

    def clear(self) -> None:
        """Keep none."""
        with self._lock:
            self._fresh.clear()
            self._packed.clear()
            self._shared.clear()

    # ------------------------------------------------------------------------------------------ packing

    def pack(self) -> bool:
        """Pack the oldest that is not; whether there was one beyond those that stay fresh."""
        with self._lock:
            if len(self._fresh) <= self._most_fresh:
                return False
            name, case = next(iter(self._fresh.items()))
        packed = self._pack(case)
        with self._lock:
            if self._fresh.get(name) is case:  # else something was said of it meanwhile
                del self._fresh[name]
                self._packed[name] = packed
        return True

    def _share(self, value: T) -> T:
        """The value, the same object for all that are equal."""
        known: T | None = self._shared.get(value)
        if known is None:
            known = value
            if len(self._shared) < _SHARED:
                self._shared[value] = value
        return known

    def _pack(self, case: Case) -> tuple[Any, ...]:
        d, context = case.decision, case.decision.context
        short = context.vector.astype(np.float32)
        exact = not np.array_equal(short, context.vector)
        numbers = _NUMBERS.pack(
            d.at,
            d.propensity,
            *d.trade,
            d.seed,
            context.input_tokens,
            d.arms.index(d.arm),
            len(context.vector),
            exact,
        )
        per_arm = np.concatenate((d.probability_of, *d.predictions)).tobytes()
        vector = context.vector.tobytes() if exact else short.tobytes()
        common = self._share(
            (
                d.arms,
                tuple(d.excluded.items()),
                d.method,
                d.policy_version,
                d.feature_version,
                d.tenant,
                context.task,
                context.tools,
                context.modalities,
            )
        )
        rare = (d.session, d.head, d.switched, d.beside)
        said = self._share(tuple((s.kind, s.source, s.event_id, s.retracts) for s in case.signals))
        values = struct.pack(f"<{2 * len(said)}d", *(x for s in case.signals for x in (s.value, s.at)))
        blob = numbers + per_arm + vector + values
        return (common, said, blob) if all(value is None for value in rare) else (common, said, blob, *rare)


def _keep_packing(of: weakref.ref[Cases]) -> None:
    """The packer: ends with its cases, and lets others go first between any two."""
    while (cases := of()) is not None:
        pause = 0.0 if cases.pack() else _PAUSE_S
        del cases
        time.sleep(pause)


def _unpacked(name: str, packed: tuple[Any, ...]) -> Case:
    common, said, blob = packed[:3]
    session, head, switched, beside = packed[3:] or (None,) * 4
    arms, excluded, method, policy_version, feature_version, tenant, task, tools, modalities = common
    at, propensity, *trade, seed, input_tokens, arm, length, exact = _NUMBERS.unpack_from(blob)
    start, count = _NUMBERS.size, len(arms)
    per_arm = np.frombuffer(blob, np.float64, 4 * count, start).reshape(4, count).copy()
    start += per_arm.nbytes
    vector = np.frombuffer(blob, np.float64 if exact else np.float32, length, start)
    start += vector.nbytes
    values = struct.unpack_from(f"<{2 * len(said)}d", blob, start)
    decision = Decision(
        name,
        at,
        arms[arm],
        propensity,
        arms,
        per_arm[0],
        dict(excluded),
        Predictions(*per_arm[1:]),
        Trade(*trade),
        Context(vector.astype(np.float64), task, input_tokens, tools, modalities),
        method,
        seed,
        policy_version,
        feature_version,
        tenant,
        session,
        head,
        switched,
        beside,
    )
    signals = [
        Signal(decision_id=name, kind=k, value=v, source=s, event_id=e, at=t, retracts=r)
        for (k, s, e, r), v, t in zip(said, values[::2], values[1::2], strict=True)
    ]
    return Case(decision, signals, None, -1)
