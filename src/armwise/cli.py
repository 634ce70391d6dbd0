"""The command line: thin shells around the library. Every command that computes takes ``--json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from armwise.config import load_config
from armwise.contracts import Decision, Model, Request
from armwise.demo import run_demo
from armwise.errors import ArmwiseError
from armwise.router import Router
from armwise.simulation.command import run_study

app = typer.Typer(
    name="armwise",
    help="An adaptive LLM router: learns which model answers best for its price, and proves it from its own log.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")]
Config = Annotated[Path, typer.Argument(help="A YAML configuration.")]

EXAMPLE_POOL = (
    Model("small", input_usd_per_mtok=0.1, output_usd_per_mtok=0.4, quality_prior=0.6, latency_ms=400),
    Model("medium", input_usd_per_mtok=0.5, output_usd_per_mtok=1.5, quality_prior=0.75, latency_ms=900),
    Model("large", input_usd_per_mtok=3.0, output_usd_per_mtok=12.0, quality_prior=0.9, latency_ms=2_000),
)
"""The pool of ``armwise route`` where no config is given."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the log and the page.")] = Path("armwise-demo"),
    limit: Annotated[int | None, typer.Option(help="Only so many prompts, for a quick look.")] = None,
    as_json: Json = False,
) -> None:
    """Replay real outcomes of twelve models through the router, from a cold start, and show what it saves."""
    run_demo(json=as_json, out=out, console=None if as_json else console, limit=limit)


@app.command()
def route(
    text: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="A YAML configuration.")] = None,
    task: Annotated[str | None, typer.Option(help="Overrides the task classifier.")] = None,
    as_json: Json = False,
) -> None:
    """Decide which arm would answer a prompt, and say why. Nothing is called, nothing is logged."""
    router = Router.from_config(config, log=None) if config else Router(EXAMPLE_POOL)
    prompt = sys.stdin.read() if text == "-" else text
    with router:
        decision = router.decide(Request.from_text(prompt, task=task))
    if as_json:
        print(json.dumps(decision_as_dict(decision)))
    else:
        print(decision.explain())


@app.command()
def simulate(
    study: Annotated[Path, typer.Argument(help="A study: policies, worlds, seeds, as YAML.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default results/NAME beside it.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
    backend: Annotated[str, typer.Option(help="Of joblib, by name: loky, threading, ray, dask.")] = "loky",
    as_json: Json = False,
) -> None:
    """Compare policies on recorded or synthetic traffic; an interrupted study goes on where it stopped."""
    run_study(study, out=out, json=as_json, jobs=jobs, backend=backend, console=None if as_json else console)


@app.command()
def doctor(config: Config, as_json: Json = False) -> None:
    """Check a configuration and say what it would do."""
    settings = load_config(config)
    router = Router.from_config(settings, log=None)
    pool = [arm.models[0] for arm in router.pool()]
    objective = settings.objective.model_dump(exclude_none=True)
    found: dict[str, Any] = {
        "config": str(config),
        "models": [
            {
                "name": model.name,
                "input_usd_per_mtok": model.input_usd_per_mtok,
                "output_usd_per_mtok": model.output_usd_per_mtok,
                "context_window": model.context_window,
                "clearance": model.clearance,
                "residency": model.residency,
            }
            for model in pool
        ],
        "disabled": [model.name for model in settings.models if not model.enabled],
        "objective": objective,
        "policy": settings.policy_settings(),
        "features": {"version": router.encoder.version, "dimension": len(router.encoder.names)},
        "log": settings.log.path,
    }
    if as_json:
        print(json.dumps(found))
        return
    table = Table("model", "USD/M input", "USD/M output", "context", "clearance", "residency")
    for row in found["models"]:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    console.print(table)
    console.print(f"objective  {objective}")
    console.print(f"policy     {found['policy']}")
    console.print(f"features   {found['features']['version']}, {found['features']['dimension']} dimensions")
    console.print(f"log        {settings.log.path or 'none: nothing survives a restart'}")
    if found["disabled"]:
        console.print(f"disabled   {', '.join(found['disabled'])}")
    console.print(f"[green]{config} is sound[/green]")


def decision_as_dict(decision: Decision) -> dict[str, Any]:
    """A decision as plain JSON."""
    predictions = {
        name: dict(zip(decision.arms, values.tolist(), strict=True))
        for name, values in decision.predictions._asdict().items()
    }
    return {
        "id": decision.id,
        "arm": decision.arm,
        "propensity": decision.propensity,
        "probabilities": decision.probabilities,
        "excluded": dict(decision.excluded),
        "predictions": predictions,
        "trade": decision.trade._asdict(),
        "task": decision.context.task,
        "input_tokens": decision.context.input_tokens,
        "policy_version": decision.policy_version,
        "feature_version": decision.feature_version,
    }


def main() -> None:
    """Entry point: errors of armwise become one line and exit code 2, without a traceback."""
    try:
        app()
    except ArmwiseError as error:
        print(f"armwise: {error}", file=sys.stderr)
        sys.exit(2)
