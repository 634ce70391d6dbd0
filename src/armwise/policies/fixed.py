"""A mix that was decided beforehand: one arm, or shares of several."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.contracts import Arm, Choice, QualityModel, Slots, State, Vector
from armwise.errors import BadInput, unknown
from armwise.policies.base import ModelPolicy, best_of


class Fixed(ModelPolicy):
    """Always the same arm, or a random mix in given shares: with two arms, a point of the hull that routers must beat.

    Where a request excludes some of the named arms, the others keep their proportions; where it excludes all of them,
    the best predicted utility answers. The model learns all the same.

    Args:
        arm: the one arm; or
        shares: arm -> its share, in any unit.

    Raises:
        BadInput: unless exactly one of the two is given; on shares that are negative or all zero; and, when choosing,
            if a named arm has never been in the pool.
    """

    name = "fixed"

    def __init__(
        self, model: QualityModel, *, arm: str | None = None, shares: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(model)
        if (arm is None) == (shares is None):
            raise BadInput(f"fixed needs exactly one of arm and shares, got {arm!r} and {shares!r}")
        named = {arm: 1.0} if arm is not None else dict(shares or {})
        if not named or not all(0 <= share < float("inf") for share in named.values()) or not any(named.values()):
            raise BadInput(f"fixed needs shares of at least 0, finite and not all 0, got {shares!r}")
        self.shares: Mapping[str, float] = named
        self._names: list[str] = []
        self._share = np.zeros(0)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"shares": dict(self.shares)}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        for name in self.shares:
            if name not in self._names:
                raise BadInput(f"policy 'fixed': {unknown('arm', name, self._names)}")
        quality = self.model.predict(vector, slots)
        share = self._share[slots]
        total = float(share.sum())
        return Choice(share / total if total > 0 else best_of(quality - penalty), quality)

    def add_arm(self, arm: Arm) -> int:
        slot = super().add_arm(arm)
        self._names.append(arm.name)
        self._share = np.append(self._share, self.shares.get(arm.name, 0.0))
        return slot

    def state(self) -> State:
        return {**super().state(), "names": list(self._names)}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._names = [str(name) for name in state["names"]]
        self._share = np.array([self.shares.get(name, 0.0) for name in self._names])
