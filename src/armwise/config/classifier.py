"""The classifier of tasks that is trained from the log."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from armwise.config.base import Positive, PositiveInt, Settings


class ClassifierSettings(Settings):
    """What ``armwise retrain`` learns it from, and when it is good enough; see ``docs/strategies.md``."""

    least_labels: PositiveInt = 30
    """Labelled requests that a task has to have; rarer ones are left out."""
    latest_rows: PositiveInt = 50_000
    """Labelled requests it learns from at most, the latest ones."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of them, the latest, by which it is judged."""
    precision: Positive = 1.0
    """Ridge on its weights."""
