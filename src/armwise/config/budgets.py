"""Budgets: what may be spent, on whose requests and on which."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from armwise.config.base import NonNegative, Settings
from armwise.contracts import Budget
from armwise.errors import BadInput

Name = Annotated[str, Field(min_length=1)]


class BudgetSettings(Settings):
    """One budget; see :class:`armwise.contracts.Budget`."""

    usd: NonNegative
    per: Literal["request", "day"] = "day"
    tenant: Name | None = None
    task: Name | None = None
    hard_stop: bool = False
    name: str = ""

    @model_validator(mode="after")
    def _sound(self) -> BudgetSettings:
        try:
            self.record()
        except BadInput as error:
            raise ValueError(str(error)) from error
        return self

    def record(self) -> Budget:
        """The budget as the router takes it."""
        return Budget(**self.model_dump())
