"""A new installation that imitates the present fixed rule at first."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from armwise.config.base import Settings


class ApprenticeSettings(Settings):
    """See :mod:`armwise.rollout`."""

    arm: str
    """What the present rule takes."""
    tasks: dict[str, str] = Field(default_factory=dict)
    """Task -> arm, where the rule takes another one."""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Of each draw that the policy has: without any, the log can answer no question."""

    def rule(self) -> dict[str, str]:
        """Task -> arm; "" is every other task."""
        return {**self.tasks, "": self.arm}
