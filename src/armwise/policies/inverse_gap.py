"""What policies that weight arms by inverse gaps share: a rate that grows with what was learned."""

from collections.abc import Mapping
from typing import Any

from armwise.contracts import QualityModel
from armwise.errors import BadInput
from armwise.policies.base import ModelPolicy


class InverseGapWeighting(ModelPolicy):
    """A policy whose draws narrow at the rate gamma = ``gamma`` * (1 + lessons) ** ``exponent``.

    Raises:
        BadInput: on a gamma that is not positive or an exponent outside [0, 1].
    """

    def __init__(self, model: QualityModel, gamma: float, exponent: float) -> None:
        super().__init__(model)
        if not gamma > 0 or not 0 <= exponent <= 1:
            raise BadInput(f"{self.name} needs gamma > 0 and 0 <= exponent <= 1, got {gamma} and {exponent}")
        self.gamma = gamma
        self.exponent = exponent

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"gamma": self.gamma, "exponent": self.exponent}

    @property
    def rate(self) -> float:
        """gamma after the lessons so far."""
        grown: float = self.gamma * (1.0 + self.model.lessons) ** self.exponent
        return grown
