"""What the parts ask of each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from armwise.contracts.arms import Arm
from armwise.contracts.decisions import Choice, Decision
from armwise.contracts.events import Event, Signal
from armwise.contracts.requests import Context, Request
from armwise.contracts.values import Slots, State, Vector


@runtime_checkable
class Encoder(Protocol):
    """Request -> Context. Pure: the same request always gives the same vector."""

    @property
    def version(self) -> str:
        """Names everything that decides what the numbers mean; a changed encoder has another version."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """One name per dimension."""
        ...

    def encode(self, request: Request) -> Context: ...


class Experience(NamedTuple):
    """A policy's lesson: the context it saw, the arm that was drawn and how, and the quality that came back."""

    vector: Vector
    slot: int
    quality: float
    propensity: float = 1.0
    penalty: float = 0.0
    """What the arm's predicted cost and latency took off its quality at the time; utility = quality - penalty."""
    weight: float = 1.0
    """What the lesson counts, from 0 to 1; 0 takes the one it replaces back and puts nothing in its place."""
    replaces: float | None = None
    """The quality learned earlier for the same decision, where this lesson is its correction."""
    replaced_weight: float = 1.0
    """The weight that ``replaces`` was learned with."""
    actions: tuple[int, ...] | None = None
    """Slots of the action set that the arm was drawn from, where known; else it was drawn from all arms."""


class Knowledge(IntEnum):
    """What a quality engine can tell of every arm, and what a policy needs to be told. Each includes those before."""

    MEAN = 1
    POSTERIOR = 2


class Policy(Protocol):
    """Context and action set -> probabilities; learns quality from experience. Deterministic given its inputs."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """Name and parameters: enough to build it anew."""
        ...

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        """Probabilities over ``slots`` (shape (arms,)), given what each arm's cost and latency take off its utility.

        Changes nothing. ``slots`` is never empty: a request that no arm may answer is refused before. ``seed`` feeds
        those policies that estimate their probabilities by drawing.
        """
        ...

    def learn(self, experience: Experience) -> None:
        """Take in one lesson."""
        ...

    def add_arm(self, arm: Arm) -> int:
        """Make room for an arm; returns its slot, the next whole number from 0."""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class QualityModel(Protocol):
    """A regression engine: predicts the quality of every arm and learns online from single lessons."""

    @property
    def knowledge(self) -> Knowledge:
        """What it can tell."""
        ...

    @property
    def dimension(self) -> int:
        """Length of the context vectors."""
        ...

    @property
    def spec(self) -> Mapping[str, Any]:
        """Engine and parameters: two models of one spec that learned the same lessons are in the same state."""
        ...

    @property
    def lessons(self) -> int:
        """How many lessons it has taken in."""
        ...

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        """Mean quality of the arms, in [0, 1]; shape (arms,)."""
        ...

    def learn(self, experience: Experience) -> None: ...

    def add_arm(self, arm: Arm) -> int: ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Posterior(NamedTuple):
    """A normal belief about the score of each arm; quality = sigmoid(score) for a logit link, else the score itself."""

    mean: Vector
    deviation: Vector
    logit: bool


class BayesianModel(QualityModel, Protocol):
    """A regression engine that knows how sure it is."""

    def posterior(self, vector: Vector, slots: Slots) -> Posterior: ...


class Log(Protocol):
    """The source of truth: an append-only sequence of events. Positions start at 1 and never repeat."""

    @property
    def position(self) -> int:
        """Position of the last event appended, durable or not; 0 for an empty log."""
        ...

    def append(self, event: Event) -> int:
        """Queue an event and return its position. Does no I/O; never blocks on the disk."""
        ...

    def flush(self, timeout: float | None = None) -> None:
        """Return when every event appended so far is durable.

        Raises:
            LogError: if it cannot be made so; the events stay queued.
        """
        ...

    def secure(self, timeout: float | None = None) -> None:
        """Return when every event appended so far would survive a crash of the process: as ``flush``, or quicker.

        Raises:
            LogError: if it cannot be made so; the events stay queued.
        """
        ...

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Events with their positions, in order, from the first behind ``after``. Flushes first."""
        ...

    def decision(self, decision_id: str) -> Decision | None: ...

    def signals(self, decision_id: str, *, before: int | None = None) -> list[Signal]:
        """Signals of one decision in the order of the log, duplicates left out; ``before`` that position, if given."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class PolicyBook(Protocol):
    """A log that keeps what the policy versions of its decisions are."""

    def record_policy(self, version: str, *, spec: str, feature_version: str, at: float) -> None:
        """Write down what a policy version is (``spec`` as JSON). Does I/O; a version that is there stays as it is.

        Raises:
            LogError: if it cannot be written.
        """
        ...


@runtime_checkable
class Prunable(Protocol):
    """A log that can drop its oldest decisions."""

    @property
    def pruned_to(self) -> int:
        """Position up to which decisions have been dropped; 0 for none."""
        ...

    def boundary(self, before: float) -> int:
        """Position up to which every decision is older than ``before`` (Unix time, seconds)."""
        ...

    def hide(self, until: int) -> None:
        """Answer no more look-ups of decisions up to a position."""
        ...

    def prune(self, until: int) -> int:
        """Delete decisions up to a position, and what belongs to them; returns how many decisions went."""
        ...
