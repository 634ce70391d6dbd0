"""Fit the projection that ships with armwise: principal components of the sketches of text that is in no benchmark.

    apt-get install -y wordnet-base
    python benchmarks/fit_projection.py [--wordnet /usr/share/wordnet] [--output FILE] [--check]

The text is our own exemplar prompts, and the glosses of WordNet 3.0: a sentence on each of 117,659 things that people
have words for. No prompt of any outcome table is read: figures on those tables are of features that never saw them.
What is written is numbers (float32, no pickle). ``--check`` compares with the shipped file instead of writing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from armwise.features.projection import MAX_DIMENSION
from armwise.features.sketch import SKETCH_DIMENSION, Sketcher
from armwise.features.tasks import shipped_exemplars

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "src/armwise/features/data/projection.npz"
WORDNET = Path("/usr/share/wordnet")
"""Where Debian's wordnet-base puts it."""

SHARES = {"exemplars": 0.3, "glosses": 0.7}
"""Of each source in mean and covariance. The exemplars say what requests are like, the glosses what they are about."""
PER_FIELD = 800
"""WordNet is a third plants, animals and artefacts. A lexicographer's file counts as this many glosses at most."""
OF_A_NAME = 0.2
"""Weight of the gloss of one person, place or event."""


class Source(NamedTuple):
    """Sketches of shape (texts, 256), and the weight of each text."""

    sketches: NDArray[np.float64]
    weights: NDArray[np.float64]


def corpus(wordnet: Path) -> dict[str, Source]:
    sketcher = Sketcher.load()
    exemplars = [text for group in shipped_exemplars()[0].values() for text in group]
    glosses, weights = read_glosses(wordnet)
    return {
        "exemplars": Source(sketched(sketcher, exemplars), np.full(len(exemplars), 1.0 / len(exemplars))),
        "glosses": Source(sketched(sketcher, glosses), weights),
    }


def sketched(sketcher: Sketcher, texts: list[str]) -> NDArray[np.float64]:
    return np.stack([sketcher.sketch(text) for text in texts]).astype(np.float64)


def read_glosses(wordnet: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Each synset's first three words and its gloss (format: wndb(5WN)), and weights that sum to one."""
    texts: list[str] = []
    fields: list[int] = []
    names: list[bool] = []
    for part in ("noun", "verb", "adj", "adv"):
        file = wordnet / f"data.{part}"
        if not file.is_file():
            raise SystemExit(f"{file} is not there: apt-get install -y wordnet-base, or say where with --wordnet")
        for line in file.read_text(encoding="latin1").splitlines():
            if line.startswith("  "):  # the licence
                continue
            head, gloss = line.split("|", 1)
            _, field, _, count, *rest = head.split()
            words = [word.replace("_", " ") for word in rest[: 2 * int(count, 16) : 2]]
            texts.append(", ".join(words[:3]) + ": " + gloss.strip())
            fields.append(int(field))
            names.append("@i" in rest)
    of = np.array(fields, dtype=np.intp)
    weights = np.minimum(1.0, PER_FIELD / np.bincount(of)[of]) * np.where(names, OF_A_NAME, 1.0)
    return texts, weights / weights.sum()


def fit(sources: dict[str, Source]) -> dict[str, NDArray[np.float32]]:
    """Weighted principal components, strongest first; signs fixed so that the largest loading is positive."""
    mean, covariance = np.zeros(SKETCH_DIMENSION), np.zeros((SKETCH_DIMENSION, SKETCH_DIMENSION))
    for name, share in SHARES.items():
        mean += share * (sources[name].weights @ sources[name].sketches)
    for name, share in SHARES.items():
        centred = sources[name].sketches - mean
        covariance += share * (centred * sources[name].weights[:, None]).T @ centred
    variances, directions = np.linalg.eigh(covariance)
    strongest = np.argsort(variances)[::-1][:MAX_DIMENSION]
    rows = directions[:, strongest].T
    rows = rows * np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None]
    arrays = {"mean": mean, "components": rows, "variances": variances[strongest]}
    return {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=WORDNET, help="the folder of data.noun and the others")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    parser.add_argument("--check", action="store_true", help="compare with the shipped file; write nothing")
    options = parser.parse_args()
    sources = corpus(options.wordnet)
    arrays = fit(sources)
    for name, (sketches, weights) in sources.items():
        centred = (sketches - arrays["mean"]) * np.sqrt(weights)[:, None]
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
