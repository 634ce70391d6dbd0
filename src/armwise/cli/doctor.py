"""``armwise doctor``."""

import json
import os
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from armwise.cli.common import Config, Json, console
from armwise.config import load_config, located, missing_keys
from armwise.plans import calls_in, plan_of
from armwise.router import Router

OBJECTIVES = ("max_quality", "min_cost", "tradeoff")


def doctor(config: Config, as_json: Json = False) -> None:
    """Check a configuration and say what it would do."""
    settings = load_config(config, needs_keys=False)
    with located(config):
        router = Router.from_config(settings, log=None)
    absent = missing_keys(settings, os.environ)
    arms = router.pool()
    pool = [arm.models[0] for arm in arms if arm.plan == "single"]
    objective = settings.objective.model_dump(exclude_none=True, exclude={kind: {"budgets"} for kind in OBJECTIVES})
    budgets = settings.objective.record().all_budgets
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
        "plans": [
            {
                "name": arm.name,
                "plan": arm.plan,
                "calls": ", ".join(model.name for model in arm.models),
                "at_most": calls_in(plan_of(arm)),
            }
            for arm in arms
            if arm.plan != "single"
        ],
        "routes": list(router.routes()),
        "rules": [rule.name for rule in settings.rules],
        "fallback": settings.fallback.model_dump(),
        "sessions": settings.sessions.model_dump(),
        "tools": settings.tools.model_dump() if settings.tools else None,
        "disabled": [model.name for model in settings.models if not model.enabled],
        "objective": objective,
        "budgets": [asdict(budget) for budget in budgets],
        "policy": settings.policy_settings(),
        "features": {"version": router.encoder.version, "dimension": len(router.encoder.names)},
        "log": settings.log.path,
        "missing_keys": [str(key) for key in absent],
    }
    if as_json:
        print(json.dumps(found))
        return
    table = Table("model", "USD/M input", "USD/M output", "context", "clearance", "residency")
    for row in found["models"]:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    console.print(table)
    if found["plans"]:
        plans = Table("plan", "kind", "calls", "calls at most")
        for row in found["plans"]:
            plans.add_row(*map(str, row.values()))
        console.print(plans)
    console.print(f"routes     {', '.join(found['routes'])}")
    if found["rules"]:
        console.print(f"rules      {'; '.join(found['rules'])}")
    console.print(f"fallback   on {', '.join(settings.fallback.reasons)}; {settings.fallback.max_arms} arms at most")
    console.print(f"sessions   {found['sessions']}")
    if found["tools"]:
        console.print(f"tools      {found['tools']}")
    console.print(f"objective  {objective}")
    for budget in budgets:
        stop = "hard stop" if budget.hard_stop else "then the cheapest arm" if budget.per == "day" else "on average"
        console.print(f"budget     {budget.name}: {budget.usd:g} USD a {budget.per}, {stop}")
    console.print(f"policy     {found['policy']}")
    console.print(f"features   {found['features']['version']}, {found['features']['dimension']} dimensions")
    console.print(f"log        {settings.log.path or 'none: nothing survives a restart'}")
    if found["disabled"]:
        console.print(f"disabled   {', '.join(found['disabled'])}")
    for key in absent:
        console.print(f"[yellow]key absent  {escape(str(key))}[/yellow]", highlight=False)
    but = ", but will not start without the keys above" if absent else ""
    console.print(f"[green]{config} is sound{but}[/green]")
