"""Run by the Python that has LiteLLM: calls through its router with our strategy, and tells what happened as JSON."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import litellm
import openai

from armwise.contracts import Attempt, Decision, Signal
from armwise.integrations.litellm import ArmwiseStrategy
from armwise.testing.simulator import ProviderSimulator, SimulatedModel

MODELS = [
    SimulatedModel("small", skill=0.3, latency_ms=1.0, input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
    SimulatedModel("large", skill=3.0, latency_ms=1.0, input_usd_per_mtok=3.0, output_usd_per_mtok=15.0),
]


def deployment(name: str, base_url: str, group: str, price: float) -> dict[str, object]:
    params = {"model": f"openai/{name}", "api_base": base_url, "api_key": "x"}
    return {
        "model_name": group,
        "litellm_params": {**params, "input_cost_per_token": price / 1e6, "output_cost_per_token": 4 * price / 1e6},
    }


async def main() -> dict[str, object]:
    litellm.suppress_debug_info = True
    with ProviderSimulator(MODELS, seed=0, time_scale=0.1) as simulator:
        router = litellm.Router(
            model_list=[
                deployment("small", simulator.base_url, "auto", 0.1),
                deployment("small", simulator.base_url, "auto", 0.1),
                deployment("large", simulator.base_url, "auto", 3.0),
                deployment("large", simulator.base_url, "only-large", 3.0),
            ],
            num_retries=0,
        )
        strategy = ArmwiseStrategy.install(router, log=":memory:", seed=3, policy="uniform")
        ours = strategy.router

        async def ask(n: int, group: str = "auto", **more: object) -> str:
            done = await router.acompletion(
                model=group, messages=[{"role": "user", "content": f"What is {n} + 30?"}], **more
            )
            return str(done.model)

        answered = Counter([await ask(n) for n in range(30)])
        only = {await ask(n, "only-large") for n in range(5)}
        streamed = ""
        chunks = await router.acompletion(
            model="auto", messages=[{"role": "user", "content": "What is 12 + 30?"}], stream=True
        )
        async for chunk in chunks:
            streamed += chunk.choices[0].delta.content or ""
        simulator.script(None, ["server_error"])
        failed = 0
        for n in range(20):
            try:
                await ask(n)
            except openai.APIError:
                failed += 1
        await asyncio.sleep(1.0)  # LiteLLM's callbacks run behind the answer
        events = [event for _, event in ours._log.events()]
        decisions = [event for event in events if isinstance(event, Decision)]
        signals = [event for event in events if isinstance(event, Signal)]
        attempts = [event for event in events if isinstance(event, Attempt)]
        ours.close()
        return {
            "answered": dict(answered),
            "only": sorted(only),
            "streamed": streamed,
            "failed": failed,
            "decisions": len(decisions),
            "sets": sorted({decision.arms for decision in decisions}),
            "propensities": sorted({decision.propensity for decision in decisions}),
            "signals": Counter(signal.kind for signal in signals),
            "costs": [signal.value for signal in signals if signal.kind == "cost_usd"],
            "attempts": Counter(attempt.status for attempt in attempts),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
