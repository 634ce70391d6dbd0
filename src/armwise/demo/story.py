"""What the demo tells, apart from how: the prompts it decides live, the query it suggests, and what the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from armwise.simulation.baselines import Frontier
from armwise.simulation.replay import Run
from armwise.simulation.table import OutcomeTable

ASKED = (
    "What is the capital of Mongolia?",
    "A 2 kg block slides down a frictionless incline of 30 degrees. What is its acceleration?",
    "A landlord refuses to return a deposit after the lease has ended. Which remedies does the tenant have at law?",
    "Write a Python function that merges two sorted lists without using sorted().",
    "Which enzyme unwinds DNA during replication? A. ligase B. helicase C. primase D. polymerase",
)

BUDGET = 0.45
"""What the live run may spend, as a share of the best model's mean cost."""

QUERY = """SELECT d.arm, count(*) AS requests, avg(q.value) AS quality, sum(c.value) AS usd, avg(d.propensity) AS chance
FROM decisions d
JOIN signals q ON q.decision_id = d.id AND q.kind = 'quality'
JOIN signals c ON c.decision_id = d.id AND c.kind = 'cost_usd'
GROUP BY d.arm ORDER BY requests DESC"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Story:
    """All that the page is made of."""

    table: OutcomeTable
    run: Run
    frontiers: Sequence[Frontier]
    """The router's, one per order of the prompts."""
    baselines: Mapping[str, Frontier]
    result: Mapping[str, Any]
