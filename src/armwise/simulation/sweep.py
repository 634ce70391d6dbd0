"""Sweeps: every cell of a study, on all cores or a cluster, resumable. One Parquet file per finished cell, then one.

A cell's file is named after a hash of all that decides its result, so an interrupted sweep goes on where it stopped,
and a changed setting redoes only what it touches.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from joblib import Parallel, delayed, parallel_config
from joblib.parallel import get_active_backend

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
        backend: a joblib backend: ``loky``, ``threading``, ``sequential``; ``ray`` and ``dask`` run on the cluster
            that ``RAY_ADDRESS`` or ``DASK_SCHEDULER_ADDRESS`` names or that this process is connected to, else on a
            local one.
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
        elif backend == "dask":
            _connect_dask()
        try:
            with parallel_config(backend=backend, n_jobs=min(jobs or os.cpu_count() or 1, len(todo))):
                for key, row in _finished(todo):
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


def _finished(todo: Sequence[Cell]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cells as they are done; from a backend that only gives whole lists (Ray's), some for each worker at a time."""
    active, workers = get_active_backend()
    if getattr(active, "supports_return_generator", False):
        yield from Parallel(return_as="generator_unordered")(delayed(run_cell)(cell) for cell in todo)
        return
    step = 4 * max(int(workers), 1)
    for start in range(0, len(todo), step):
        yield from Parallel()(delayed(run_cell)(cell) for cell in todo[start : start + step])


def run_cell(cell: Cell) -> tuple[str, dict[str, Any]]:
    """One replay; returns the cell's key and its row of results."""
    started = time.thread_time()
    episode = make_world(json.dumps(cell.world, sort_keys=True)).episode(cell.seed)
    run = replay(episode, policy=cell.policy, objective=_objective(cell, episode), seed=cell.seed)
    if not len(run):
        raise BadInput(
            f"world {episode.name!r}: the log accepts no round of policy {cell.label!r}; it explores too little"
        )
    half = len(run) // 2
    arm_quality, arm_cost_usd = episode.arm_means()
    corners = hull_of(arm_quality[None], arm_cost_usd[None])
    above_hull = run.mean_quality - float(np.interp(run.mean_cost_usd, corners.spend_usd, corners.quality))
    utility = run.mean_quality - cell.value * run.mean_cost_usd / episode.cost_ref_usd
    best = int(arm_quality.argmax())
    at = np.linspace(0, len(run), CURVE_POINTS).round().astype(int)
    each = run.regret
    if cell.setting == "budget":  # a pacer's rates move with the policy's own spend: they are no common measure
        allowed = cell.value * episode.cost_ref_usd
        each = float(np.interp(allowed, corners.spend_usd, corners.quality)) - run.quality
    regret = np.concatenate(([0.0], np.cumsum(each)))
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
        "regret": float(each.mean()),
        "quality_late": float(run.quality[half:].mean()),
        "cost_usd_late": float(run.cost_usd[half:].mean()),
        "best_quality": float(arm_quality[best]),
        "best_cost_usd": float(arm_cost_usd[best]),
        "least_propensity": float(run.propensity.min()) if len(run) else float("nan"),
        "offered": run.offered,
        "off_policy": list(run.off_policy) if run.off_policy else None,
        "arms": list(run.arms),
        "arm_quality": arm_quality.tolist(),
        "arm_cost_usd": arm_cost_usd.tolist(),
        "shares": list(run.shares.values()),
        "curve_round": at.tolist(),
        "curve_regret": regret[at].tolist(),
        "seconds": time.thread_time() - started,
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


def _connect_dask() -> None:
    try:
        dask: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise BadInput("backend 'dask' needs the package distributed: pip install distributed") from error
    try:
        dask.default_client()
    except ValueError:  # none is open
        dask.Client(dashboard_address=None)  # the named scheduler, or a local cluster
