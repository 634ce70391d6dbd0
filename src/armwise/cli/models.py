"""``armwise models``: trained policies, which of them serves, and how that is changed."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from armwise.cli.common import Json, console
from armwise.contracts import RolloutChange
from armwise.errors import BadInput
from armwise.registry import Registry
from armwise.registry.differences import differences

models = typer.Typer(
    name="models", help="Trained policies: list, show, compare, promote, roll back.", no_args_is_help=True
)

Log = Annotated[Path, typer.Option(help="The log whose registry it is, or the registry's own folder.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]
_DEFAULT = Path("armwise.duckdb")


@models.command("list")
def list_(log: Log = _DEFAULT, as_json: Json = False) -> None:
    """The snapshots, oldest first, and what serves."""
    registry = _registry(log)
    now, manifests = registry.standing(), registry.snapshots.list()
    stages = {now.serving: "serves"}
    if now.trial is not None:
        stages[now.trial.version] = _stage(now.trial)
    if as_json:
        found = [{**asdict(manifest), "stage": stages.get(manifest.version)} for manifest in manifests]
        trial = None if now.trial is None else asdict(now.trial)
        print(json.dumps({"serving": now.serving, "trial": trial, "before": list(now.before), "models": found}))
        return
    table = Table("version", "made", "policy", "trained on", "by", "stage")
    table.add_row("initial", "", "of the configuration", "", "", stages.get("initial", ""))
    for manifest in manifests:
        rows = manifest.data.get("rows")
        table.add_row(
            manifest.version,
            _when(manifest.created_at),
            str(manifest.policy.get("name", "")),
            f"{rows:,} rows to {manifest.position:,}" if rows is not None else f"to {manifest.position:,}",
            manifest.made_by,
            stages.get(manifest.version, ""),
        )
    console.print(table)


@models.command()
def show(version: str, log: Log = _DEFAULT, as_json: Json = False) -> None:
    """A snapshot's manifest, and who promoted it when; its checksum is checked."""
    registry = _registry(log)
    manifest = registry.snapshots.load(version).manifest
    changes = [asdict(change) for change in registry.history.after(0) if change.version == manifest.version]
    if as_json:
        print(json.dumps({**asdict(manifest), "changes": changes}))
        return
    for name, value in asdict(manifest).items():
        shown = _when(value) if name == "created_at" else value if isinstance(value, str) else json.dumps(value)
        console.print(f"[bold]{name}[/]: {shown}", highlight=False)
    for change in changes:
        console.print(f"{_when(change['at'])}: {_said(RolloutChange(**change))}", highlight=False)


@models.command()
def diff(old: str, new: str, log: Log = _DEFAULT, as_json: Json = False) -> None:
    """What two snapshots differ in: settings, data, metrics, and how far what they learned lies apart."""
    registry = _registry(log)
    found = differences(registry.snapshots.load(old), registry.snapshots.load(new))
    if as_json:
        print(json.dumps(found))
        return
    table = Table("", old, new)
    for name, (before, after) in found["manifest"].items():
        table.add_row(name, json.dumps(before), json.dumps(after))
    for name, distance in found["state"].items():
        table.add_row(name, "", f"relative distance {distance:.4g}" if distance is not None else "other shape")
    console.print(table)


@models.command()
def promote(
    version: Annotated[str, typer.Argument(help="Its first digits do; `initial` is the configuration's policy.")],
    log: Log = _DEFAULT,
    stage: Annotated[str, typer.Option(help="full, canary or shadow.")] = "full",
    share: Annotated[float, typer.Option(help="Of each draw, for a canary; 0.1 is 10%.")] = 0.0,
    tolerance: Annotated[
        float, typer.Option(help="Utility by which a canary may be worse before it is taken off.")
    ] = 0,
    level: Annotated[float, typer.Option(help="Confidence at which it is taken off.")] = 0.95,
    by: Annotated[str | None, typer.Option(help="Who promotes; by default you.")] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Let a snapshot serve, or be tried; running services follow within a second."""
    change = _registry(log).promote(
        version, stage=stage, share=share, tolerance=tolerance, level=level, by=by or _me(), reason=reason
    )
    _tell(change, as_json)


@models.command()
def rollback(
    log: Log = _DEFAULT,
    by: Annotated[str | None, typer.Option(help="Who does; by default you.")] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Take off what is tried, or go back to what served before; running services follow within a second."""
    _tell(_registry(log).rollback(by=by or _me(), reason=reason), as_json)


@models.command()
def history(log: Log = _DEFAULT, as_json: Json = False) -> None:
    """Every change of what serves: who, when, why."""
    changes = _registry(log).history.after(0)
    if as_json:
        print(json.dumps({"changes": [asdict(change) for change in changes]}))
        return
    if not changes:
        print("nothing was ever promoted")
    for change in changes:
        console.print(f"{change.sequence:>4}  {_when(change.at)}  {_said(change)}", highlight=False)


def _registry(path: Path) -> Registry:
    """Of a log, or by its own folder.

    Raises:
        BadInput: if there is none.
    """
    registry = Registry(path) if path.is_dir() and path.suffix != ".parquet" else Registry.of(path)
    if not registry.directory.is_dir():
        raise BadInput(
            f"there is no registry at {registry.directory}: `armwise retrain` makes one; name its log with --log"
        )
    return registry


def _me() -> str:
    return os.environ.get("USER", "") or f"uid {os.getuid()}"


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def _stage(change: RolloutChange) -> str:
    return f"{change.stage} {change.share:.4g}" if change.share else change.stage


def _said(change: RolloutChange) -> str:
    by = f" by {change.by}" if change.by else ""
    reason = f": {change.reason}" if change.reason else ""
    return f"{change.version} {_stage(change)}{by}{reason}"


def _tell(change: RolloutChange, as_json: bool) -> None:
    record: dict[str, Any] = asdict(change)
    if as_json:
        print(json.dumps(record))
    else:
        console.print(f"change {change.sequence}: {_said(change)}", highlight=False)
