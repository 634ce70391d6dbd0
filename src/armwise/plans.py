"""Plans over several models: what they are. How they are carried out is :mod:`armwise.orchestration`'s.

A plan is a tree whose leaves are models. In an arm it stands as JSON (``Arm.plan`` names the root's kind,
``Arm.options`` holds the rest), so that the log and every snapshot keep it::

    {"cascade": {"tiers": ["small", {"ensemble": {"members": ["small", "middle"]}}, "large"], "threshold": 0.7}}

Nothing in a plan is learned while it runs: a cascade that may accept at several thresholds is as many arms, and the
policy learns which of them is worth its price, with an exact propensity for the whole of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from armwise.contracts import Arm, Model
from armwise.errors import BadInput, unknown

PICKS: tuple[str, ...] = ("majority", "weighted", "judge")
"""How an ensemble chooses: by votes, by votes weighted with predicted quality, by asking a model."""

CHECKS: tuple[str, ...] = ("logprob", "agreement", "verifier", "format")
"""How an answer is checked: by its log-probabilities, by whether several samples agree, by a model, by its form."""

LARGEST = 32
"""Calls that a plan may make at most: a plan is an answer to one request, not a search."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Call one model once."""

    model: str
    temperature: float | None = None
    """In place of the caller's, so that samples differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """How sure an answer is, in [0, 1]."""

    kind: str
    model: str | None = None
    """Of a ``verifier``: which model judges."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cascade:
    """Ask the tiers in order until an answer is sure enough. The last one's is taken as it is."""

    tiers: tuple[Node, ...]
    checks: tuple[Check, ...] = (Check(kind="logprob"),)
    """All of them count: an answer is as sure as the least of them says."""
    threshold: float = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Ask all members at once and choose among their answers."""

    members: tuple[Node, ...]
    pick: str = "weighted"
    judge: str | None = None
    """The model that chooses, where ``pick`` is ``judge``."""
    answer: str | None = None
    """Pattern whose first group is what is voted on; by default what stands behind the last "Answer:", or all of it."""


Node: TypeAlias = Call | Cascade | Ensemble


# ---------------------------------------------------------------------------------------------- arms


def plan_of(arm: Arm) -> Node:
    """The plan of an arm.

    Raises:
        BadInput: saying what of it cannot be, and where.
    """
    if arm.plan == "single":
        if len(arm.models) != 1:
            raise BadInput(f"arm {arm.name!r}: a single plan calls one model, this one has {len(arm.models)}")
        return Call(model=arm.models[0].name)
    return parse({arm.plan: arm.options}, {model.name: model for model in arm.models}, at=f"arm {arm.name!r}")


def plan_arm(name: str, plan: Mapping[str, Any], models: Iterable[Model]) -> Arm:
    """An arm of the plan ``{"cascade": {...}}`` or ``{"ensemble": {...}}``.

    Args:
        name: of the arm.
        plan: the tree as JSON; its leaves name models.
        models: to take the leaves from; those that are not named are left out.

    Raises:
        BadInput: on an unknown model or setting, or a plan that cannot be carried out.
    """
    known = {model.name: model for model in models}
    node = parse(plan, known, at=f"plan {name!r}")
    ((kind, options),) = plan.items()
    return Arm(name, models=tuple(known[model] for model in models_in(node)), plan=kind, options=options)


def plan_arms(plans: Mapping[str, Mapping[str, Any]], models: Iterable[Model]) -> list[Arm]:
    """The arms of named plans, which may stand in one another by name.

    A list of thresholds makes one arm for each, named ``name@threshold``.

    Raises:
        BadInput: on a name taken twice, a plan that contains itself, or what :func:`plan_arm` refuses.
    """
    models = list(models)
    taken = {model.name for model in models}
    for name in plans:
        if name in taken:
            raise BadInput(f"plan {name!r}: there is a model of that name; every arm needs its own name")
    single = {name: variant for name, plan in plans.items() for name, variant in _variants(name, plan)}
    arms = []
    for name, plan in single.items():
        whole = _inlined(plan, single, {*taken}, (name,))
        arms.append(plan_arm(name, whole, models))
    return arms


def _variants(name: str, plan: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The plan once for each of its thresholds."""
    options = plan.get("cascade")
    thresholds = options.get("threshold") if isinstance(options, Mapping) else None
    if not isinstance(thresholds, (list, tuple)):
        yield name, plan
        return
    if not thresholds:
        raise BadInput(f"plan {name!r}: threshold must be a number or a list of at least one")
    for threshold in thresholds:
        _check_fraction(threshold, f"plan {name!r}: threshold")
        yield f"{name}@{threshold:g}", {"cascade": {**(options or {}), "threshold": threshold}}


