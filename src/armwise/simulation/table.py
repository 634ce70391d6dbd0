"""Outcome tables: what every arm would have scored, and cost, on every prompt. Full information, so regret is real."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from armwise.contracts import Context, Encoder, Model, Request, Vector
from armwise.errors import BadInput
from armwise.features import Surface, TextEncoder, dequantise

Matrix = npt.NDArray[np.float64]
"""Shape (prompts, arms)."""

COLUMNS = ("dataset", "prompt_id", "prompt", "task", "model", "score", "input_tokens", "output_tokens")
"""Columns of a long Parquet outcome table; beside them ``cost_usd``, or ``cost_est_usd`` where that is empty."""

PACKAGED = "armwise.demo", "mmlu_pro.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class OutcomeTable:
    """Scores and costs of every arm on every prompt, with the contexts that a policy sees.

    Raises:
        BadInput: if shapes disagree, a score is outside [0, 1], or a cost or count is negative or not finite.
    """

    name: str
    models: tuple[Model, ...]
    tasks: tuple[str, ...]
    vectors: Matrix
    """Contexts, shape (prompts, dimension)."""
    input_tokens: npt.NDArray[np.int64]
    """Shape (prompts,)."""
    output_tokens: Matrix
    cost_usd: Matrix
    score: Matrix
    feature_version: str
    dropped: int = 0
    """Prompts of the source that were left out because some arm had no outcome on them."""

    def __post_init__(self) -> None:
        rows, arms = len(self.tasks), len(self.models)
        if rows == 0 or arms == 0:
            raise BadInput(f"outcome table {self.name!r} is empty: {rows} prompts x {arms} arms")
        for name in ("output_tokens", "cost_usd", "score"):
            value = getattr(self, name)
            if value.shape != (rows, arms):
                raise BadInput(f"outcome table {self.name!r}: {name} must have shape {(rows, arms)}, got {value.shape}")
            if not np.isfinite(value).all() or value.min() < 0:
                raise BadInput(f"outcome table {self.name!r}: {name} must be finite and at least 0")
        if self.score.max() > 1:
            raise BadInput(f"outcome table {self.name!r}: score must be within 0 and 1, got {self.score.max():g}")
        if self.vectors.ndim != 2 or len(self.vectors) != rows or self.input_tokens.shape != (rows,):
            raise BadInput(f"outcome table {self.name!r}: vectors and input_tokens must have one row per prompt")

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order of the columns."""
        return tuple(model.name for model in self.models)

    @property
    def best(self) -> int:
        """Column of the arm with the highest mean score."""
        return int(self.score.mean(axis=0).argmax())

    @property
    def dimension(self) -> int:
        """Length of the contexts."""
        return int(self.vectors.shape[1])

    @property
    def cost_ref_usd(self) -> float:
        """Mean cost of the arm with the highest mean score: the unit of cost weights here."""
        return float(self.cost_usd[:, self.best].mean())

    @cached_property
    def contexts(self) -> Sequence[Context]:
        """One context per prompt."""
        return [
            Context(vector, task, tokens)
            for vector, task, tokens in zip(self.vectors, self.tasks, self.input_tokens.tolist(), strict=True)
        ]

    def take(self, rows: npt.ArrayLike) -> OutcomeTable:
        """The table of these rows, in this order."""
        at = np.asarray(rows)
        return replace(
            self,
            tasks=tuple(np.array(self.tasks, dtype=object)[at]),
            vectors=self.vectors[at],
            input_tokens=self.input_tokens[at],
            output_tokens=self.output_tokens[at],
            cost_usd=self.cost_usd[at],
            score=self.score[at],
        )

    # ---------------------------------------------------------------------------- loading

    @classmethod
    def packaged(cls, *, encoder: TextEncoder | None = None, labels: bool = True) -> OutcomeTable:
        """The table that ships with armwise: 12,002 prompts of MMLU-Pro x 12 models, in a fixed shuffled order.

        Costs are list prices times tokens estimated as characters / 4; the few-shot prefix is not counted.

        Args:
            encoder: makes the contexts, from each prompt's surface and sketch; by default the text encoder.
            labels: whether the contexts say the prompt's subject, as a caller who knows his task would.
        """
        raw = files(PACKAGED[0]).joinpath(PACKAGED[1]).read_bytes()
        with np.load(io.BytesIO(raw), allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files}
        encoder = encoder or TextEncoder()
        tasks = [str(kept["tasks"][i]) for i in kept["task"]]
        fields = [str(name) for name in kept["surface_names"]]
        vectors, seen = [], []
        for sketch, values, label in zip(kept["sketch"], kept["surface"].tolist(), tasks, strict=True):
            surface = Surface(**dict(zip(fields, values, strict=True)))
            vector, task = encoder.compose(dequantise(sketch), surface, task=label if labels else None)
            vectors.append(vector)
            seen.append(task)
        models = tuple(
            Model(str(name), input_usd_per_mtok=float(input_), output_usd_per_mtok=float(output))
            for name, (input_, output) in zip(kept["models"], kept["prices_usd_per_mtok"], strict=True)
        )
        input_tokens = kept["input_tokens"].astype(np.int64)
        output_tokens = kept["output_tokens"].astype(np.float64)
        prices = kept["prices_usd_per_mtok"] / 1e6
        return cls(
            name=str(kept["name"]),
            models=models,
            tasks=tuple(seen),
            vectors=np.array(vectors),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost_usd=input_tokens[:, None] * prices[:, 0] + output_tokens * prices[:, 1],
            score=kept["score"].astype(np.float64),
            feature_version=encoder.version,
        )

    @classmethod
    def read_parquet(
        cls,
        path: str | Path,
        *,
        dataset: str | None = None,
        encoder: Encoder | None = None,
        labels: bool = True,
        limit: int | None = None,
    ) -> OutcomeTable:
        """Read a long Parquet table: one row per prompt and model, columns :data:`COLUMNS` and a cost.

        Models that lack outcomes on more than 3% of the prompts are left out first, then prompts that lack an arm;
        ``dropped`` counts those. Prices are worked back from costs and tokens by non-negative least squares.

        Args:
            dataset: which one, where the file holds several.
            limit: keep so many prompts at most, the first by prompt_id.

        Raises:
            BadInput: naming missing columns, an ambiguous dataset, duplicates, or a score outside [0, 1].
        """
        rows = _read(Path(path), dataset)
        prompts, at = np.unique(rows["prompt_id"], return_inverse=True)
        names, column = np.unique(rows["model"], return_inverse=True)
        shape = len(prompts), len(names)
        if len(set(zip(at.tolist(), column.tolist(), strict=True))) != len(at):
            raise BadInput(f"{path}: some prompt has two rows of one model; (dataset, prompt_id, model) must be unique")
        parts = {}
        for name in ("score", "input_tokens", "output_tokens", "cost"):
            parts[name] = np.full(shape, np.nan)
            parts[name][at, column] = rows[name]
        known = np.logical_and.reduce([np.isfinite(part) for part in parts.values()])
        models_kept = known.sum(axis=0) >= 0.97 * known.sum(axis=0).max()
        kept = known[:, models_kept].all(axis=1)
        if not kept.any():
            raise BadInput(f"{path}: no prompt has score, tokens and cost of every model")
        chosen = np.flatnonzero(kept)[:limit]
        cut = {name: part[np.ix_(chosen, np.flatnonzero(models_kept))] for name, part in parts.items()}
        first = np.full(len(prompts), -1)
        first[at[::-1]] = np.arange(len(at))[::-1]
        text, task = rows["prompt"][first[chosen]], rows["task"][first[chosen]]
        input_tokens = np.median(cut["input_tokens"], axis=1).astype(np.int64)
        encoder = encoder or TextEncoder()
        contexts = [
            encoder.encode(Request.from_text(str(prompt), task=str(label) if labels else None, input_tokens=int(n)))
            for prompt, label, n in zip(text, task, input_tokens, strict=True)
        ]
        models = tuple(
            _priced(str(name), cut["input_tokens"][:, k], cut["output_tokens"][:, k], cut["cost"][:, k])
            for k, name in enumerate(names[models_kept])
        )
        return cls(
            name=dataset or str(rows["dataset"][0]),
            models=models,
            tasks=tuple(context.task for context in contexts),
            vectors=np.array([context.vector for context in contexts]),
            input_tokens=input_tokens,
            output_tokens=cut["output_tokens"],
            cost_usd=cut["cost"],
            score=cut["score"],
            feature_version=encoder.version,
            dropped=int(len(prompts) - kept.sum()),
        )


