"""A small synthetic world whose true values are known."""

from dataclasses import dataclass

import numpy as np
import pytest

from armwise.evaluation import LoggedFeedback

ARMS = ("small", "medium", "large")


@dataclass(frozen=True, kw_only=True)
class World:
    """Contexts in {0..9}, three arms, Bernoulli quality and gamma cost; everything is computable exactly."""

    quality: np.ndarray  # [10, 3]
    cost: np.ndarray  # [10, 3]
    logging: np.ndarray  # [10, 3]
    target: np.ndarray  # [10, 3]

    def truth(self, policy: np.ndarray, outcome: str) -> float:
        table = self.quality if outcome == "quality" else self.cost
        return float((policy * table).sum(axis=1).mean())

    def draw(self, n: int, rng: np.random.Generator, *, judged: np.ndarray | None = None, features: bool = True):
        """Feedback of n rows, and the target's probabilities on them."""
        x = rng.integers(0, 10, n)
        probabilities = self.logging[x]
        arm = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        quality = (rng.random(n) < self.quality[x, arm]).astype(float)
        cost = rng.gamma(4.0, self.cost[x, arm] / 4.0)
        seen = None
        if judged is not None:
            chance = judged[x, arm]
            quality = np.where(rng.random(n) < chance, quality, np.nan)
            seen = {"quality": chance}
        feedback = LoggedFeedback(
            arms=ARMS,
            arm=arm,
            propensity=probabilities[np.arange(n), arm],
            outcomes={"quality": quality, "cost_usd": cost},
            logging_probabilities=probabilities,
            observation_probability=seen,
            bounds={"quality": (0.0, 1.0), "cost_usd": (0.0, 100.0)},
            features=np.eye(10)[x][:, 1:] if features else None,
            slices={"half": np.where(x < 5, "low", "high")},
        )
        return feedback, self.target[x]


@pytest.fixture(scope="session")
def world() -> World:
    rng = np.random.default_rng(7)
    quality = rng.uniform(0.1, 0.9, (10, 3))
    logging = 0.7 * rng.dirichlet(np.ones(3), 10) + 0.1
    target = 0.1 / 3 + 0.9 * np.eye(3)[quality.argmax(axis=1)]
    return World(quality=quality, cost=rng.uniform(1.0, 5.0, (10, 3)), logging=logging, target=target)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)
