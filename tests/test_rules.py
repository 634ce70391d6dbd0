"""Rules and routes: what narrows requests, how they compose, and what is said where nothing is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armwise import Request, Router
from armwise.errors import BadInput, NoEligibleArm, UnknownModel
from armwise.log import MemoryLog
from armwise.predictors import DifficultyModel
from armwise.rules import Route, Rule, Rules, Then, When
from helpers import assert_same_state, context, contexts, models

ALL = frozenset({"small", "middle", "large"})
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
TOOL = {"type": "function", "function": {"name": "book", "parameters": {}}}


def new(*rules: Rule, routes: Any = (), **settings: Any) -> Router:
    return Router(**{"models": models(), "seed": 0, "rules": rules, "routes": routes, **settings})


def arms(router: Router, request: Request | str) -> set[str]:
    return set(router.decide(request).arms)


@pytest.mark.parametrize(
    ("when", "yes", "no"),
    [
        (When(pattern=r"(?i)\bsql\b"), "Write SQL for this", "Write a poem"),
        (When(min_input_tokens=100), "word " * 200, "word"),
        (When(max_input_tokens=20), "word", "word " * 200),
        (When(tools=True), Request.from_text("x", tools=[TOOL]), "x"),
        (When(modality="image"), Request(messages=[IMAGE]), "x"),
        (When(metadata={"plan": "free"}), Request.from_text("x", metadata={"plan": "free"}), "x"),
        (When(tenants=frozenset({"a"})), Request.from_text("x", tenant="a"), Request.from_text("x", tenant="b")),
        (When(tasks=frozenset({"billing"})), Request.from_text("x", task="billing"), "x"),
        (
            When(pattern="x", tools=True),
            Request.from_text("x", tools=[TOOL]),
            Request.from_text("y", tools=[TOOL]),
        ),
    ],
)
def test_each_condition(when: When, yes: Any, no: Any) -> None:
    pool = [model.__class__(**{**fields(model), "modalities": frozenset({"text", "image"})}) for model in models()]
    router = new(Rule(name="r", when=when, then=Then(arms=frozenset({"large"}))), models=pool)
    assert arms(router, yes) == {"large"}
    assert arms(router, no) == ALL


def fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__ if name != "_"}


def narrowed(then: Then, **request: Any) -> Request:
    return then.narrowed(Request.from_text("x", **request), "rule 'r'", sorted(ALL))


def test_the_stricter_of_two_holds() -> None:
    assert narrowed(Then(arms=frozenset({"small", "large"})), arms={"large", "middle"}).arms == {"large"}
    assert narrowed(Then(exclude=frozenset({"large"}))).arms == {"small", "middle"}
    assert narrowed(Then(exclude=frozenset({"large"})), arms={"large", "small"}).arms == {"small"}
    assert narrowed(Then(residency=frozenset({"eu", "us"})), residency={"eu", "in"}).residency == {"eu"}
    assert narrowed(Then(sensitivity="internal"), sensitivity="restricted").sensitivity == "restricted"
    assert narrowed(Then(sensitivity="restricted"), sensitivity="internal").sensitivity == "restricted"
    assert narrowed(Then(max_cost_usd=1.0), max_cost_usd=2.0).max_cost_usd == 1.0
    assert narrowed(Then(max_cost_usd=3.0), max_cost_usd=2.0).max_cost_usd == 2.0
    assert narrowed(Then(max_latency_ms=3.0)).max_latency_ms == 3.0
    assert narrowed(Then(cost_weight=0.5)).cost_weight == 0.5
    assert narrowed(Then(cost_weight=0.5), cost_weight=0.1).cost_weight == 0.1
    assert narrowed(Then(task="code"), task="maths").task == "maths"
    request = Request.from_text("x")
    assert Then().narrowed(request, "r", ALL) is request


def test_rules_that_leave_nothing_are_an_error_that_names_them() -> None:
    router = new(
        Rule(name="cheap", then=Then(arms=frozenset({"small"}))),
        Rule(name="good", when=When(pattern="x"), then=Then(exclude=frozenset({"small"}))),
    )
    with pytest.raises(NoEligibleArm, match="small: not among the arms that rule 'cheap' and rule 'good' allows"):
        router.decide("x")
    decision = router.decide("y")
    assert decision.excluded["large"] == "not among the arms that rule 'cheap' allows"
    assert decision.propensity == 1.0


def test_a_request_takes_the_route_that_it_names() -> None:
    route = Route(name="code", then=Then(arms=frozenset({"middle", "large"}), cost_weight=0.7, task="code"))
    router = new(routes=[route])
    assert router.routes() == ("armwise/auto", "armwise/code")
    decision = router.decide(Request.from_text("x", route="armwise/code"))
    assert set(decision.arms) == {"middle", "large"}
    assert decision.trade.cost_weight == 0.7
    assert decision.context.task == "code"
    assert decision.excluded["small"] == "not among the arms that route 'code' allows"
    assert arms(router, Request.from_text("x", route="armwise/auto")) == ALL
    assert arms(router, Request.from_text("x", route="small")) == {"small"}
    for name in ("armwise/cod", "armwise/cede"):
        with pytest.raises(UnknownModel, match="did you mean 'armwise/code'"):
            router.decide(Request.from_text("x", route=name))


def test_without_rules_a_name_is_still_resolved() -> None:
    router = Router(models=models(), seed=0)
    assert arms(router, Request.from_text("x", route="large")) == {"large"}
    with pytest.raises(UnknownModel, match="did you mean 'large'"):
        router.decide(Request.from_text("x", route="larg"))


def test_a_request_takes_the_route_whose_examples_it_is_like() -> None:
    billing = Route(
        name="billing",
        then=Then(arms=frozenset({"small"})),
        like=("My invoice is wrong", "I want a refund for last month", "Why was my card charged twice?"),
    )
    code = Route(name="code", then=Then(arms=frozenset({"large"})), like=("Write a Python function", "Fix this bug"))
    router = new(routes=[billing, code])
    assert arms(router, "my credit card was billed two times") == {"small"}
    assert arms(router, "please give me my money back, I want a refund") == {"small"}
    assert arms(router, "Write a function in Python that sorts a list") == {"large"}
    assert arms(router, "What is the capital of Peru?") == ALL
    assert arms(router, Request.from_text("I was charged twice", route="armwise/code")) == {"large"}


def test_difficulty_is_learned_and_sends_the_hard_ones_up() -> None:
    hard = Rule(name="hard", when=When(min_difficulty=0.6), then=Then(exclude=frozenset({"small"})))
    log = MemoryLog()
    router = new(hard, log=log)
    easy, tough = "What is 2 + 2?", "```python\nraise SystemError\n```\nProve that this terminates."
    for i in range(60):
        text, quality = ((easy, 1.0), (tough, 0.0))[i % 2]
        router.observe(router.decide(text).id, quality=quality)
    assert arms(router, easy) == ALL
    assert arms(router, tough) == {"middle", "large"}
    again = new(hard, log=log)
    assert_same_state(again._decider.state(), router._decider.state())


def test_difficulty_is_not_what_weak_arms_make_of_it() -> None:
    model = DifficultyModel(4)
    rng = np.random.default_rng(0)
    for x in contexts(2_000, 1):
        hard = x[1] > 0
        slot = int(rng.integers(2))
        failure = (0.1, 0.5)[slot] + 0.3 * hard
        model.learn(x, slot, float(rng.random() >= failure))
    easy, tough = (np.array([1.0, sign, 0.0, 0.0]) for sign in (-1.0, 1.0))
    assert model.predict(easy) < 0.4 < 0.5 < model.predict(tough)
    copy = DifficultyModel(4)
    copy.restore(model.state())
    assert copy.predict(easy) == model.predict(easy)


def test_a_router_that_asks_for_difficulty_does_not_take_a_snapshot_without() -> None:
    plain, asking = Router(models=models()), new(Rule(name="hard", when=When(min_difficulty=0.6)))
    assert not asking._decider.accepts(plain._decider.state())
    assert not plain._decider.accepts(asking._decider.state())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: When(pattern="("), "not a regular expression"),
        (lambda: When(min_difficulty=2), "between 0 and 1, got 2"),
        (lambda: Then(arms="small"), "must be a list of names, got the string 'small'"),  # type: ignore[arg-type]
        (lambda: Then(sensitivity="secret"), "must be one of public"),
        (lambda: Rules([Rule(name="a"), Rule(name="a")]), "rule 'a' is there twice"),
        (lambda: Rules((), [Route(name="auto")]), "the name is taken"),
        (lambda: Rules((), [Route(name="small")], arms=ALL), "the name is taken"),
        (lambda: Rules([Rule(name="a", then=Then(arms=frozenset({"smal"})))], arms=ALL), "did you mean 'small'"),
        (lambda: DifficultyModel(3, precision=0), "over 0"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


def test_rules_are_pure() -> None:
    rules = Rules([Rule(name="a", when=When(pattern="x"), then=Then(arms=frozenset({"small"})))])
    request = Request.from_text("x")
    assert rules.applied(request, context(), sorted(ALL)) == rules.applied(request, context(), sorted(ALL))
    assert request.arms is None
