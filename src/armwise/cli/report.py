"""``armwise report``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from armwise.cli.common import Json, console
from armwise.log import open_reader
from armwise.offline.account import Account, account
from armwise.offline.account_page import cards, write_account
from armwise.offline.report import number


def report(
    log: Annotated[Path, typer.Argument(help="A DuckDB log, or a directory of published Parquet.")],
    days: Annotated[float | None, typer.Option(help="Only the latest so many days.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    as_json: Json = False,
) -> None:
    """What a router did: traffic, bills, quality, and what it saved against any one arm alone."""
    out = Console(stderr=True) if as_json else console
    with open_reader(log) as reader, out.status("opening the log") as status:
        found = account(reader, days=days, on_step=status.update)
    page = str(write_account(found, html)) if html is not None else None
    if as_json:
        print(json.dumps({**plain(found), "page": page}, allow_nan=False))
        return
    for label, value in cards(found).items():
        console.print(f"{value:>24}  {label}", highlight=False)
    alone = found.alone
    table = Table("arm", "decisions", "quality", "USD per 1,000", "it alone: quality", "spent against it")
    for arm, one in found.arms.items():
        other = alone.get(arm)
        table.add_row(
            arm,
            f"{one.decisions:,}",
            "-" if one.quality is None else f"{one.quality:.3f}",
            "-" if one.cost_usd is None else f"{1e3 * one.cost_usd:.4f}",
            "-" if other is None else number(other.quality.value, "quality"),
            "-" if other is None or other.saved is None else f"{1.0 - other.saved:.2f} x",
        )
    table.columns[0].no_wrap = True
    console.print(table)
    refused = {arm: other.reason for arm, other in alone.items() if other.reason}
    if refused:
        arm, reason = next(iter(refused.items()))
        more = f" (nor of {len(refused) - 1} others)" if len(refused) > 1 else ""
        console.print(f"the log cannot say what {arm} alone would have been{more}: {reason}", markup=False)
        console.print("[dim]policy: {name: thompson, floor: 0.02} keeps a log answerable[/dim]")
    if found.unanswered:
        console.print(f"what one arm alone would have been is not known: {found.unanswered}", markup=False)
    if page:
        console.print(f"page  {page}")


def plain(found: Account) -> dict[str, Any]:
    """Plain types, ready for JSON."""
    groups = {name: getattr(found, name) for name in ("arms", "tasks", "tenants")}
    alone = {
        arm: {"quality": one.quality.value, "saved": one.saved, "verdict": one.verdict}
        for arm, one in found.alone.items()
        if one.verdict != "refused"
    }
    return {
        "log": found.log,
        "since_unix_time": found.since,
        "until_unix_time": found.until,
        **asdict(found.whole),
        **{name: {key: asdict(one) for key, one in of.items()} for name, of in groups.items()},
        "reliability": [asdict(one) for one in found.reliability],
        "alone": alone,
        "unanswered": found.unanswered or None,
    }
