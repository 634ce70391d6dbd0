"""Time from request to context, on one thread: armwise's text encoder beside wordllama's own path to a sketch.

    python benchmarks/encode.py [--prompts N] [--rounds N] [--seed N] [--json]

Prompts are real ones (the MMLU questions of routellm.parquet in ARMWISE_DATA), strung together and cut to length; where
the data is absent, the task exemplars are. "new" is the first sight of each prompt by an encoder that has seen as many
others, as in a service; "seen" repeats them. Figures are the median over rounds of the p50 and p99 within a round, and
the range of the p50s.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from armwise.contracts import Request
from armwise.features import Sketcher, Surface, TextEncoder, Transcript
from armwise.features.tasks import shipped_exemplars

ROOT = Path(__file__).resolve().parent.parent
LENGTHS = (58, 500, 2_000, 1_000_000)


def texts() -> tuple[list[str], str]:
    """What to cut prompts from, and its name."""
    file = Path(os.environ.get("ARMWISE_DATA", ROOT / "../shared/data")) / "routellm.parquet"
    if not file.is_file():
        return [text for group in shipped_exemplars()[0].values() for text in group], "task exemplars"
    import pandas as pd

    rows = pd.read_parquet(file, columns=["dataset", "prompt"])
    return rows[rows["dataset"] == "routellm_mmlu"]["prompt"].drop_duplicates().tolist(), "MMLU questions"


def prompts(source: Sequence[str], length: int, count: int, rng: random.Random) -> list[str]:
    """``count`` prompts of exactly ``length`` characters; the long ones repeat themselves in the middle."""
    made = []
    for _ in range(count):
        text = rng.choice(source)
        while len(text) < min(length, 5_000):
            text += "\n" + rng.choice(source)
        while len(text) < length:
            text += text
        made.append(text[:length])
    return made


def clock(call: Callable[[Any], object], items: Sequence[object]) -> list[float]:
    """Microseconds of each call."""
    now = time.perf_counter_ns
    taken = []
    gc.collect()
    for item in items:
        start = now()
        call(item)
        taken.append((now() - start) / 1e3)
    return taken


def summary(rounds: list[list[float]]) -> dict[str, float]:
    p50s = [float(np.percentile(taken, 50)) for taken in rounds]
    p99s = [float(np.percentile(taken, 99)) for taken in rounds]
    return {"p50_us": median(p50s), "p50_low_us": min(p50s), "p50_high_us": max(p50s), "p99_us": median(p99s)}


def wordllama_embed() -> Callable[[str], object]:
    """wordllama's own path, over the whole text, as its README has it."""
    import wordllama

    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return lambda text: model.embed(text, norm=True)


def measure(count: int, rounds: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    source, name = texts()
    encoder, sketcher, peer = TextEncoder(), Sketcher.load(), wordllama_embed()
    clock(encoder.encode, [Request.from_text(text) for text in prompts(source, 500, count, rng)])  # a service under way
    table: dict[str, dict[str, float]] = {}
    for length in LENGTHS:
        few = count if length < 100_000 else max(count // 50, 20)
        runs: dict[str, list[list[float]]] = {}
        for _ in range(rounds):
            made = prompts(source, length, few, rng)
            requests = [Request.from_text(text) for text in made]
            runs.setdefault("encode, new", []).append(clock(encoder.encode, requests))
            runs.setdefault("encode, seen", []).append(clock(encoder.encode, requests))
            read = [Transcript.of(request) for request in requests]
            looked = [Surface.of(*pair) for pair in zip(requests, read, strict=True)]
            sketches = [sketcher.sketch_excerpt(one.excerpt) for one in read]
            runs.setdefault("  read", []).append(clock(Transcript.of, requests))
            runs.setdefault("  look", []).append(
                clock(lambda pair: Surface.of(*pair), list(zip(requests, read, strict=True)))
            )
            runs.setdefault("  sketch, seen", []).append(clock(lambda one: sketcher.sketch_excerpt(one.excerpt), read))
            runs.setdefault("  compose", []).append(
                clock(lambda pair: encoder.compose(*pair), list(zip(sketches, looked, strict=True)))
            )
            if length < 100_000:
                runs.setdefault("wordllama embed, whole text", []).append(clock(peer, made))
        for step, taken in runs.items():
            table[f"{length:>9,} {step}"] = summary(taken)
    return {"prompts": name, "count": count, "rounds": rounds, "seed": seed, "version": encoder.version, "table": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.prompts, options.rounds, options.seed)
    if options.json:
        json.dump(found, sys.stdout)
        print()
        return
    print(f"{found['count']} {found['prompts']} a round, {found['rounds']} rounds, {found['version']}; microseconds")
    print(f"{'characters, step':<42}{'p50':>8}  {'range of p50':>15}{'p99':>9}")
    for step, row in found["table"].items():
        spread = f"{row['p50_low_us']:.0f}-{row['p50_high_us']:.0f}"
        print(f"{step:<42}{row['p50_us']:8.1f}  {spread:>15}{row['p99_us']:9.1f}")


if __name__ == "__main__":
    main()
