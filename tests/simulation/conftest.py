"""A small table with a known answer, and the packaged one."""

import numpy as np
import pytest

from armwise.contracts import Model
from armwise.simulation import OutcomeTable


def make_table(rows: int = 400, *, seed: int = 0) -> OutcomeTable:
    """Two kinds of prompts: on the easy ones both arms are right, on the hard ones only the dear arm is."""
    rng = np.random.default_rng(seed)
    hard = rng.random(rows) < 0.4
    vectors = np.column_stack((np.ones(rows), np.where(hard, 1.0, -1.0)))
    input_tokens = rng.integers(50, 150, rows)
    models = (
        Model("small", input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
        Model("large", input_usd_per_mtok=1.0, output_usd_per_mtok=4.0),
    )
    output_tokens = rng.integers(50, 150, (rows, 2)).astype(float)
    prices = np.array([[0.1, 0.4], [1.0, 4.0]]) / 1e6
    return OutcomeTable(
        name="two",
        models=models,
        tasks=tuple(np.where(hard, "hard", "easy").tolist()),
        vectors=vectors,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=input_tokens[:, None] * prices[:, 0] + output_tokens * prices[:, 1],
        score=np.column_stack((np.where(hard, 0.0, 1.0), np.ones(rows))),
        feature_version="test-2",
    )


@pytest.fixture
def table() -> OutcomeTable:
    return make_table()


@pytest.fixture
def long_table() -> OutcomeTable:
    """Long enough for the default's strong prior on slopes to give way."""
    return make_table(2_000)


@pytest.fixture(scope="session")
def packaged() -> OutcomeTable:
    return OutcomeTable.packaged()
