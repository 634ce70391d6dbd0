"""``armwise log``: look into a log, and keep it small."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from armwise.cli.common import Json, console
from armwise.errors import BadInput, LogError
from armwise.log import DuckDBLog, open_reader
from armwise.log.compact import compact as compact_file
from armwise.registry import SnapshotStore

app = typer.Typer(help="Look into a log, and keep it small.", no_args_is_help=True)

Path_ = Annotated[Path, typer.Argument(metavar="LOG", help="The log's file, or a published directory.")]
File = Annotated[Path, typer.Argument(metavar="LOG", help="The log's file; no service may have it open.")]

_TAIL = """SELECT id, unix_time, task, arm, propensity, quality, cost_usd, latency_ms, error
           FROM rewarded ORDER BY position DESC LIMIT $1"""
_SUMMARY = """SELECT count(*) AS decisions, count(quality) AS judged, min(unix_time) AS first_unix_time,
                     max(unix_time) AS last_unix_time, avg(quality) AS quality, sum(cost_usd) AS cost_usd,
                     list(DISTINCT policy_version) AS policies, list(DISTINCT feature_version) AS features
              FROM rewarded"""
_POOL = """SELECT name, action, unix_time, coalesce(changed_by, '') AS changed_by
           FROM pool_changes ORDER BY position"""
_STATES = {"add": "in use", "remove": "gone", "disable": "disabled", "enable": "in use"}
_DAY_S = 86_400.0


@app.command()
def show(log: Path_, as_json: Json = False) -> None:
    """What a log holds: how much, from when to when, and what is missing."""
    with open_reader(log) as reader:
        [found] = reader.query(_SUMMARY).to_pylist()
        found = {"log": reader.name, "position": reader.position, **found}
        found["gaps"] = [gap._asdict() for gap in reader.gaps()]
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        console.print(f"{name:<16} {_shown(name, value)}", highlight=False)


@app.command()
def tail(
    log: Path_,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 10,
    as_json: Json = False,
) -> None:
    """The latest decisions, with what is known of their outcome by now."""
    with open_reader(log) as reader:
        rows = reader.query(_TAIL, [count]).to_pylist()
    if not as_json:  # what fits a line, with ids whole
        rows = [{name: value for name, value in row.items() if name not in ("unix_time", "error")} for row in rows]
    _print(rows[::-1], as_json)


@app.command()
def pool(log: Path_, as_json: Json = False) -> None:
    """The arms as the log last had them: in use, disabled or gone; since when, and by whom."""
    with open_reader(log) as reader:
        changes = reader.query(_POOL).to_pylist()
    arms: dict[str, dict[str, Any]] = {}
    for change in changes:
        name, state = change["name"], _STATES[change["action"]]
        if change["action"] == "add" and arms.get(name, {}).get("state", "gone") != "gone":
            continue  # new particulars of an arm that was there change nothing of this
        arms[name] = {"arm": name, "state": state, "since_unix_time": change["unix_time"], "by": change["changed_by"]}
    _print(list(arms.values()), as_json)


@app.command()
def query(log: Path_, sql: Annotated[str, typer.Argument(help="A query, in SQL.")], as_json: Json = False) -> None:
    """Ask a log in SQL; docs/log.md has its tables and views."""
    with open_reader(log) as reader:
        rows = reader.query(sql).to_pylist()
    _print(rows, as_json)


@app.command()
def prune(
    log: File,
    keep_days: Annotated[float, typer.Option(help="Drop decisions older than so many days.")],
    as_json: Json = False,
) -> None:
    """Drop old decisions; what they taught stays. A running service does so itself: log.keep_days."""
    if not keep_days >= 0:
        raise BadInput(f"--keep-days must be at least 0, got {keep_days:g}")
    with DuckDBLog(_there(log)) as owned:
        snapshot = SnapshotStore(Path(f"{log}.snapshots")).latest()
        if snapshot is None or snapshot.position < owned.position:
            learned = "nothing" if snapshot is None else f"only what was logged up to position {snapshot.position:,}"
            raise LogError(
                f"nothing was pruned: {learned} of {owned.position:,} is saved as learned, and the rest could not be "
                "rebuilt without the decisions. Start the service on this log and stop it, then prune again"
            )
        gone = owned.prune(owned.boundary(time.time() - keep_days * _DAY_S))
    print(
        json.dumps({"pruned": gone}) if as_json else f"pruned {gone:,} decisions; `armwise log compact` frees the disk"
    )


@app.command()
def compact(log: File, as_json: Json = False) -> None:
    """Rewrite a log's file without the room that pruned rows left, and merge its published stretches."""
    done = compact_file(_there(log))
    if as_json:
        print(json.dumps(done._asdict()))
        return
    print(
        f"{done.bytes_before / 1e6:,.1f} MB -> {done.bytes_after / 1e6:,.1f} MB; "
        f"published stretches {done.files_before} -> {done.files_after}"
    )


def _there(log: Path) -> Path:
    """The path of a log that exists: opening one that does not would make it."""
    if not log.is_file():
        raise LogError(f"there is no log at {log}")
    return log


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"rows": rows}, default=str))
        return
    if not rows:
        print("nothing")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(_shown(name, value) for name, value in row.items()))
    table.columns[0].no_wrap = True  # an id is there to be copied
    console.print(table)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("unix_time"):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
