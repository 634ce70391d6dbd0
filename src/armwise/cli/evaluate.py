"""``armwise evaluate``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from armwise.cli.common import Json, console
from armwise.evaluation import LOGGING
from armwise.log import open_reader
from armwise.offline import LogEvaluation, Question, evaluate_log, make_candidates, summary
from armwise.offline.report import LABELS, number, span, write_page


def evaluate(
    log: Annotated[Path, typer.Argument(help="A DuckDB log, or a directory of published Parquet.")],
    candidates: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to compare, each optionally as NAME=WHAT: a configuration (path.yaml), a policy by name, "
            "snapshot:VERSION (or latest), path.snapshot, arm:NAME. By default arm:*, every arm by itself."
        ),
    ] = None,
    estimator: Annotated[
        str | None, typer.Option(help="dr_os (the default), dr, snips, ips, switch_dr, ...; see docs/evaluate.md.")
    ] = None,
    interval: Annotated[str, typer.Option(help="normal, bootstrap, empirical_bernstein, betting.")] = "normal",
    level: Annotated[float, typer.Option(help="Confidence of each interval.")] = 0.95,
    split: Annotated[float, typer.Option(help="Share of the log that teaches; the rest judges.")] = 0.5,
    prequential: Annotated[
        bool, typer.Option("--prequential", help="Judge on every row by what was learned from the rows before.")
    ] = False,
    cost_weight: Annotated[float | None, typer.Option(help="Points of quality per --cost-ref-usd, in utility.")] = None,
    latency_weight: Annotated[float | None, typer.Option(help="Points of quality per --latency-ref-ms.")] = None,
    cost_ref_usd: Annotated[float | None, typer.Option(help="By default, as the log last had it.")] = None,
    latency_ref_ms: Annotated[float | None, typer.Option(help="By default, as the log last had it.")] = None,
    highest_cost_usd: Annotated[float | None, typer.Option(help="No request can cost more; betting needs it.")] = None,
    highest_latency_ms: Annotated[float | None, typer.Option(help="No request can take longer.")] = None,
    slices: Annotated[str, typer.Option(help="Look at overlap by: task, tenant, policy_version.")] = "task",
    feature_version: Annotated[str | None, typer.Option(help="Where the log has several.")] = None,
    snapshots: Annotated[Path | None, typer.Option(help="By default LOG.snapshots.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap's draws.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Give numbers even where the verdict refuses.")] = False,
    as_json: Json = False,
) -> None:
    """What would other policies have achieved on a log's traffic? Works while a service writes that log."""
    out = Console(stderr=True) if as_json else console
    with open_reader(log) as reader, out.status("opening the log") as status:
        about = summary(reader, feature_version=feature_version)
        folder = snapshots or Path(f"{str(log).removesuffix('.parquet')}.snapshots")
        found = evaluate_log(
            reader,
            make_candidates(candidates or ["arm:*"], reader, about, snapshots=folder),
            Question(
                estimator=estimator,
                interval=interval,
                level=level,
                split=split,
                prequential=prequential,
                rates={
                    "cost_weight": cost_weight,
                    "latency_weight": latency_weight,
                    "cost_ref_usd": cost_ref_usd,
                    "latency_ref_ms": latency_ref_ms,
                },
                highest={
                    name: top
                    for name, top in (("cost_usd", highest_cost_usd), ("latency_ms", highest_latency_ms))
                    if top is not None
                },
                slices=tuple(name.strip() for name in slices.split(",") if name.strip()),
                force=force,
                seed=seed,
            ),
            feature_version=about.feature_version,
            on_step=status.update,
        )
    page = str(write_page(found, html)) if html is not None else None
    if as_json:
        print(json.dumps({**found.to_dict(), "page": page}, allow_nan=False))
        return
    show(found)
    if page:
        console.print(f"page  {page}")


def show(found: LogEvaluation) -> None:
    """The table and its findings on the terminal."""
    e = found.evaluation
    console.print(
        f"{found.log.name}: {found.log.decisions:,} decisions, {found.rows:,} judge the candidates; "
        f"{e.estimator}, {e.interval} intervals at {e.level:.0%} ({e.guarantee})"
    )
    board = Table("policy", *(LABELS[outcome] for outcome in found.outcomes), "effective rows", "verdict")
    for policy in (*found.candidates, LOGGING):
        cells = [span(found.estimate(policy, outcome), outcome).replace(" [", "\n[") for outcome in found.outcomes]
        if policy == LOGGING:
            board.add_row("[dim]logging policy", *cells, f"{found.rows:,}", "[dim]runs now")
            continue
        verdict = found.verdict(policy)
        colour = {"better": "green", "worse": "red", "refused": "yellow"}.get(verdict, "default")
        gain = found.difference(policy, "utility")
        detail = "" if verdict == "refused" else f"\n{number(gain.value, 'utility', signed=True)} utility"
        board.add_row(
            policy,
            *cells,
            f"{found.effective_sample_size(policy, 'quality'):,.0f}",
            f"[{colour}]{verdict}[/{colour}]{detail}",
        )
    console.print(board)
    for policy in found.candidates:
        for finding in e.verdict(policy).findings:
            console.print(f"{policy}: {finding.status}: {finding.message}", markup=False)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    trade = found.trade
    console.print(
        f"utility = quality - {trade.cost_weight:.4g} x cost / {trade.cost_ref_usd:.3g} USD"
        + (f" - {trade.latency_weight:.4g} x latency / {trade.latency_ref_ms:.0f} ms" if trade.latency_weight else "")
    )
