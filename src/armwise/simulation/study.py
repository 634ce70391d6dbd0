"""A study: which policies, at which budgets or trade-offs, in which worlds, how often. A short YAML file.

::

    question: Does decaying exploration pay?
    worlds:
      - {name: mmlu_pro, kind: packaged}
      - {name: new arm, kind: synthetic, rounds: 5000, nuisances: [{kind: new_arm, at: 0.5}]}
    policies:
      - thompson
      - {label: greedy, name: thompson, scale: 0.0}
    budgets: [0.35, 0.5]        # mean spend, as shares of the best arm's mean cost; or cost_weights: [0.05, 0.1]
    seeds: 20
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from armwise.errors import BadInput, ConfigError, unknown
from armwise.policies import make_policy
from armwise.simulation.episode import World
from armwise.simulation.table import OutcomeTable
from armwise.simulation.worlds import NUISANCES, LoggedWorld, SyntheticWorld, TableWorld, TroubledWorld
from armwise.simulation.worlds.table import check_order

_KEYS = ("name", "question", "worlds", "policies", "budgets", "cost_weights", "seeds", "baseline")
_TABLE_KEYS: Mapping[str, tuple[str, ...]] = {
    "packaged": ("labels", "limit", "order"),
    "parquet": ("path", "dataset", "labels", "limit", "order"),
    "log": ("path",),
}
CELL_REVISION = 3
"""Of what a cell computes. Raise it when results change that no setting explains; kept cells are then done anew."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One replay of a study. All plain JSON, so that any worker can run it."""

    world: Mapping[str, Any]
    label: str
    policy: Mapping[str, Any]
    setting: str
    """``budget`` (a share of the best arm's mean cost) or ``cost_weight`` (points of quality per that cost)."""
    value: float
    seed: int

    @property
    def key(self) -> str:
        """Hash of all that decides the result: the name of its file."""
        spec = [CELL_REVISION, self.world, self.label, self.policy, self.setting, self.value, self.seed]
        return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What :func:`load_study` read."""

    name: str
    worlds: tuple[Mapping[str, Any], ...]
    policies: Mapping[str, Mapping[str, Any]]
    """Label -> name and parameters."""
    setting: str
    """``budget`` or ``cost_weight``."""
    values: tuple[float, ...]
    seeds: tuple[int, ...]
    baseline: str
    """Label of the policy that the others are compared with."""
    question: str = ""

    def cells(self) -> Iterator[Cell]:
        """Every replay, seeds outermost, so that an interrupted study has whole comparisons."""
        for seed in self.seeds:
            for world in self.worlds:
                for label, policy in self.policies.items():
                    for value in self.values:
                        yield Cell(
                            world=world, label=label, policy=policy, setting=self.setting, value=value, seed=seed
                        )


def load_study(path: str | Path) -> Study:
    """Read a study.

    Raises:
        ConfigError: naming the setting at fault.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    return parse_study(data, name=path.stem, folder=path.parent, source=str(path))


