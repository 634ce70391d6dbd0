"""Every eligible arm alike: the reference logging policy."""

import numpy as np

from armwise.contracts import Choice, Slots, Vector
from armwise.policies.base import ModelPolicy
from armwise.policies.batch import Table


class Uniform(ModelPolicy):
    """Ignores what it knows. Its model still learns, so predictions are honest and logs are ideal for replay."""

    name = "uniform"

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        return Choice(np.full(len(slots), 1.0 / len(slots)), self.model.predict(vector, slots))

    def choose_many(self, vectors: Table, slots: Slots, penalties: Table) -> Table | None:
        return np.full(penalties.shape, 1.0 / len(slots))
