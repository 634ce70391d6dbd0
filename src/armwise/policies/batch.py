"""Many decisions at once, for evaluation: what a policy would do on each of n contexts with one action set.

A policy may offer ``choose_many``; for the others, and wherever randomness is drawn by decision, :func:`choose_many`
asks ``choose`` one by one. The two agree up to rounding; a test holds every policy to it.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import Policy, Slots

Table = NDArray[np.float64]
"""Two-dimensional float64 array."""


@runtime_checkable
class Batched(Protocol):
    """A policy that answers many contexts in one go."""

    def choose_many(self, vectors: Table, slots: Slots, penalties: Table) -> Table | None:
        """[n, k] probabilities over ``slots`` for contexts [n, d] and penalties [n, k], or None: its engine cannot."""
        ...


def choose_many(policy: Policy, vectors: Table, slots: Slots, penalties: Table, seeds: NDArray[np.uint64]) -> Table:
    """[n, k], as ``policy.choose(vectors[i], slots, penalties[i], seed=seeds[i]).probabilities`` row by row."""
    vectors, penalties = np.ascontiguousarray(vectors), np.ascontiguousarray(penalties)
    if isinstance(policy, Batched):
        made = policy.choose_many(vectors, slots, penalties)
        if made is not None:
            return made
    out = np.empty(penalties.shape)
    for i, seed in enumerate(seeds.tolist()):
        out[i] = policy.choose(vectors[i], slots, penalties[i], seed=seed).probabilities
    return out


def predict_many(model: object, vectors: Table, slots: Slots) -> Table | None:
    """[n, k] mean qualities from an engine that can tell many at once, else None."""
    many = getattr(model, "predict_many", None)
    if many is None:
        return None
    quality: Table = many(vectors, slots)
    return quality
