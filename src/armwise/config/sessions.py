"""When a session keeps its arm."""

from __future__ import annotations

from armwise.config.base import Positive, PositiveInt, Settings
from armwise.sessions import SessionRules


class SessionSettings(Settings):
    """See :class:`armwise.sessions.SessionRules`."""

    idle_s: Positive = 3_600.0
    budget_margin: Positive = 0.5
    infer: bool = False
    capacity: PositiveInt = 10_000

    def record(self) -> SessionRules:
        """The rules as the router takes them."""
        return SessionRules(**self.model_dump())