def _inlined(node: Any, plans: Mapping[str, Any], models: set[str], above: tuple[str, ...]) -> Any:
    """The tree with the plans that it names put in their places."""
    if isinstance(node, str):
        if node in models or node not in plans:
            return node  # an unknown name is found when the tree is read
        if node in above:
            raise BadInput(f"plan {above[0]!r} contains itself: {' -> '.join([*above, node])}")
        return _inlined(plans[node], plans, models, (*above, node))
    if not isinstance(node, Mapping):
        return node
    out = {}
    for kind, options in node.items():
        out[kind] = options
        for children in ("tiers", "members"):
            if isinstance(options, Mapping) and isinstance(options.get(children), (list, tuple)):
                inner = [_inlined(child, plans, models, above) for child in options[children]]
                out[kind] = {**out[kind], children: inner}
    return out


def models_in(node: Node) -> tuple[str, ...]:
    """Every model that a plan may call, verifiers and judges included, in the order of the tree."""
    return tuple(dict.fromkeys(_models_in(node)))


def _models_in(node: Node) -> Iterable[str]:
    if isinstance(node, Call):
        yield node.model
        return
    for child in node.tiers if isinstance(node, Cascade) else node.members:
        yield from _models_in(child)
    if isinstance(node, Cascade):
        yield from (check.model for check in node.checks if check.model is not None)
    elif node.judge is not None:
        yield node.judge


def calls_in(node: Node) -> int:
    """How many calls a plan makes at most, retries aside."""
    if isinstance(node, Call):
        return 1
    children = node.tiers if isinstance(node, Cascade) else node.members
    calls = sum(map(calls_in, children))
    if isinstance(node, Cascade):
        return calls + sum(check.kind == "verifier" for check in node.checks) * (len(children) - 1)
    return calls + (node.judge is not None)


# ---------------------------------------------------------------------------------------------- reading


def parse(tree: Any, models: Mapping[str, Model], *, at: str) -> Node:
    """A tree of JSON as a plan.

    Args:
        tree: the name of a model, ``{"cascade": {...}}`` or ``{"ensemble": {...}}``.
        models: those that it may name.
        at: where it stands, for errors.

    Raises:
        BadInput: saying what came and what is allowed.
    """
    node = _parse(tree, models, at)
    if calls_in(node) > LARGEST:
        raise BadInput(f"{at}: makes up to {calls_in(node)} calls, at most {LARGEST} are allowed")
    return node


def _parse(tree: Any, models: Mapping[str, Model], at: str) -> Node:
    if isinstance(tree, str):
        return Call(model=_model(tree, models, at))
    kinds: dict[str, Callable[[Mapping[str, Any], Mapping[str, Model], str], Node]]
    kinds = {"cascade": _cascade, "ensemble": _ensemble}
    if not isinstance(tree, Mapping) or len(tree) != 1:
        raise BadInput(f"{at}: must name a model, or be one of cascade, ensemble with its settings; got {tree!r:.80}")
    ((kind, options),) = tree.items()
    if kind not in kinds:
        raise BadInput(f"{at}: {unknown('plan', kind, kinds)}")
    if not isinstance(options, Mapping):
        raise BadInput(f"{at}.{kind}: must be a mapping of settings, got {type(options).__name__}")
    return kinds[kind](options, models, f"{at}.{kind}")


def _cascade(options: Mapping[str, Any], models: Mapping[str, Model], at: str) -> Cascade:
    _check_keys(options, ("tiers", "check", "threshold"), at)
    tiers = _children(options.get("tiers"), models, f"{at}.tiers", least=2)
    checks, samples, temperature = _checks(options.get("check", "logprob"), models, f"{at}.check")
    threshold = options.get("threshold", 0.7)
    _check_fraction(threshold, f"{at}.threshold")
    if samples > 1:
        tiers = (*(_sampled(tier, samples, temperature) for tier in tiers[:-1]), tiers[-1])
    if any(check.kind == "logprob" for check in checks):
        for tier in tiers[:-1]:
            for name in models_in(tier):
                if models[name].provider != "openai":
                    raise BadInput(f"{at}.check: {name!r} gives no log-probabilities; take another check")
    return Cascade(tiers=tiers, checks=checks, threshold=float(threshold))


