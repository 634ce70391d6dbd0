"""Fit the projection that ships with armwise: principal components of the sketches of text that is in no benchmark.

    python benchmarks/fit_projection.py [--output FILE] [--check]

The text is our own exemplar prompts, and the bare vocabulary of the embedding. No prompt of any outcome table is read:
figures on those tables are of features that never saw them. What is written is numbers (float32, no pickle).
``--check`` compares with the shipped file instead of writing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from armwise.features.projection import MAX_DIMENSION
from armwise.features.sketch import Sketcher
from armwise.features.tasks import shipped_exemplars

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "src/armwise/features/data/projection.npz"

WEIGHTS = {"exemplars": 0.6, "tokens": 0.4}
"""Share of each source in mean and covariance. The exemplars say what requests are about; the vocabulary keeps the
directions that so few texts do not use."""


def corpus() -> dict[str, NDArray[np.float64]]:
    """Source -> its sketches, shape (texts, 256)."""
    sketcher = Sketcher.load()
    exemplars = [text for group in shipped_exemplars()[0].values() for text in group]
    table = sketcher.token_table().astype(np.float64)
    lengths = np.linalg.norm(table, axis=1)
    return {
        "exemplars": np.stack([sketcher.sketch(text) for text in exemplars]).astype(np.float64),
        "tokens": table[lengths > 1e-6] / lengths[lengths > 1e-6, None],
    }


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
    parser.add_argument("--output", type=Path, default=SHIPPED)
    parser.add_argument("--check", action="store_true", help="compare with the shipped file; write nothing")
    options = parser.parse_args()
    sources = corpus()
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
    np.savez(options.output, allow_pickle=False, **arrays)
    print(f"wrote {options.output} ({options.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
