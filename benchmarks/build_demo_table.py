"""Make the numeric table that ships with the demo, from MMLU-Pro's published model outputs. Prints what it made.

    ARMWISE_DATA=... python benchmarks/build_demo_table.py

Kept per prompt: subject, input tokens, surface marks and a sketch in one byte per dimension; per prompt and model:
score and output tokens; per model: list prices. No prompt text. Source: TIGER-AI-Lab/MMLU-Pro, Apache-2.0.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from armwise.contracts import Request
from armwise.features import Sketcher, Surface, Transcript, quantise

DATA = Path(os.environ.get("ARMWISE_DATA", "../shared/data"))
OUT = Path(__file__).resolve().parents[1] / "src/armwise/demo/mmlu_pro.npz"
SEED = 20_240_601
"""Of the order of the prompts, fixed before anything was measured on it."""


def main() -> None:
    columns = ["prompt_id", "prompt", "task", "model", "score", "input_tokens", "output_tokens", "cost_est_usd"]
    rows = pq.read_table(DATA / "mmlu_pro.parquet", columns=columns).to_pydict()
    prompts = sorted(set(rows["prompt_id"]))
    models = sorted(set(rows["model"]))
    place = {prompt: i for i, prompt in enumerate(prompts)}
    column = {model: k for k, model in enumerate(models)}
    shape = len(prompts), len(models)
    at = np.array([place[p] for p in rows["prompt_id"]]), np.array([column[m] for m in rows["model"]])
    score, output_tokens, input_tokens, cost = (np.full(shape, -1.0) for _ in range(4))
    for array, name in (
        (score, "score"),
        (output_tokens, "output_tokens"),
        (input_tokens, "input_tokens"),
        (cost, "cost_est_usd"),
    ):
        array[at] = rows[name]
        assert array.min() >= 0, f"{name} is missing for some prompt and model"
    text, task = [""] * len(prompts), [""] * len(prompts)
    for i, prompt, subject in zip(at[0], rows["prompt"], rows["task"], strict=True):
        text[i], task[i] = prompt, subject

    prices = [_price(model, input_tokens[:, k], output_tokens[:, k], cost[:, k]) for model, k in column.items()]
    sketcher = Sketcher.load()
    sketches = np.array([quantise(sketcher.sketch(prompt)) for prompt in text])
    requests = [Request.from_text(prompt) for prompt in text]
    surfaces = np.array([Surface.of(request, Transcript.of(request)) for request in requests], dtype=np.float32)

    order = np.random.default_rng(SEED).permutation(len(prompts))
    tasks, task_index = np.unique(task, return_inverse=True)
    np.savez_compressed(
        OUT,
        name=np.array("mmlu_pro"),
        attribution=np.array("Derived from TIGER-AI-Lab/MMLU-Pro (Apache-2.0), eval_results/"),
        models=np.array(models),
        prices_usd_per_mtok=np.array(prices),
        tasks=tasks,
        task=task_index[order].astype(np.uint8),
        input_tokens=np.median(input_tokens, axis=1)[order].astype(np.uint16),
        output_tokens=output_tokens[order].astype(np.uint16),
        score=score[order].astype(np.uint8),
        sketch=sketches[order],
        surface_names=np.array(Surface._fields),
        surface=surfaces[order],
    )
    print(f"{OUT}: {shape[0]:,} prompts x {shape[1]} models, {OUT.stat().st_size / 1e6:.2f} MB")
    for model, (input_, output) in zip(models, prices, strict=True):
        print(f"  {model:28s} {input_:7.3f} {output:7.3f} USD per million tokens")


def _price(
    model: str, input_tokens: np.ndarray, output_tokens: np.ndarray, cost_usd: np.ndarray
) -> tuple[float, float]:
    """List prices, worked back from the estimated costs, which are exactly tokens times prices."""
    tokens = np.column_stack((input_tokens, output_tokens))
    price, *_ = np.linalg.lstsq(tokens, cost_usd * 1e6, rcond=None)
    assert np.allclose(tokens @ price, cost_usd * 1e6, rtol=1e-6), f"{model}: costs are not tokens times prices"
    return round(float(price[0]), 4), round(float(price[1]), 4)


if __name__ == "__main__":
    main()