def _read(path: Path, dataset: str | None) -> dict[str, Any]:
    """The columns of a long table as arrays."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        there = pq.read_schema(path).names
        missing = [name for name in COLUMNS if name not in there]
        costs = [name for name in ("cost_usd", "cost_est_usd") if name in there]
        if missing or not costs:
            lacks = ", ".join(missing + ([] if costs else ["cost_usd (or cost_est_usd)"]))
            raise BadInput(f"{path}: not an outcome table, it lacks {lacks}; it has {', '.join(there)}")
        table = pq.read_table(path, columns=[*COLUMNS, *costs])
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInput(f"{path}: cannot be read as Parquet: {error}") from error
    rows = {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
    datasets = sorted(set(rows["dataset"]))
    if not datasets:
        raise BadInput(f"{path}: has no rows")
    if dataset is None and len(datasets) > 1:
        raise BadInput(f"{path}: holds several datasets, name one: {', '.join(datasets)}")
    if dataset is not None:
        keep = rows["dataset"] == dataset
        if not keep.any():
            raise BadInput(f"{path}: has no dataset {dataset!r}; it has {', '.join(datasets)}")
        rows = {name: value[keep] for name, value in rows.items()}
    cost = np.full(len(rows["model"]), np.nan)
    for name in costs:
        value = rows[name].astype(np.float64)
        cost = np.where(np.isfinite(cost), cost, value)
    rows["cost"] = cost
    score = rows["score"].astype(np.float64)
    wrong = np.isfinite(score) & ((score < 0) | (score > 1))
    if wrong.any():
        i = int(wrong.argmax())
        raise BadInput(f"{path}: score must be within 0 and 1, got {score[i]:g} for prompt {rows['prompt_id'][i]!r}")
    return rows


def _priced(name: str, input_tokens: Vector, output_tokens: Vector, cost_usd: Vector) -> Model:
    """The model with the prices per token that explain its costs best."""
    from scipy.optimize import nnls

    price, _ = nnls(np.column_stack((input_tokens, output_tokens)), cost_usd * 1e6)
    return Model(name, input_usd_per_mtok=float(price[0]), output_usd_per_mtok=float(price[1]))
