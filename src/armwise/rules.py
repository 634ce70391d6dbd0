"""Rules and routes: what the operator decides before anything is learned.

A rule narrows the requests that it holds for: to fewer arms, to stricter limits, to another trade. Rules only ever
narrow, so they compose in any order; where they leave no arm, that is an error which names them. A route is a virtual
model (``armwise/code``) with a narrowing of its own; a request takes it by name, or by being like its examples.

The propensity of a decision is over what the rules left, so it stays exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from armwise.contracts import SENSITIVITIES, Context, Request, check_sensitivity
from armwise.errors import BadInput, UnknownModel, unknown
from armwise.features import Sketcher, Transcript

PREFIX = "armwise/"
"""What the names of routes begin with where they stand for a model."""

AUTO = "auto"
"""The route that narrows nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """What a request must be for a rule to hold; all that is given must be so.

    Raises:
        BadInput: on a pattern that is none, or a number out of range.
    """

    pattern: str | None = None
    """A regular expression, found anywhere in the head or the tail (600 characters each) of the text."""
    min_input_tokens: int | None = None
    max_input_tokens: int | None = None
    tools: bool | None = None
    modality: str | None = None
    """One that the request needs."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tenants: frozenset[str] | None = None
    tasks: frozenset[str] | None = None
    """As the caller says, or as the classifier guesses."""
    min_difficulty: float | None = None
    max_difficulty: float | None = None
    """Chance that an average arm fails, learned from the log (:mod:`armwise.predictors.difficulty`)."""

    def __post_init__(self) -> None:
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except (re.error, TypeError) as error:
                raise BadInput(f"pattern {self.pattern!r} is not a regular expression: {error}") from error
        for name in ("min_difficulty", "max_difficulty"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise BadInput(f"{name} must be between 0 and 1, got {value!r}")

    @property
    def needs_difficulty(self) -> bool:
        """Whether it asks how difficult a request is."""
        return self.min_difficulty is not None or self.max_difficulty is not None

    def holds(self, request: Request, context: Context, difficulty: float, text: str) -> bool:
        """Whether a request is all of it."""
        tokens = context.input_tokens
        return (
            (self.min_input_tokens is None or tokens >= self.min_input_tokens)
            and (self.max_input_tokens is None or tokens <= self.max_input_tokens)
            and (self.tools is None or context.tools == self.tools)
            and (self.modality is None or self.modality in context.modalities)
            and all(request.metadata.get(key) == value for key, value in self.metadata.items())
            and (self.tenants is None or request.tenant in self.tenants)
            and (self.tasks is None or context.task in self.tasks)
            and (self.min_difficulty is None or difficulty >= self.min_difficulty)
            and (self.max_difficulty is None or difficulty <= self.max_difficulty)
            and (self.pattern is None or re.search(self.pattern, text) is not None)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Then:
    """How a request is narrowed. What it brings itself holds too: the stricter limit, the arms that both allow.

    Raises:
        BadInput: on a sensitivity that does not exist, or a collection that is a string.
    """

    arms: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    residency: frozenset[str] | None = None
    sensitivity: str | None = None
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    cost_weight: float | None = None
    """The trade, unless the request brings its own."""
    latency_weight: float | None = None
    task: str | None = None
    """The request's task, unless it brings its own. Of a route only: rules come after the task is known."""

    def __post_init__(self) -> None:
        for name in ("arms", "exclude", "residency"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise BadInput(f"{name} must be a list of names, got the string {value!r}")
            if value is not None:
                object.__setattr__(self, name, frozenset(value))
        if self.sensitivity is not None:
            check_sensitivity("sensitivity", self.sensitivity)

    def narrowed(self, request: Request, by: str, pool: Iterable[str]) -> Request:
        """The request, narrowed; ``by`` names the rule, ``pool`` is all arms there are."""
        changes: dict[str, Any] = {}
        if self.arms is not None or self.exclude:
            arms = (
                self.arms if request.arms is None else request.arms if self.arms is None else request.arms & self.arms
            )
            changes["arms"] = frozenset(pool if arms is None else arms) - self.exclude
            changes["narrowed_by"] = (*request.narrowed_by, by)
        if self.residency is not None:
            changes["residency"] = self.residency if request.residency is None else request.residency & self.residency
        if self.sensitivity is not None:
            changes["sensitivity"] = max(request.sensitivity, self.sensitivity, key=SENSITIVITIES.index)
        for name in ("max_cost_usd", "max_latency_ms"):
            limits = [limit for limit in (getattr(self, name), getattr(request, name)) if limit is not None]
            if limits:
                changes[name] = min(limits)
        for name in ("cost_weight", "latency_weight", "task"):
            if getattr(self, name) is not None and getattr(request, name) is None:
                changes[name] = getattr(self, name)
        return replace(request, **changes) if changes else request


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """When a request is such, it is narrowed so."""

    name: str
    when: When = When()
    then: Then = Then()


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A virtual model: a name to ask for, examples of what belongs to it, and how its requests are narrowed."""

    name: str
    then: Then = Then()
    like: tuple[str, ...] = ()
    """Utterances: a request to ``armwise/auto`` that is like one of them takes this route."""
    likeness: float = 0.3
    """Least cosine of the sketches of a request and of an utterance. Paraphrases lie at 0.3 to 0.7, strangers below
    0.2."""


class Rules:
    """All rules and routes of a router. Pure: the same request is narrowed the same way.

    Args:
        rules: applied to every request, in this order.
        routes: virtual models.
        arms: all arms there are, to find a name that is not.

    Raises:
        BadInput: on a name twice, an arm that does not exist, or a route named like an arm.
    """

    def __init__(self, rules: Sequence[Rule] = (), routes: Sequence[Route] = (), *, arms: Iterable[str] = ()) -> None:
        self.rules = tuple(rules)
        self.routes = {route.name: route for route in routes}
        known = set(arms)
        for kind, items in (("rule", self.rules), ("route", tuple(routes))):
            names = [item.name for item in items]
            for name in names:
                if names.count(name) > 1:
                    raise BadInput(f"{kind} {name!r} is there twice; every {kind} needs its own name")
            for item in items:
                for arm in sorted((item.then.arms or frozenset()) | item.then.exclude):
                    if known and arm not in known:
                        raise BadInput(f"{kind} {item.name!r}: {unknown('arm', arm, known)}")
        for name in self.routes:
            if name == AUTO or name in known:
                raise BadInput(f"route {name!r}: the name is taken; choose one that is no arm's")
        self.needs_difficulty = any(rule.when.needs_difficulty for rule in self.rules)
        self._needs_text = any(rule.when.pattern is not None for rule in self.rules)

    @property
    def names(self) -> tuple[str, ...]:
        """The virtual models: ``armwise/auto`` and one per route."""
        return tuple(PREFIX + name for name in (AUTO, *self.routes))

    # ---------------------------------------------------------------------------- before the request is encoded

    def routed(self, request: Request, pool: Sequence[str]) -> Request:
        """The request on its route: the one it names, or the one whose examples it is like.

        A name that is an arm's is the route to that arm alone.

        Raises:
            UnknownModel: on a name that is neither a route's nor an arm's.
        """
        name = request.route
        if name is None or name == PREFIX + AUTO:
            found = self._likeness.route_of(request) if self._likeness.routes else None
            return request if found is None else self._take(found, request, pool)
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) in self.routes:
            return self._take(name.removeprefix(PREFIX), request, pool)
        if name in pool:
            return Then(arms=frozenset({name})).narrowed(request, f"the request for {name!r}", pool)
        raise UnknownModel(unknown("model", name, [*self.names, *pool]))

    def _take(self, name: str, request: Request, pool: Sequence[str]) -> Request:
        request = self.routes[name].then.narrowed(request, f"route {name!r}", pool)
        return replace(request, route=PREFIX + name)

    @cached_property
    def _likeness(self) -> Likeness:
        return Likeness([route for route in self.routes.values() if route.like])

    # ---------------------------------------------------------------------------- after it is encoded

    def applied(self, request: Request, context: Context, pool: Sequence[str], difficulty: float = 0.0) -> Request:
        """The request, narrowed by every rule that holds for it."""
        text = Transcript.of(request).excerpt if self._needs_text else ""
        for rule in self.rules:
            if rule.when.holds(request, context, difficulty, text):
                request = rule.then.narrowed(request, f"rule {rule.name!r}", pool)
        return request


class Likeness:
    """Which route's examples a request is most like, by the cosine of their sketches."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._of = [route for route in self.routes for _ in route.like]
        self._sketcher = Sketcher.load() if routes else None
        if self._sketcher is not None:
            self._sketches = np.stack([self._sketcher.sketch(text) for route in self.routes for text in route.like])

    def route_of(self, request: Request) -> str | None:
        """The route that it is most like, if it is like enough."""
        if self._sketcher is None or not request.messages:
            return None
        cosines = self._sketches @ self._sketcher.sketch_excerpt(Transcript.of(request).excerpt)
        enough = [i for i, route in enumerate(self._of) if cosines[i] >= route.likeness]
        return self._of[max(enough, key=lambda i: float(cosines[i]))].name if enough else None
