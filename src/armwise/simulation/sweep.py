"""Sweeps: every cell of a study, on all cores or a cluster, resumable. One Parquet file per finished cell, then one.

A cell's file is named after a hash of all that decides its result, so an interrupted sweep goes on where it stopped,
and a changed setting redoes only what it touches.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from joblib import Parallel, delayed, parallel_config

from armwise.errors import BadInput
from armwise.pacing import Objective
from armwise.simulation.baselines import hull_of
from armwise.simulation.episode import Episode
from armwise.simulation.replay import replay
from armwise.simulation.study import Cell, Study, make_world

CURVE_POINTS = 101


def run_cells(
    study: Study,
    out: Path,
    *,
    jobs: int | None = None,
    backend: str = "loky",
    on_cell: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Run what is not done yet; returns all results, one row per cell, and writes them to ``results.parquet``.

    Args:
        out: directory of the results; ``cells/`` inside keeps the finished ones.
        jobs: processes; by default one per core.
        backend: a joblib backend: ``loky``, ``threading``, ``sequential``, or ``ray`` where Ray is installed and
            running (it registers itself here), ``dask`` where a client is open.
        on_cell: called with how many cells are done, those found done included, and how many there are.

    Raises:
        BadInput: if the backend is not there.
    """
    folder = out / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    cells = list(study.cells())
    todo = [cell for cell in cells if not _file(folder, cell).exists()]
    done = len(cells) - len(todo)
    if on_cell is not None:
        on_cell(done, len(cells))
    if todo:
        if backend == "ray":
            _register_ray()
        try:
            with parallel_config(backend=backend, n_jobs=min(jobs or os.cpu_count() or 1, len(todo))):
                finished = Parallel(return_as="generator_unordered")(delayed(run_cell)(cell) for cell in todo)
                for key, row in finished:
                    _keep(folder / f"{key}.parquet", row)
                    done += 1
                    if on_cell is not None:
                        on_cell(done, len(cells))
        except ValueError as error:
            if "backend" in str(error):
                raise BadInput(f"joblib has no backend {backend!r} here: {error}") from error
            raise
    results = pa.concat_tables([pq.read_table(_file(folder, cell)) for cell in cells])
    pq.write_table(results, out / "results.parquet", compression="zstd")
    return results


def run_cell(cell: Cell) -> tuple[str, dict[str, Any]]:
    """One replay; returns the cell's key and its row of results."""
    started = time.perf_counter()
    episode = make_world(json.dumps(cell.world, sort_keys=True)).episode(cell.seed)
    run = replay(episode, policy=cell.policy, objective=_objective(cell, episode), seed=cell.seed)
    half = len(run) // 2
    corners = hull_of(episode.score, episode.cost_usd)
    above_hull = run.mean_quality - float(np.interp(run.mean_cost_usd, corners.spend_usd, corners.quality))
    utility = run.mean_quality - cell.value * run.mean_cost_usd / episode.cost_ref_usd
    best = int(episode.score.mean(axis=0).argmax())
    at = np.linspace(0, len(run), CURVE_POINTS).round().astype(int)
    regret = np.concatenate(([0.0], np.cumsum(run.regret)))
    return cell.key, {
        "world": str(cell.world["name"]),
        "policy": cell.label,
        "setting": cell.setting,
        "value": cell.value,
        "seed": cell.seed,
        "rounds": len(run),
        "quality": run.mean_quality,
        "cost_usd": run.mean_cost_usd,
        "above_hull": above_hull,
        "merit": utility if cell.setting == "cost_weight" else above_hull,
        "regret": float(run.regret.mean()),
        "quality_late": float(run.quality[half:].mean()),
        "cost_usd_late": float(run.cost_usd[half:].mean()),
        "best_quality": float(episode.score[:, best].mean()),
        "best_cost_usd": float(episode.cost_usd[:, best].mean()),
        "least_propensity": float(run.propensity.min()),
        "arms": list(run.arms),
        "shares": list(run.shares.values()),
        "curve_round": at.tolist(),
        "curve_regret": regret[at].tolist(),
        "seconds": time.perf_counter() - started,
    }


def _objective(cell: Cell, episode: Episode) -> Objective:
    if cell.setting == "cost_weight":
        return Objective.tradeoff(cost_weight=cell.value, cost_ref_usd=episode.cost_ref_usd)
    return Objective.max_quality(spend_usd_per_request=cell.value * episode.cost_ref_usd)


def _file(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.key}.parquet"


def _keep(path: Path, row: dict[str, Any]) -> None:
    """Write whole or not at all: a file that is there is finished."""
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist([row]), partial)
    partial.replace(path)


def _register_ray() -> None:
    try:
        from ray.util.joblib import register_ray  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise BadInput("backend 'ray' needs the package ray: pip install ray") from error
    register_ray()  # type: ignore[no-untyped-call, unused-ignore]  # ray is there or not
