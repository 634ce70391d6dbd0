"""Which arms may take requests with tools."""

from __future__ import annotations

from armwise.config.base import PositiveInt, Probability, Settings
from armwise.constraints import ToolRule


class ToolSettings(Settings):
    """See :class:`armwise.constraints.ToolRule`."""

    min_validity: Probability
    probe_every: PositiveInt = 50

    def record(self) -> ToolRule:
        """The rule as the router takes it."""
        return ToolRule(**self.model_dump())
