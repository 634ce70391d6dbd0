"""A routing strategy for LiteLLM: its router, or its proxy, asks armwise which deployment is to answer.

    router = litellm.Router(model_list=[...])
    strategy = ArmwiseStrategy.install(router, log="armwise.duckdb")

One model group with several different models in it is what there is to choose from. Latency, billed cost and failures
come back through LiteLLM's callbacks; quality is for you to report, by the decision's id, which callbacks find in
``kwargs["litellm_params"]["metadata"]["model_info"]["armwise_decision"]``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.router import CustomRoutingStrategyBase
from litellm.router_utils.cooldown_handlers import _async_get_cooldown_deployments, _get_cooldown_deployments

from armwise.contracts import Attempt, Decision, Model, Request
from armwise.errors import BadInput, UnknownDecision
from armwise.router import Router

_DECISION, _ARM = "armwise_decision", "armwise_arm"
_SOURCE = "litellm"


class ArmwiseStrategy(CustomRoutingStrategyBase):  # type: ignore[misc]  # litellm is not installed where types are checked
    """Chooses deployments of a LiteLLM router.

    An arm is a ``litellm_params.model``; several deployments of one model are one arm, and share its load. Deployments
    that LiteLLM has cooling down are left out while there are others.

    Args:
        deployments: the LiteLLM router.
        router: decides and learns. Its arms are named after ``litellm_params.model``.
    """

    def __init__(self, deployments: Any, router: Router) -> None:
        self.router = router
        self._deployments = deployments
        self._feedback = _Feedback(router)

    @classmethod
    def install(cls, deployments: Any, router: Router | None = None, **settings: Any) -> ArmwiseStrategy:
        """Make it the strategy of a LiteLLM router, and have it learn from LiteLLM's callbacks.

        Args:
            deployments: the LiteLLM router.
            router: decides and learns; by default a new one over the models of the LiteLLM router, with their prices.
            settings: for the new one: ``policy``, ``objective``, ``log``, ``seed``, ...

        Raises:
            BadInput: if a model has no price, neither in its ``model_info`` nor in either price list.
        """
        if router is None:
            router = Router(models_of(deployments.get_model_list() or []), **settings)
        strategy = cls(deployments, router)
        deployments.set_custom_routing_strategy(strategy)
        litellm.logging_callback_manager.add_litellm_callback(strategy._feedback)
        return strategy

    async def async_get_available_deployment(
        self,
        model: str,
        messages: list[dict[str, str]] | None = None,
        input: str | list[Any] | None = None,  # noqa: A002 - litellm's name
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The deployment to call, with the decision's id in its ``model_info``."""
        cooling = await _async_get_cooldown_deployments(
            litellm_router_instance=self._deployments, parent_otel_span=None
        )
        return self._choose(model, messages, input, request_kwargs or {}, cooling)

    def get_available_deployment(
        self,
        model: str,
        messages: list[dict[str, str]] | None = None,
        input: str | list[Any] | None = None,  # noqa: A002 - litellm's name
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """As :meth:`async_get_available_deployment`."""
        cooling = _get_cooldown_deployments(litellm_router_instance=self._deployments, parent_otel_span=None)
        return self._choose(model, messages, input, request_kwargs or {}, cooling)

    def _choose(
        self,
        group: str,
        messages: Sequence[Mapping[str, Any]] | None,
        given: str | list[Any] | None,
        asked: Mapping[str, Any],
        cooling: Sequence[str],
    ) -> dict[str, Any]:
        candidates = self._deployments.get_model_list(model_name=group) or []
        if not candidates:
            raise BadInput(f"LiteLLM has no deployment of {group!r}")
        able = [one for one in candidates if one["model_info"]["id"] not in cooling] or candidates
        arms = {arm_of(one) for one in able} & set(self.router.arms)
        if given is not None or not messages or not arms:  # embeddings, or models that armwise does not know
            return random.choice(able)
        decision = self._decide(messages, asked, frozenset(arms))
        chosen = random.choice([one for one in able if arm_of(one) == decision.arm])
        return {**chosen, "model_info": {**chosen["model_info"], _DECISION: decision.id, _ARM: decision.arm}}

    def _decide(
        self, messages: Sequence[Mapping[str, Any]], asked: Mapping[str, Any], arms: frozenset[str]
    ) -> Decision:
        metadata = asked.get("metadata") or asked.get("litellm_metadata") or {}
        request = Request(
            messages=messages,
            tools=asked.get("tools") or (),
            response_format=shape if isinstance(shape := asked.get("response_format"), Mapping) else None,
            max_output_tokens=asked.get("max_completion_tokens") or asked.get("max_tokens"),
            tenant=metadata.get("user_api_key_team_id") or metadata.get("user_api_key_user_id"),
            session=asked.get("litellm_session_id") or metadata.get("session_id"),
            arms=arms,
        )
        return self.router.decide(request)


def arm_of(deployment: Mapping[str, Any]) -> str:
    """The arm that a deployment belongs to."""
    return str(deployment["litellm_params"]["model"])


def models_of(deployments: Sequence[Mapping[str, Any]]) -> list[Model]:
    """The models of a LiteLLM ``model_list``, priced by it, by LiteLLM's list, or by armwise's."""
    models: dict[str, Model] = {}
    for deployment in deployments:
        name, info = arm_of(deployment), deployment.get("model_info") or {}
        listed = litellm.model_cost.get(name) or litellm.model_cost.get(name.partition("/")[2]) or {}
        params = deployment["litellm_params"]

        def usd_per_mtok(key: str, places: Sequence[Mapping[str, Any]] = (params, info, listed)) -> float | None:
            price = next((place[key] for place in places if place.get(key) is not None), None)
            return None if price is None else 1e6 * float(price)

        models.setdefault(
            name,
            Model(
                name,
                input_usd_per_mtok=usd_per_mtok("input_cost_per_token"),
                output_usd_per_mtok=usd_per_mtok("output_cost_per_token"),
                upstream=name.partition("/")[2] or name,
                context_window=listed.get("max_input_tokens"),
            ),
        )
    return list(models.values())


class _Feedback(CustomLogger):  # type: ignore[misc]  # as above
    """Reports what LiteLLM measured."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self._router = router

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        self._report(kwargs, response_obj, start_time, end_time, None)

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        self._report(kwargs, None, start_time, end_time, kwargs.get("exception"))

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: datetime, end_time: datetime) -> None:
        self._report(kwargs, response_obj, start_time, end_time, None)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: datetime, end_time: datetime) -> None:
        self._report(kwargs, None, start_time, end_time, kwargs.get("exception"))

    def _report(self, kwargs: Any, response: Any, start: datetime, end: datetime, error: BaseException | None) -> None:
        params = kwargs.get("litellm_params") or {}
        info = params.get("model_info") or (params.get("metadata") or {}).get("model_info") or {}
        decision_id = info.get(_DECISION)
        if decision_id is None:
            return
        usage = getattr(response, "usage", None)
        output = getattr(usage, "completion_tokens", None)
        latency_ms = 1e3 * (end - start).total_seconds()
        cost_usd = kwargs.get("response_cost")
        failed = response is None
        status = getattr(error, "status_code", None) or 500
        at_fault = status < 500 and status not in (401, 403, 408, 409, 425, 429)
        try:
            new = self._router.observe(
                decision_id,
                error=(failed and at_fault) or None,
                unavailable=(failed and not at_fault) or None,
                cost_usd=0.0 if failed else cost_usd,
                latency_ms=latency_ms,
                output_tokens=output,
                source=_SOURCE,
            )
        except UnknownDecision:
            return
        if new:  # LiteLLM calls both kinds of callback for some calls
            self._router.record(
                Attempt(
                    decision_id=decision_id,
                    attempt=0,
                    model=str(info.get(_ARM)),
                    at=start.timestamp(),
                    status="ok" if not failed else type(error).__name__,
                    latency_ms=latency_ms,
                    input_tokens=getattr(usage, "prompt_tokens", None),
                    output_tokens=output,
                    cost_usd=0.0 if failed else cost_usd,
                )
            )
