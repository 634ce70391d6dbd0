"""Fit the projection that ships with armwise: principal components of the sketches of a mixed corpus.

    python benchmarks/fit_projection.py [--data DIR] [--output FILE] [--check]

Reads only the text of prompts, never a score. Sources and their weights are below; what is written is numbers derived
from them (float32, no pickle), no text. ``--check`` compares with the shipped file instead of writing.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from armwise.features.projection import MAX_DIMENSION
from armwise.features.sketch import Sketcher
from armwise.features.tasks import shipped_exemplars

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "src/armwise/features/data/projection.npz"

WEIGHTS = {"mmlu_pro": 0.30, "routellm_mmlu": 0.25, "exemplars": 0.20, "tokens": 0.15, "routellm_gsm8k": 0.10}
"""Share of each source in mean and covariance. Exams are two thirds, because they are what can be had under a licence
that lets numbers be shipped; our own exemplars and the bare vocabulary keep the directions that exams do not use."""


def corpus(data: Path) -> dict[str, NDArray[np.float64]]:
    """Source -> its sketches, shape (texts, 256)."""
    sketcher = Sketcher.load()
    frames = [
        pd.read_parquet(data / name, columns=["dataset", "prompt_id", "prompt"]).drop_duplicates(
            ["dataset", "prompt_id"]
        )
        for name in ("mmlu_pro.parquet", "routellm.parquet")
    ]
    prompts = pd.concat(frames)
    texts = {str(name): group["prompt"].tolist() for name, group in prompts.groupby("dataset")}
    texts["exemplars"] = [text for group in shipped_exemplars()[0].values() for text in group]
    found = {name: np.stack([sketcher.sketch(text) for text in texts[name]]) for name in WEIGHTS if name != "tokens"}
    table = sketcher.token_table().astype(np.float64)
    lengths = np.linalg.norm(table, axis=1)
    found["tokens"] = table[lengths > 1e-6] / lengths[lengths > 1e-6, None]
    return {name: sketches.astype(np.float64) for name, sketches in found.items()}


def fit(sources: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float32]]:
    """Weighted principal components, strongest first; signs fixed so that the largest loading is positive."""
    mean = sum(share * sources[name].mean(axis=0) for name, share in WEIGHTS.items())
    covariance = sum(
        share * (sources[name] - mean).T @ (sources[name] - mean) / len(sources[name])
        for name, share in WEIGHTS.items()
    )
    variances, directions = np.linalg.eigh(covariance)
    strongest = np.argsort(variances)[::-1][:MAX_DIMENSION]
    rows = directions[:, strongest].T
    rows = rows * np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None]
    arrays = {"mean": mean, "components": rows, "variances": variances[strongest]}
    return {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ARMWISE_DATA", ROOT / "../shared/data")))
    parser.add_argument("--output", type=Path, default=SHIPPED)
    parser.add_argument("--check", action="store_true", help="compare with the shipped file; write nothing")
    options = parser.parse_args()
    sources = corpus(options.data)
    arrays = fit(sources)
    for name, sketches in sources.items():
        centred = sketches - arrays["mean"]
        kept = [
            float(((centred @ arrays["components"][:d].T) ** 2).sum() / (centred**2).sum()) for d in (8, 16, 32, 64)
        ]
        print(
            f"{name:15} {len(sketches):6} texts, variance kept by 8/16/32/64: " + " / ".join(f"{k:.2f}" for k in kept)
        )
    if options.check:
        with np.load(SHIPPED, allow_pickle=False) as shipped:
            worst = max(float(np.abs(shipped[name] - array).max()) for name, array in arrays.items())
        print(f"largest difference from {SHIPPED.name}: {worst:.2g}")
        raise SystemExit(worst > 1e-4)
    np.savez(options.output, **arrays)
    print(f"wrote {options.output} ({options.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
