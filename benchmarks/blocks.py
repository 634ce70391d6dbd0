"""What each block of the encoder's vector is worth: variance of scores explained on prompts not fitted to.

    python benchmarks/blocks.py [--splits N] [--json]

Ridge regression per model (precision 8 on every slope), fitted on N random prompts and tested on all others. The
mean of the prompts fitted to, as a prediction, scores 0 or a little less. Reads outcome tables in ARMWISE_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd

from armwise.contracts import Request, Vector
from armwise.features import TextEncoder

ROOT = Path(__file__).resolve().parent.parent
TABLES = {
    "mmlu_pro": ("mmlu_pro.parquet", "mmlu_pro"),
    "mmlu": ("routellm.parquet", "routellm_mmlu"),
    "gsm8k": ("routellm.parquet", "routellm_gsm8k"),
    "arc+winogrande+mbpp": ("routerbench_subset.parquet", None),
}
BLOCKS = {
    "length": ("log_length",),
    "length, marks": ("log_length", "marks"),
    "length, sketch": ("log_length", "sketch_"),
    "length, sketch, marks": ("log_length", "sketch_", "marks"),
    "length, sketch, task": ("log_length", "sketch_", "task_"),
    "all, no label": ("log_length", "sketch_", "marks", "task_"),
    "all, caller's label": ("log_length", "sketch_", "marks", "task_", "label#"),
}
PREFIXES = ("intercept", "log_length", "sketch_", "task_", "label#")


def explained(features: Vector, scores: Vector, fitted: int, split: int) -> float:
    """Mean over models of 1 - squared error / variance on the prompts left out, in percent."""
    order = np.random.default_rng(split).permutation(len(features))
    known, left_out = order[:fitted], order[fitted:]
    design = np.column_stack((np.ones(len(features)), features))
    precision = np.diag([0.01, *[8.0] * features.shape[1]])
    gram = design[known].T @ design[known] + precision
    slopes = np.linalg.solve(gram, design[known].T @ scores[known])
    error = ((scores[left_out] - design[left_out] @ slopes) ** 2).mean(axis=0)
    return float(100.0 * (1.0 - error / scores[left_out].var(axis=0)).mean())


def measure(data: Path, splits: int) -> dict[str, dict[str, tuple[float, float]]]:
    encoder = TextEncoder()
    table: dict[str, dict[str, tuple[float, float]]] = {block: {} for block in BLOCKS}
    for name, (file, dataset) in TABLES.items():
        rows = pd.read_parquet(data / file)
        rows = rows[rows["dataset"] == dataset] if dataset else rows
        scores = rows.pivot(index="prompt_id", columns="model", values="score").dropna()
        prompts = rows.drop_duplicates("prompt_id").set_index("prompt_id").loc[scores.index]
        pairs = list(zip(prompts["prompt"], prompts["task"], strict=True))
        plain = np.stack([encoder.encode(Request.from_text(text)).vector for text, _ in pairs])
        labelled = np.stack([encoder.encode(Request.from_text(text, task=task)).vector for text, task in pairs])
        for block, kinds in BLOCKS.items():
            columns = [
                place
                for place, column in enumerate(encoder.names)
                if column.startswith(kinds) or ("marks" in kinds and not column.startswith(PREFIXES))
            ]
            vectors = (labelled if "label#" in kinds else plain)[:, columns]
            for fitted in (500, 2000) if len(scores) > 2500 else (500,):
                found = [explained(vectors, scores.to_numpy(), fitted, split) for split in range(splits)]
                table[block][f"{name} {fitted}"] = mean(found), stdev(found)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ARMWISE_DATA", ROOT / "../shared/data")))
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"no outcome tables in {options.data}: set ARMWISE_DATA")
    table = measure(options.data, options.splits)
    if options.json:
        json.dump(table, sys.stdout)
        print()
        return
    columns = list(next(iter(table.values())))
    print(f"| percent of variance explained, mean (sd) of {options.splits} splits | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for block, row in table.items():
        print(f"| {block} | " + " | ".join(f"{row[c][0]:.1f} ({row[c][1]:.1f})" for c in columns) + " |")


if __name__ == "__main__":
    main()
