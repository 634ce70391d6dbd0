"""What a client asks for: its body, and what it says to armwise beside it.

Particulars for armwise come in the body's field ``armwise`` (of the OpenAI clients: ``extra_body``), or in headers
``x-armwise-NAME`` for the plain ones. They can narrow what a tenant may do, never widen it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from armwise.config.gateway import GatewaySettings, TenantSettings
from armwise.contracts import SENSITIVITIES, Request, check_sensitivity
from armwise.errors import BadInput, UnknownModel, unknown
from armwise.gateway.keys import Caller
from armwise.orchestration.body import request_of
from armwise.providers.wire import Endpoint
from armwise.router import Router

AUTO = "armwise/auto"
"""The virtual model that stands for the whole pool."""

_NUMBERS = ("cost_weight", "latency_weight", "max_cost_usd", "max_latency_ms")
_TEXTS = ("task", "session", "sensitivity")
_SETS = ("residency", "arms", "modalities")
_PLAIN = (*_NUMBERS, *_TEXTS, *_SETS)
_ALL = (*_PLAIN, "features", "metadata")
_HEADER = "x-armwise-"
_LONGEST = 512
"""Characters of a task or of a session's name: both are kept."""


class Asked(NamedTuple):
    """A request, and the body to pass on."""

    request: Request
    body: dict[str, Any]
    model: str
    """The name by which the client asked."""


class Asking:
    """Reads requests.

    Args:
        settings: aliases.
        router: knows the arms and the routes there are now, and what is sensitive.
    """

    def __init__(self, settings: GatewaySettings, router: Router) -> None:
        self._aliases = settings.aliases
        self._router = router

    @property
    def virtual(self) -> tuple[str, ...]:
        """Names that stand for more than one model of the pool, or for one under another name."""
        return (*self._router.routes(), *self._aliases)

    def read(self, body: dict[str, Any], headers: Mapping[str, str], caller: Caller, endpoint: Endpoint) -> Asked:
        """The request that a body and its headers make.

        Raises:
            BadInput: on what cannot be read.
            UnknownModel: if there is no such model.
        """
        body = dict(body)
        said = _said(body.pop("armwise", None), headers)
        model = body.get("model")
        if model is not None and not isinstance(model, str):
            raise BadInput(f"model must be a string, got {type(model).__name__}")
        route = self._route(model or AUTO, endpoint)
        fields: dict[str, Any] = {name: said[name] for name in ("task", "features", *_NUMBERS) if name in said}
        fields["metadata"] = _metadata(said.get("metadata"), body.get("metadata"))
        if "session" in said:
            fields["session"] = said["session"]
        fields["modalities"] = frozenset({"text"}) | said.get("modalities", frozenset())
        tenant = caller.tenant
        fields["tenant"] = caller.name
        fields["route"] = route
        fields["arms"] = _narrowed(self._able(route), said.get("arms"), tenant.arms if tenant else None)
        fields["residency"] = _narrowed(said.get("residency"), tenant.residency if tenant else None)
        label = said.get("sensitivity")
        fields["sensitivity"] = _sensitivity(label, tenant)
        request = request_of(body, endpoint, **fields)
        if len(request.session or "") > _LONGEST:
            raise BadInput(f"a session's name must be at most {_LONGEST} characters, got {len(request.session or '')}")
        if label is not None and tenant is not None and tenant.may_lower_sensitivity:
            request = replace(request, sensitivity=label, screened=True)
        else:  # all of the body: a field that nobody knows yet may hold a secret too
            request = self._router.screened(request, body)
        return Asked(request, body, model or AUTO)

    def _route(self, name: str, endpoint: Endpoint) -> str:
        """What a model name stands for: a route, or an arm."""
        name = self._aliases.get(name, name)
        name = AUTO if name in ("auto", "armwise") else name
        pool, routes = self._router.arms, self._router.routes()
        if name not in pool and name not in routes:
            raise UnknownModel(unknown("model", name, [*self.virtual, *pool]))
        if endpoint == "embeddings" and name in routes:
            raise BadInput(
                f"embeddings of different models do not go together: name the model, one of {', '.join(pool)}"
            )
        return name

    def _able(self, route: str) -> frozenset[str] | None:
        """The arms that may answer; None is all of them. Models that embed answer only where they are named."""
        pool = () if route in self._router.arms else self._router.pool()
        embedders = {arm.name for arm in pool if any("embedding" in model.modalities for model in arm.models)}
        return frozenset(arm.name for arm in pool) - embedders if embedders else None


def _said(field: object, headers: Mapping[str, str]) -> dict[str, Any]:
    """What the client says to armwise; the body comes before the headers."""
    said: dict[str, Any] = {}
    for header, value in headers.items():
        if not header.lower().startswith(_HEADER):
            continue
        name = header.lower().removeprefix(_HEADER).replace("-", "_")
        if name not in _PLAIN:  # a limit that is misspelt must not pass for no limit
            raise BadInput(f"the header {_HEADER}{name}: {unknown('field', name, _PLAIN)}")
        if name in _NUMBERS:
            try:
                said[name] = float(value)
            except ValueError:
                raise BadInput(f"the header {_HEADER}{name} must be a number, got {value!r:.40}") from None
        else:
            said[name] = [part.strip() for part in value.split(",")] if name in _SETS else value
    if field is not None:
        if not isinstance(field, Mapping):
            raise BadInput(f"armwise must be an object, got {type(field).__name__}")
        for name in field:
            if name not in _ALL:
                raise BadInput(f"armwise: {unknown('field', name, _ALL)}")
        said.update({name: value for name, value in field.items() if value is not None})
    for name in _TEXTS:
        if name in said and not isinstance(said[name], str):
            raise BadInput(f"armwise.{name} must be a string, got {type(said[name]).__name__}")
        if len(said.get(name, "")) > _LONGEST:
            raise BadInput(f"armwise.{name} must be at most {_LONGEST} characters, got {len(said[name])}")
    for name in _SETS:
        if name in said:
            said[name] = _names(name, said[name])
    if "features" in said and not isinstance(said["features"], Mapping):
        raise BadInput(f"armwise.features must be an object, got {type(said['features']).__name__}")
    return said


def _names(name: str, value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadInput(f"armwise.{name} must be a list of strings, got {type(value).__name__}")
    return frozenset(value)


def _metadata(said: object, body: object) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in (body, said):
        if isinstance(part, Mapping):
            merged |= {str(key): value for key, value in part.items() if isinstance(value, str)}
    return merged


def _narrowed(*sets: Collection[str] | None) -> frozenset[str] | None:
    """What all of the given sets have in common; None is no restriction."""
    given = [frozenset(one) for one in sets if one is not None]
    return frozenset.intersection(*given) if given else None


def _sensitivity(label: str | None, tenant: TenantSettings | None) -> str:
    """The higher of the caller's label and the tenant's level."""
    least = tenant.sensitivity if tenant is not None else SENSITIVITIES[0]
    if label is None:
        return least
    check_sensitivity("armwise.sensitivity", label)
    return max(label, least, key=SENSITIVITIES.index)
