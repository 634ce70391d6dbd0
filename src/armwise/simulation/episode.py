"""An episode: everything that will happen in one run of a world, whatever the policy does. Drawn before it starts.

Because arms' outcomes do not depend on the policy, two policies on the same episode face the same luck, and their
difference can be measured in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from armwise.contracts import Context, Model, PoolChange, Vector
from armwise.errors import BadInput
from armwise.simulation.table import Matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedFeedback:
    """Of an episode whose outcomes come from a log: only the logged arm's are known, NaN stands for the others.

    A round counts where the policy draws the logged arm and ``accepted`` says so; see
    :mod:`armwise.simulation.worlds.logged`.
    """

    arm: npt.NDArray[np.int64]
    """Shape (rounds,): column of the logged arm."""
    propensity: Vector
    accepted: npt.NDArray[np.bool_]
    actions: Sequence[frozenset[str]]
    """The arms that were eligible in each round."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """Rounds in order. All matrices have shape (rounds, arms), columns in the order of ``models``.

    Raises:
        BadInput: if shapes disagree.
    """

    name: str
    models: tuple[Model, ...]
    """Every arm that there will ever be, with its particulars at the start."""
    contexts: Sequence[Context]
    score: Matrix
    """True quality; the measure of regret, never shown to the policy."""
    judged: Matrix
    """What the judge would report; NaN where it never does."""
    cost_usd: Matrix
    """What would be billed."""
    delay: npt.NDArray[np.int64]
    """Shape (rounds,): rounds that pass before the judgement arrives."""
    feature_version: str
    changes: Mapping[int, Sequence[PoolChange]] = field(default_factory=dict)
    """Round -> changes of the pool before it: new arms, new prices."""
    outages: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)
    """Round -> arm -> why it is out of use from here, or None: it is back."""
    late: frozenset[str] = frozenset()
    """Arms that are not in the pool at the start."""
    feedback: LoggedFeedback | None = None
    """Where outcomes come from a log; None where those of every arm are known."""

    def __post_init__(self) -> None:
        shape = len(self.contexts), len(self.models)
        for name in ("score", "judged", "cost_usd"):
            if getattr(self, name).shape != shape:
                raise BadInput(f"episode {self.name!r}: {name} must have shape {shape}")
        if self.delay.shape != shape[:1] or (len(self.delay) and self.delay.min() < 0):
            raise BadInput(f"episode {self.name!r}: delay must be one whole number of at least 0 per round")

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order of the columns."""
        return tuple(model.name for model in self.models)

    @property
    def dimension(self) -> int:
        """Length of the contexts."""
        return len(self.contexts[0].vector)

    def arm_means(self) -> tuple[Vector, Vector]:
        """Mean quality and mean cost of every arm; of a log, weighted by inverse propensity (0 of an unseen arm)."""
        if self.feedback is None:
            return self.score.mean(axis=0), self.cost_usd.mean(axis=0)
        arms, arm, weight = len(self.models), self.feedback.arm, 1.0 / self.feedback.propensity
        every = np.arange(len(arm))

        def mean(values: Vector) -> Vector:
            known = ~np.isnan(values)
            mass = np.bincount(arm[known], weights=weight[known], minlength=arms)
            total = np.bincount(arm[known], weights=weight[known] * values[known], minlength=arms)
            return np.asarray(total / np.where(mass > 0, mass, 1.0))

        return mean(self.score[every, arm]), mean(self.cost_usd[every, arm])

    @property
    def cost_ref_usd(self) -> float:
        """Mean cost of the arm with the highest mean quality: the unit of cost weights here."""
        quality, cost_usd = self.arm_means()
        return float(cost_usd[quality.argmax()]) or 1e-3


class World(Protocol):
    """Something that traffic comes from."""

    @property
    def name(self) -> str: ...

    def episode(self, seed: int) -> Episode:
        """One run's worth of traffic and outcomes. The same seed gives the same episode."""
        ...
