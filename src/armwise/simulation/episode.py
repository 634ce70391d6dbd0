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

from armwise.contracts import Context, Model, PoolChange
from armwise.errors import BadInput
from armwise.simulation.table import Matrix


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

    @property
    def cost_ref_usd(self) -> float:
        """Mean cost of the arm with the highest mean quality: the unit of cost weights here."""
        return float(self.cost_usd[:, self.score.mean(axis=0).argmax()].mean())


class World(Protocol):
    """Something that traffic comes from."""

    @property
    def name(self) -> str: ...

    def episode(self, seed: int) -> Episode:
        """One run's worth of traffic and outcomes. The same seed gives the same episode."""
        ...
