"""The world of an outcome table: its prompts in an order drawn by the seed, judged at once and without error."""

from __future__ import annotations

import numpy as np

from armwise.errors import BadInput, unknown
from armwise.simulation.episode import Episode
from armwise.simulation.table import OutcomeTable

ORDERS = ("shuffled", "given", "by_task")


def check_order(order: str) -> None:
    """Raise BadInput unless it is one of :data:`ORDERS`."""
    if order not in ORDERS:
        raise BadInput(unknown("order", order, ORDERS))


class TableWorld:
    """Every prompt of a table once.

    Args:
        order: ``shuffled`` by the seed; ``given``, as the table has them; or ``by_task``, one task after the other
            (their order and that within them drawn by the seed), the hardest traffic for what was learned before.

    Raises:
        BadInput: on another order.
    """

    def __init__(self, table: OutcomeTable, *, name: str | None = None, order: str = "shuffled") -> None:
        check_order(order)
        self.table = table
        self.name = name or table.name
        self.order = order

    def episode(self, seed: int) -> Episode:
        if self.order == "given":
            return self.ordered()
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(self.table))
        if self.order == "by_task":
            kinds, task = np.unique(self.table.tasks, return_inverse=True)
            rows = rows[np.argsort(rng.permutation(len(kinds))[task[rows]], kind="stable")]
        return self._of(self.table.take(rows))

    def ordered(self) -> Episode:
        """The table in its own order."""
        return self._of(self.table)

    def _of(self, table: OutcomeTable) -> Episode:
        return Episode(
            name=self.name,
            models=table.models,
            contexts=table.contexts,
            score=table.score,
            judged=table.score,
            cost_usd=table.cost_usd,
            delay=np.zeros(len(table), dtype=np.int64),
            feature_version=table.feature_version,
        )
