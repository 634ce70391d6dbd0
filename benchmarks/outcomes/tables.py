"""The four tables of real outcomes that are reported."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from armwise.simulation import OutcomeTable

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ARMWISE_DATA", ROOT / "../shared/data"))
TABLES = {
    "mmlu_pro": ("mmlu_pro.parquet", None),
    "routerbench": ("routerbench_subset.parquet", None),
    "MMLU": ("routellm.parquet", "routellm_mmlu"),
    "GSM8K": ("routellm.parquet", "routellm_gsm8k"),
}
"""Name -> file and, where it holds several, dataset."""


@cache
def table_of(data: Path, name: str, told: bool = False) -> OutcomeTable:
    """One of the four, without the prompts that RouteLLM calls contaminated; with task labels where ``told``."""
    file, dataset = TABLES[name]
    rows = pq.read_table(data / file)
    if "contaminated" in rows.column_names:
        rows = rows.filter(pc.invert(rows.column("contaminated")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        pq.write_table(rows, path)
        return OutcomeTable.read_parquet(path, dataset=dataset, labels=told)


def shuffled(table: OutcomeTable, seed: int) -> OutcomeTable:
    """The table in the order of a seed: the one in which a replay under that seed meets it."""
    return table.take(np.random.default_rng(seed).permutation(len(table)))


def checked(data: Path, names: Iterable[str] = tuple(TABLES)) -> Path:
    """The folder, if it holds the files of these tables."""
    missing = sorted({TABLES[name][0] for name in names if not (data / TABLES[name][0]).is_file()})
    if missing:
        raise SystemExit(f"{', '.join(missing)} not in {data.resolve()}: set ARMWISE_DATA to the folder that has it")
    return data.resolve()
