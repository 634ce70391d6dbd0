"""A synthetic world whose truth is known: logistic quality per arm, lognormal costs, dearer arms better on average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from armwise.arrays import sigmoid
from armwise.contracts import Context, Model
from armwise.errors import BadInput
from armwise.simulation.episode import Episode


@dataclass(frozen=True, kw_only=True)
class SyntheticWorld:
    """Contexts are an intercept and normal features of mean square norm 1, rounded to float32.

    Arm k has weights of its own; its mean log-odds rise evenly from ``worst`` to ``best``, its price by a factor of
    ``price_ratio`` from the cheapest to the dearest. The score of a round is 0 or 1. The weights belong to the world
    (``world_seed``), not to the episode: seeds repeat the same problem with other luck.

    Raises:
        BadInput: on sizes that leave nothing to choose.
    """

    rounds: int = 5_000
    arms: int = 5
    dimension: int = 16
    worst: float = -0.5
    best: float = 1.5
    spread: float = 1.0
    """How much the context moves the log-odds of an arm (deviation)."""
    price_ratio: float = 30.0
    world_seed: int = 0
    name: str = "synthetic"

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.arms < 1 or self.dimension < 2:
            raise BadInput(
                f"a synthetic world needs rounds >= 1, arms >= 1, dimension >= 2, "
                f"got {self.rounds}, {self.arms}, {self.dimension}"
            )

    def episode(self, seed: int) -> Episode:
        world = np.random.default_rng(self.world_seed)
        weights = world.normal(size=(self.arms, self.dimension - 1)) * self.spread
        level = np.linspace(self.worst, self.best, self.arms)
        price = 0.2 * np.geomspace(1.0, self.price_ratio, self.arms)
        models = tuple(
            Model(f"arm-{k}", input_usd_per_mtok=float(p), output_usd_per_mtok=float(4 * p))
            for k, p in enumerate(price)
        )
        luck = np.random.default_rng((seed, self.world_seed))
        features = luck.normal(size=(self.rounds, self.dimension - 1)) / np.sqrt(self.dimension - 1)
        vectors = np.column_stack((np.ones(self.rounds), features)).astype(np.float32).astype(np.float64)
        chance = sigmoid(level + vectors[:, 1:] @ weights.T)
        score = (luck.random(chance.shape) < chance).astype(np.float64)
        input_tokens = np.exp(luck.normal(5.5, 0.6, self.rounds)).astype(np.int64) + 1
        output_tokens = np.exp(luck.normal(5.0, 0.5, (self.rounds, 1)) + luck.normal(0.0, 0.2, chance.shape))
        cost_usd = (input_tokens[:, None] * price + output_tokens * 4 * price) / 1e6
        task = np.where(vectors[:, 1] > 0, "day", "night")
        return Episode(
            name=self.name,
            models=models,
            contexts=[Context(v, str(t), int(n)) for v, t, n in zip(vectors, task, input_tokens, strict=True)],
            score=score,
            judged=score,
            cost_usd=cost_usd,
            delay=np.zeros(self.rounds, dtype=np.int64),
            feature_version=f"synthetic-{self.dimension}",
        )
