"""``armwise serve``."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from armwise.cli.common import console
from armwise.config import load_config
from armwise.errors import BadInput
from armwise.gateway import Gateway, GatewayServer, simulated
from armwise.gateway.journal import write_journal
from armwise.router import Router


def serve(
    config: Annotated[Path | None, typer.Argument(help="A YAML configuration.")] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Serve simulated models on loopback: no key and no configuration.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on, over the configuration's.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = None,
) -> None:
    """Serve the OpenAI API in front of the pool."""
    if simulate == (config is not None):
        raise BadInput("serve takes a configuration, or --simulate in place of one")
    listen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if config is None:
        with simulated.providers() as providers:
            _run(simulated.gateway(providers, **listen), hint=True)
    else:
        settings = load_config(config)
        chosen = settings.gateway.model_copy(update=listen)
        _run(Gateway(Router.from_config(settings), chosen))


def _run(gateway: Gateway, *, hint: bool = False) -> None:
    server = GatewayServer(gateway)
    listener = server.listen()
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    console.print(
        f"armwise serves {', '.join(gateway.router.arms)} at [bold]{url}/v1[/bold]", highlight=False, soft_wrap=True
    )
    if hint:
        console.print(simulated.hint(url), highlight=False, markup=False, soft_wrap=True)
    write_journal()
    gc.collect()
    gc.freeze()  # what was loaded by now stays: no collection, while a request waits, need look at it again
    server.run(sockets=[listener])