def parse_study(data: Any, *, name: str = "study", folder: Path | None = None, source: str = "study") -> Study:
    """Check settings already read. Paths of tables may hold ``${VARIABLE}``; relative
    ones are relative to ``folder``.

    Raises:
        ConfigError: naming the setting at fault.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: a study is a mapping with worlds and policies, got {type(data).__name__}")
    for key in data:
        if key not in _KEYS:
            raise ConfigError(f"{source}: {unknown('setting', str(key), _KEYS)}")
    worlds = [
        _world_spec(spec, folder, f"{source}: worlds[{i}]") for i, spec in enumerate(_list(data, "worlds", source))
    ]
    names = [str(world["name"]) for world in worlds]
    if len(set(names)) != len(names):
        raise ConfigError(f"{source}: worlds: every world needs a name of its own, got {', '.join(names)}")
    policies: dict[str, Mapping[str, Any]] = {}
    for i, spec in enumerate(_list(data, "policies", source)):
        label, policy = _policy_spec(spec, f"{source}: policies[{i}]")
        if label in policies:
            raise ConfigError(f"{source}: policies[{i}]: label {label!r} is taken; give another")
        policies[label] = policy
    if "budgets" in data and "cost_weights" in data:
        raise ConfigError(f"{source}: takes budgets or cost_weights, not both")
    setting = "cost_weight" if "cost_weights" in data else "budget"
    values = data.get(f"{setting}s", [0.5])
    if not isinstance(values, list) or not values or not all(_number(v) and v >= 0 for v in values):
        raise ConfigError(f"{source}: {setting}s must be a list of numbers of at least 0, got {values!r}")
    if setting == "budget" and min(values) <= 0:
        raise ConfigError(f"{source}: budgets must be above 0, got {values!r}")
    seeds = data.get("seeds", 20)
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0:
        seeds = list(range(seeds))
    if not isinstance(seeds, list) or not seeds or not all(isinstance(s, int) and s >= 0 for s in seeds):
        raise ConfigError(f"{source}: seeds must be how many, or a list of whole numbers, got {seeds!r}")
    baseline = data.get("baseline", next(iter(policies)))
    if baseline not in policies:
        raise ConfigError(f"{source}: baseline: {unknown('policy', str(baseline), policies)}")
    return Study(
        name=str(data.get("name", name)),
        question=" ".join(str(data.get("question", "")).split()),
        worlds=tuple(worlds),
        policies=policies,
        setting=setting,
        values=tuple(float(v) for v in values),
        seeds=tuple(seeds),
        baseline=str(baseline),
    )


@lru_cache(maxsize=4)
def make_world(spec: str) -> World:
    """The world of a specification, written as JSON; kept, for tables take a second to load."""
    settings = json.loads(spec)
    kind, name = settings.pop("kind"), settings.pop("name")
    nuisances = [dict(nuisance) for nuisance in settings.pop("nuisances", [])]
    world: World
    if kind == "synthetic":
        world = SyntheticWorld(name=name, **settings)
    elif kind == "log":
        world = LoggedWorld.read(settings["path"], name=name)
    else:
        limit, order = settings.pop("limit", None), settings.pop("order", "shuffled")
        table = (
            OutcomeTable.packaged(**settings)
            if kind == "packaged"
            else OutcomeTable.read_parquet(settings.pop("path"), **settings)
        )
        world = TableWorld(table.take(range(min(limit, len(table)))) if limit else table, name=name, order=order)
    if not nuisances:
        return world
    made = tuple(NUISANCES[nuisance.pop("kind")](**nuisance) for nuisance in nuisances)
    return TroubledWorld(world=world, nuisances=made, name=name)


def _world_spec(spec: Any, folder: Path | None, where: str) -> Mapping[str, Any]:
    kinds = ("packaged", "parquet", "log", "synthetic")
    if not isinstance(spec, dict) or spec.get("kind") not in kinds:
        kind = spec.get("kind") if isinstance(spec, dict) else spec
        raise ConfigError(f"{where}: {unknown('kind of world', str(kind), kinds)}")
    kind = spec["kind"]
    out = {"name": kind, **spec}
    allowed = _TABLE_KEYS.get(kind) or tuple(SyntheticWorld.__dataclass_fields__)
    for key in spec:
        if key not in (*allowed, "kind", "name", "nuisances"):
            raise ConfigError(f"{where}: {unknown('setting', str(key), (*allowed, 'nuisances'))}")
    if "order" in spec:
        _try(check_order, {"order": spec["order"]}, where)
    if kind == "log" and spec.get("nuisances"):
        raise ConfigError(f"{where}: a log is as it is; nuisances go with the other kinds of world")
    if kind in ("parquet", "log"):
        if "path" not in spec:
            raise ConfigError(f"{where}: path is missing: the Parquet file of outcomes, or the log")
        path = os.path.expandvars(str(spec["path"]))
        if "$" in path:
            raise ConfigError(f"{where}: path {spec['path']!r} names an environment variable that is not set")
        out["path"] = str((folder or Path()) / path)
    for i, nuisance in enumerate(spec.get("nuisances") or []):
        at = f"{where}.nuisances[{i}]"
        if not isinstance(nuisance, dict) or nuisance.get("kind") not in NUISANCES:
            came = nuisance.get("kind") if isinstance(nuisance, dict) else nuisance
            raise ConfigError(f"{at}: {unknown('nuisance', str(came), NUISANCES)}")
        _try(NUISANCES[nuisance["kind"]], {k: v for k, v in nuisance.items() if k != "kind"}, at)
    if kind == "synthetic":
        _try(SyntheticWorld, {k: v for k, v in out.items() if k not in ("kind", "nuisances")}, where)
    return out


def _policy_spec(spec: Any, where: str) -> tuple[str, Mapping[str, Any]]:
    settings = {"name": spec} if isinstance(spec, str) else dict(spec) if isinstance(spec, dict) else {}
    if "name" not in settings:
        raise ConfigError(f"{where}: a policy is a name, or a mapping with name and parameters, got {spec!r}")
    label = str(settings.pop("label", settings["name"]))
    _try(make_policy, {"dimension": 2, **settings}, where)
    return label, settings


def _try(make: Any, settings: Mapping[str, Any], where: str) -> None:
    try:
        make(**settings)
    except (BadInput, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _list(data: Mapping[str, Any], key: str, source: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{source}: {key} must be a list with at least one entry, got {value!r}")
    return value


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