def _ensemble(options: Mapping[str, Any], models: Mapping[str, Model], at: str) -> Ensemble:
    _check_keys(options, ("members", "pick", "samples", "temperature", "answer"), at)
    samples = _count(options.get("samples", 1), f"{at}.samples")
    members = _children(options.get("members"), models, f"{at}.members", least=1 if samples > 1 else 2)
    temperature = options.get("temperature", 0.8 if samples > 1 else None)
    _check_temperature(temperature, f"{at}.temperature")
    members = tuple(_warm(member, temperature) for member in members for _ in range(samples))
    pick: Any = options.get("pick", "weighted")
    judge = None
    if isinstance(pick, Mapping):
        if list(pick) != ["judge"] or not isinstance(pick["judge"], Mapping) or list(pick["judge"]) != ["model"]:
            raise BadInput(f"{at}.pick: must be majority, weighted or {{judge: {{model: ...}}}}, got {pick!r:.80}")
        pick, judge = "judge", _model(pick["judge"]["model"], models, f"{at}.pick.judge.model")
    if pick not in PICKS:
        raise BadInput(f"{at}.pick: {unknown('way to pick', pick, PICKS)}")
    if pick == "judge" and judge is None:
        raise BadInput(f"{at}.pick: a judge is a model: {{judge: {{model: ...}}}}")
    answer = options.get("answer")
    if answer is not None:
        _check_pattern(answer, f"{at}.answer")
    return Ensemble(members=members, pick=pick, judge=judge, answer=answer)


def _checks(given: Any, models: Mapping[str, Model], at: str) -> tuple[tuple[Check, ...], int, float]:
    """The checks; and for ``agreement`` how many samples to take, and how warm."""
    checks, samples, temperature = [], 1, 0.8
    for item in given if isinstance(given, (list, tuple)) else [given]:
        name, options = next(iter(item.items())) if isinstance(item, Mapping) and len(item) == 1 else (item, {})
        if name not in CHECKS:
            raise BadInput(f"{at}: {unknown('check', name, CHECKS)}")
        if not isinstance(options, Mapping):
            raise BadInput(f"{at}.{name}: must be a mapping of settings, got {type(options).__name__}")
        allowed = {"agreement": ("samples", "temperature"), "verifier": ("model",)}.get(name, ())
        _check_keys(options, allowed, f"{at}.{name}")
        model = None
        if name == "verifier":
            model = _model(options.get("model"), models, f"{at}.verifier.model")
        elif name == "agreement":
            samples = _count(options.get("samples", 3), f"{at}.agreement.samples")
            temperature = options.get("temperature", 0.8)
            _check_temperature(temperature, f"{at}.agreement.temperature")
        checks.append(Check(kind=name, model=model))
    if not checks:
        raise BadInput(f"{at}: a cascade needs at least one check ({', '.join(CHECKS)})")
    return tuple(checks), samples, temperature


def _sampled(tier: Node, samples: int, temperature: float) -> Node:
    """A tier whose agreement can be measured: a single call becomes several; an ensemble's votes will do."""
    if not isinstance(tier, Call):
        return tier
    return Ensemble(members=(_warm(tier, temperature),) * samples, pick="majority")


def _warm(node: Node, temperature: float | None) -> Node:
    return replace(node, temperature=temperature) if isinstance(node, Call) and temperature is not None else node


def _children(given: Any, models: Mapping[str, Model], at: str, *, least: int) -> tuple[Node, ...]:
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise BadInput(f"{at}: must be a list, got {'nothing' if given is None else type(given).__name__}")
    if len(given) < least:
        raise BadInput(f"{at}: needs at least {least}, got {len(given)}")
    return tuple(_parse(child, models, f"{at}[{i}]") for i, child in enumerate(given))


def _model(name: Any, models: Mapping[str, Model], at: str) -> str:
    if name not in models:
        raise BadInput(f"{at}: {unknown('model', name, models)}")
    return str(name)


def _check_keys(options: Mapping[str, Any], allowed: Sequence[str], at: str) -> None:
    for key in options:
        if key not in allowed:
            raise BadInput(f"{at}: {unknown('setting', key, allowed)}")


def _check_fraction(value: Any, at: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise BadInput(f"{at} must be a number between 0 and 1, got {value!r}")


def _check_temperature(value: Any, at: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 2):
        raise BadInput(f"{at} must be a number above 0 and at most 2, got {value!r}")


def _count(value: Any, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
        raise BadInput(f"{at} must be a whole number between 1 and {LARGEST}, got {value!r}")
    return value


def _check_pattern(pattern: Any, at: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except (re.error, TypeError) as error:
        raise BadInput(f"{at}: not a pattern: {error}") from error
    if groups != 1:
        raise BadInput(f"{at}: a pattern with one group, got {groups}")
