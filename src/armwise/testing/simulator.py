"""A provider of language models on loopback: real HTTP, no key, no network, and every fault a provider can have.

    with ProviderSimulator([SimulatedModel("small", skill=0.4), SimulatedModel("large", skill=0.9)], seed=0) as sim:
        models = sim.models()                             # records for a router, reached at sim.base_url
        sim.set_failures("large", Failures(rate_limit=0.2, retry_after_s=0.05))
        sim.outage("small")                               # 503 until sim.outage("small", False)
        sim.script("large", ["stall", "ok", "cut"])       # the very next calls, in this order

The same models answer in the OpenAI, Anthropic and Gemini formats. Answers depend on the seed, the model and the
question alone; only a question with a temperature and no seed gets a fresh answer each time it is repeated. Faults and
latencies also depend on how often the question was asked before, so that a retry has its own luck.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from armwise.contracts import Model
from armwise.errors import BadInput, unknown
from armwise.testing.models import DEFAULT_MODELS, FAULTS, Failures, SimulatedModel
from armwise.testing.server import SimulatorApp

__all__ = ["DEFAULT_MODELS", "FAULTS", "Failures", "ProviderSimulator", "SimulatedModel"]


class ProviderSimulator:
    """The simulator as a context manager.

    Args:
        models: what it serves; a small price ladder by default.
        seed: of answers, faults and latencies.
        process: run in a process of its own, so that it does not share the interpreter with what it is used to
            measure. Costs about half a second to start; a thread otherwise.
        time_scale: factor on every simulated delay; 0 answers at once.
        keys: the API keys it accepts; any by default.
        port: a free one by default.

    Raises:
        BadInput: on no models, or two of one name.
    """

    def __init__(
        self,
        models: Sequence[SimulatedModel] = DEFAULT_MODELS,
        *,
        seed: int = 0,
        process: bool = False,
        time_scale: float = 1.0,
        keys: Sequence[str] | None = None,
        port: int = 0,
    ) -> None:
        self._settings: dict[str, Any] = {
            "models": [model.to_json() for model in models],
            "seed": seed,
            "time_scale": time_scale,
            "keys": None if keys is None else list(keys),
            "port": port,
        }
        self.simulated: dict[str, SimulatedModel] = {model.name: model for model in models}
        _app(self._settings)  # refuse bad settings here, not in the thread or process
        self._process = process
        self._running: _InThread | _InProcess | None = None

    # ------------------------------------------------------------------------------------------ life

    def start(self) -> ProviderSimulator:
        """Start serving; returns once requests are answered."""
        if self._running is None:
            self._running = _InProcess(self._settings) if self._process else _InThread(self._settings)
        return self

    def stop(self) -> None:
        """Stop serving and free the port. Open connections are closed."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def __enter__(self) -> ProviderSimulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The loopback port.

        Raises:
            BadInput: if the simulator is not running.
        """
        if self._running is None:
            raise BadInput("the simulator is not running; use it in a with block, or call start()")
        return self._running.port

    @property
    def base_url(self) -> str:
        """Base URL for every wire format, ``/v1`` included."""
        return f"http://127.0.0.1:{self.port}/v1"

    def models(self, provider: str = "openai", **changes: Any) -> list[Model]:
        """The records by which a router reaches the simulated models, in a wire format of choice."""
        return [model.model(self.base_url, provider=provider, **changes) for model in self.simulated.values()]

    # ------------------------------------------------------------------------------------------ mischief

    def set_failures(self, model: str | None, failures: Failures) -> None:
        """Failure rates of one model, or of all (None), from now on."""
        self._control("failures", model, failures=asdict(failures))

    def script(self, model: str | None, faults: Sequence[str]) -> None:
        """What the next calls of a model meet, one of FAULTS or ``ok`` each; then its failure rates rule again."""
        self._control("script", model, faults=list(faults))

    def outage(self, model: str | None = None, on: bool = True, *, status: int = 503, reset: bool = False) -> None:
        """Begin or end an outage: every call gets ``status``, or has its connection reset."""
        self._control("outage", model, outage=("reset" if reset else status) if on else None)

    def clear(self) -> None:
        """End outages and scripts, restore failure rates, forget recorded requests."""
        self._control("clear", None)

    def requests(self) -> list[dict[str, Any]]:
        """The last 1,000 requests, oldest first.

        Each has ``path``, ``headers``, ``body``, ``model``, ``fault``, ``status``, and ``disconnected``: whether the
        client went away before the answer was complete.
        """
        return cast(list[dict[str, Any]], self._control("requests", None)["requests"])

    def _control(self, action: str, model: str | None, **data: Any) -> dict[str, Any]:
        if model is not None and model not in self.simulated:
            raise BadInput(unknown("simulated model", model, self.simulated))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", f"/_simulator/{action}", json.dumps({"model": model, **data}))
            response = connection.getresponse()
            result: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise BadInput(result["error"])
        return result


# ---------------------------------------------------------------------------------------------- serving


def _app(settings: dict[str, Any]) -> SimulatorApp:
    models = [SimulatedModel.from_json(model) for model in settings["models"]]
    return SimulatorApp(models, seed=settings["seed"], time_scale=settings["time_scale"], keys=settings["keys"])


def _server(settings: dict[str, Any]) -> tuple[uvicorn.Server, socket.socket]:
    transports: dict[tuple[str, int], Any] = {}

    class Protocol(H11Protocol):
        """Remembers its transport, so that the application can reset or cut the connection."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.app_state["transports"] = transports
            if self.client is not None:
                transports[self.client] = transport
            # asyncio does so only for sockets that name their protocol; without it each answer waits 40 ms for an ACK
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                transports.pop(self.client, None)
            super().connection_lost(exc)

    config = uvicorn.Config(
        cast(Any, _app(settings)),
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    listener = socket.create_server(("127.0.0.1", settings["port"]), backlog=512)
    return uvicorn.Server(config), listener


class _InThread:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._server, listener = _server(settings)
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="provider-simulator", daemon=True
        )
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.002)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(5)


class _InProcess:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "armwise.testing.simulator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(settings) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator process ended with exit code {self._child.wait()}")
        self.port: int = json.loads(line)["port"]

    def stop(self) -> None:
        self._child.communicate(timeout=10)  # closes its standard input, which ends it


def main() -> None:
    """Serve until standard input ends. Reads settings as one JSON line, answers with the port as another."""
    serving = _InThread(json.loads(sys.stdin.readline()))
    print(json.dumps({"port": serving.port}), flush=True)
    sys.stdin.read()
    serving.stop()


if __name__ == "__main__":
    main()
