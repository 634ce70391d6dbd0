"""The world of an outcome table: its prompts in an order drawn by the seed, judged at once and without error."""

from __future__ import annotations

import numpy as np

from armwise.simulation.episode import Episode
from armwise.simulation.table import OutcomeTable


class TableWorld:
    """Every prompt of a table once, shuffled by the seed."""

    def __init__(self, table: OutcomeTable, *, name: str | None = None) -> None:
        self.table = table
        self.name = name or table.name

    def episode(self, seed: int) -> Episode:
        return self._of(self.table.take(np.random.default_rng(seed).permutation(len(self.table))))

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
