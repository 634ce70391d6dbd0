"""Tables of real outcomes, and policies that log and are judged on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from armwise.contracts import Arm, Experience, Model, Policy
from armwise.evaluation import LoggedFeedback
from armwise.policies import make_policy
from off_policy.machine import Array

DATA = Path(os.environ.get("ARMWISE_DATA", Path(__file__).parents[3] / "shared" / "data"))

COST_WEIGHT = 0.06
"""Points of quality per mean cost of the dearest arm: enough that the policies send prompts to more than one arm."""

Learner = Callable[[Array, np.random.Generator], tuple[Array, Array]]
"""Rows and a generator -> the arms [n] that were drawn for them, and the probabilities [n, K]."""
Behaviour = Array | Learner
"""A table of probabilities [prompts, K], or what learns while it logs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Outcomes of every arm on every prompt.

    Attributes:
        arms: K names.
        scores: [n, K].
        features: [n, d].
        costs: [n, K], as shares of the dearest arm's mean.
    """

    arms: tuple[str, ...]
    scores: Array
    features: Array
    costs: Array

    @classmethod
    def read(cls, name: str) -> World:
        """A table by its name."""
        path = DATA / f"{name}.parquet"
        if not path.exists():
            sys.exit(f"no {path}; set ARMWISE_DATA to the folder of outcome tables")
        columns = ["prompt_id", "task", "model", "score", "input_tokens", "cost_usd", "cost_est_usd"]
        table: Any = pq.read_table(path, columns=columns).to_pandas()
        scores = table.pivot(index="prompt_id", columns="model", values="score")
        first = table.drop_duplicates("prompt_id").set_index("prompt_id").loc[scores.index]
        tasks = sorted(first["task"].unique())
        one_hot = (first["task"].to_numpy()[:, None] == np.array(tasks[1:])).astype(float)
        length = np.log1p(first["input_tokens"].to_numpy())
        table["cost"] = table["cost_usd"].fillna(table["cost_est_usd"])
        costs = table.pivot(index="prompt_id", columns="model", values="cost").to_numpy()
        return cls(
            arms=tuple(str(name) for name in scores.columns),
            scores=scores.to_numpy(),
            features=np.column_stack([one_hot, (length - length.mean()) / length.std()]),
            costs=costs / costs.mean(axis=0).max(),
        )

    def value(self, table: Array) -> float:
        """Mean score under probabilities [n, K]."""
        return float((table * self.scores).sum(axis=1).mean())

    def draw(self, logging: Behaviour, n: int, seed: int) -> tuple[LoggedFeedback, Array]:
        """A log of n rows drawn with replacement, and which they are."""
        rng = np.random.default_rng([seed, 0])
        rows = rng.integers(0, len(self.scores), n)
        if callable(logging):
            arm, p = logging(rows, rng)
        else:
            p = logging[rows]
            edges = p.cumsum(axis=1)
            arm = (rng.random(n)[:, None] * edges[:, -1:] > edges).sum(axis=1)
        feedback = LoggedFeedback(
            arms=self.arms,
            arm=arm,
            propensity=p[np.arange(n), arm],
            outcomes={"quality": self.scores[rows, arm]},
            logging_probabilities=p,
            features=self.features[rows],
            bounds={"quality": (0.0, 1.0)},
        )
        return feedback, rows

    def behaviours(self) -> dict[str, Behaviour]:
        """Policies that log.

        The default logs while it still explores, after 300 lessons. Once it is sure, its log cannot answer, and the
        verdict says so (the report counts verdicts). With a floor under every arm it can.
        """
        k = len(self.arms)
        default, greedy = self._trained(300, 1)
        return {
            "uniform": np.full(self.scores.shape, 1.0 / k),
            "epsilon-greedy 0.2": 0.8 * np.eye(k)[greedy] + 0.2 / k,
            "default": default,
            "default, 2% floor": 0.98 * default + 0.02 / k,
            "default, 2% floor, learning": self._learning,
        }

    def targets(self) -> dict[str, Array]:
        """Policies that are judged, of [n, K]: they learned from other rows than those that log, and longer."""
        later, greedy = self._trained(3000, 2)
        return {"greedy": np.eye(len(self.arms))[greedy], "default": later}

    def _untrained(self, floor: float = 0.0) -> tuple[Policy, Array]:
        """The default policy before its first lesson, and the vectors that it sees."""
        vectors = np.column_stack([np.ones(len(self.features)), self.features]).astype(np.float32).astype(float)
        policy = make_policy("thompson", vectors.shape[1], floor=floor)
        for a in range(len(self.arms)):
            policy.add_arm(Arm(f"m{a}", models=(Model(f"m{a}", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0),)))
        return policy, vectors

    def _trained(self, lessons: int, seed: int) -> tuple[Array, Array]:
        """The default policy and its greedy arm on every prompt, after so many uniformly explored lessons."""
        n, k = self.scores.shape
        policy, vectors = self._untrained()
        rng = np.random.default_rng(seed)
        for i in rng.integers(0, n, lessons):
            slot = int(rng.integers(k))
            policy.learn(Experience(vectors[i], slot, float(self.scores[i, slot]), 1.0 / k))
        slots, penalties = np.arange(k), COST_WEIGHT * self.costs
        choices = [policy.choose(x, slots, taken, seed=0) for x, taken in zip(vectors, penalties, strict=True)]
        probabilities = np.array([choice.probabilities for choice in choices])
        greedy = (np.array([choice.quality for choice in choices]) - penalties).argmax(axis=1)
        return probabilities / probabilities.sum(axis=1, keepdims=True), greedy

    def _learning(self, rows: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """The default policy logs these rows and learns from each at once."""
        n, k = len(rows), len(self.arms)
        policy, vectors = self._untrained(floor=0.02)
        slots, penalties, uniform = np.arange(k), COST_WEIGHT * self.costs, rng.random(n)
        arms, table = np.empty(n, dtype=int), np.empty((n, k))
        for i, x in enumerate(rows):
            p = policy.choose(vectors[x], slots, penalties[x], seed=0).probabilities
            table[i] = p / p.sum()
            arm = arms[i] = min(int(np.searchsorted(table[i].cumsum(), uniform[i], side="right")), k - 1)
            policy.learn(Experience(vectors[x], arm, float(self.scores[x, arm]), float(table[i, arm])))
        return arms, table
