"""Outcome tables: what is loaded is what the source says, and what is wrong is named."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from armwise.contracts import Request
from armwise.errors import BadInput
from armwise.features import TextEncoder, VectorEncoder
from armwise.simulation import OutcomeTable

DATA = Path(os.environ.get("ARMWISE_DATA", Path(__file__).parents[2] / "../shared/data"))


def long_rows(prompts: int = 30) -> dict[str, list]:
    rows = [(f"p{i:03d}", model, k) for i in range(prompts) for k, model in enumerate(("a", "b"))]
    return {
        "dataset": ["toy"] * len(rows),
        "prompt_id": [p for p, _, _ in rows],
        "prompt": [f"How many is {p}?" for p, _, _ in rows],
        "task": ["counting"] * len(rows),
        "model": [m for _, m, _ in rows],
        "score": [float((i + k) % 2) for i, (_, _, k) in enumerate(rows)],
        "input_tokens": [10 + int(p[1:]) for p, _, _ in rows],
        "output_tokens": [20 + (7 * int(p[1:])) % 11 for p, _, _ in rows],
        "cost_est_usd": [(10 + int(p[1:]) + 3 * (20 + (7 * int(p[1:])) % 11)) * (k + 1) * 1e-6 for p, _, k in rows],
    }


def write(tmp_path: Path, rows: dict[str, list]) -> Path:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(rows), path)
    return path


def test_long_parquet_is_read_whole(tmp_path):
    table = OutcomeTable.read_parquet(write(tmp_path, long_rows()))
    assert (len(table), table.arms, table.dropped) == (30, ("a", "b"), 0)
    assert table.tasks[0] == "counting"
    prices = [(m.input_usd_per_mtok, m.output_usd_per_mtok) for m in table.models]
    np.testing.assert_allclose(prices, [(1.0, 3.0), (2.0, 6.0)], rtol=1e-6)
    np.testing.assert_array_equal(
        table.vectors[3], TextEncoder().encode(Request.from_text("How many is p003?", task="counting")).vector
    )


def test_incomplete_prompts_are_dropped_and_counted(tmp_path):
    rows = long_rows(100)
    rows["score"][5] = None
    table = OutcomeTable.read_parquet(write(tmp_path, rows))
    assert (len(table), table.dropped) == (99, 1)


@pytest.mark.parametrize("column", ["score", "cost_est_usd"])
def test_a_missing_column_is_named(tmp_path, column):
    rows = long_rows()
    del rows[column]
    with pytest.raises(BadInput, match=f"lacks .*{column}"):
        OutcomeTable.read_parquet(write(tmp_path, rows))


def test_a_score_out_of_range_names_the_prompt(tmp_path):
    rows = long_rows()
    rows["score"][8] = 1.5
    with pytest.raises(BadInput, match=r"score must be within 0 and 1, got 1\.5 for prompt 'p004'"):
        OutcomeTable.read_parquet(write(tmp_path, rows))


def test_two_rows_of_one_model_are_refused(tmp_path):
    rows = {name: [*values, values[0]] for name, values in long_rows().items()}
    with pytest.raises(BadInput, match="two rows of one model"):
        OutcomeTable.read_parquet(write(tmp_path, rows))


def test_several_datasets_must_be_told_apart(tmp_path):
    rows = {name: values * 2 for name, values in long_rows().items()}
    rows["dataset"] = ["one"] * 60 + ["two"] * 60
    path = write(tmp_path, rows)
    with pytest.raises(BadInput, match="name one: one, two"):
        OutcomeTable.read_parquet(path)
    with pytest.raises(BadInput, match="no dataset 'three'"):
        OutcomeTable.read_parquet(path, dataset="three")
    assert len(OutcomeTable.read_parquet(path, dataset="two", limit=7)) == 7


def test_what_is_no_parquet_is_said_so(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_text("prompt,score\n")
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        OutcomeTable.read_parquet(path)


def test_shapes_are_checked_at_birth(table):
    with pytest.raises(BadInput, match="score must have shape"):
        replace(table, score=table.score[:-1])
    with pytest.raises(BadInput, match="within 0 and 1"):
        replace(table, score=table.score * 2)
    with pytest.raises(BadInput, match="finite and at least 0"):
        replace(table, cost_usd=table.cost_usd * np.nan)


def test_take_keeps_rows_together(table):
    rows = np.random.default_rng(1).permutation(len(table))[:50]
    part = table.take(rows)
    assert part.tasks == tuple(table.tasks[i] for i in rows)
    for name in ("vectors", "input_tokens", "output_tokens", "cost_usd", "score"):
        np.testing.assert_array_equal(getattr(part, name), getattr(table, name)[rows])


def test_the_packaged_table_is_what_its_source_says(packaged):
    assert (len(packaged), len(packaged.models)) == (12_002, 12)
    assert packaged.arms[packaged.best] == "gemini-1.5-pro-002"
    assert packaged.score[:, packaged.best].mean() == pytest.approx(0.7024, abs=5e-5)
    assert packaged.cost_ref_usd == pytest.approx(0.5433e-3, rel=1e-3)
    assert len(set(packaged.tasks)) == 14
    assert packaged.feature_version == TextEncoder().version


def test_packaged_contexts_are_those_of_the_text(packaged):
    """One byte per dimension of the sketch costs next to nothing."""
    path = DATA / "mmlu_pro.parquet"
    if not path.exists():
        pytest.skip(f"needs {path}: set ARMWISE_DATA")
    rows = pq.read_table(path, columns=["prompt", "task", "input_tokens"]).slice(0, 480).to_pylist()
    encoder = TextEncoder()
    near = 0
    for row in rows[::12]:
        vector = encoder.encode(Request.from_text(row["prompt"], task=row["task"])).vector
        near += np.abs(packaged.vectors - vector).max(axis=1).min() < 0.01
    assert near == 40


def test_another_encoder_may_make_the_contexts(tmp_path):
    with pytest.raises(BadInput, match="ready vectors"):
        OutcomeTable.read_parquet(write(tmp_path, long_rows()), encoder=VectorEncoder(3))
