"""How often an upstream call to each arm gives a valid answer."""

import numpy as np

from armwise.arrays import grown
from armwise.contracts import Slots, State, Vector
from armwise.errors import BadInput


class ValidityModel:
    """Per arm the share of its calls that gave an answer: a count of both kinds that forgets.

    A new arm starts at ``expected`` as though ``patience`` calls had been seen. It takes no account of the request.

    Raises:
        BadInput: on parameters out of range.
    """

    def __init__(self, *, expected: float = 0.98, patience: float = 10.0, forgetting: float = 0.995) -> None:
        if not 0 < expected < 1 or patience <= 0 or not 0 < forgetting <= 1:
            raise BadInput(
                f"validity needs expected in (0, 1), patience > 0 and forgetting in (0, 1], "
                f"got {expected}, {patience}, {forgetting}"
            )
        self.expected = expected
        self.patience = patience
        self.forgetting = forgetting
        self._valid = np.zeros(0)
        self._calls = np.zeros(0)

    def add_arm(self) -> None:
        """Make room for an arm."""
        slot = len(self._calls)
        self._valid, self._calls = grown(self._valid, slot + 1), grown(self._calls, slot + 1)

    def predict(self, slots: Slots) -> Vector:
        """Probability of a valid answer per arm; shape (arms,)."""
        prior = self.patience * self.expected
        rate: Vector = (self._valid[slots] + prior) / (self._calls[slots] + self.patience)
        return rate

    def learn(self, slot: int, valid: bool) -> None:
        """One call was made."""
        self._valid[slot] = self.forgetting * self._valid[slot] + valid
        self._calls[slot] = self.forgetting * self._calls[slot] + 1.0

    def state(self) -> State:
        return {"valid": self._valid.copy(), "calls": self._calls.copy()}

    def restore(self, state: State) -> None:
        self._valid, self._calls = state["valid"].copy(), state["calls"].copy()
