"""``armwise route``."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from armwise.cli.common import Json
from armwise.contracts import Decision, Model, Request
from armwise.router import Router

EXAMPLE_POOL = (
    Model("small", input_usd_per_mtok=0.1, output_usd_per_mtok=0.4, quality_prior=0.6, latency_ms=400),
    Model("medium", input_usd_per_mtok=0.5, output_usd_per_mtok=1.5, quality_prior=0.75, latency_ms=900),
    Model("large", input_usd_per_mtok=3.0, output_usd_per_mtok=12.0, quality_prior=0.9, latency_ms=2_000),
)
"""The pool of ``armwise route`` where no config is given."""


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
