"""Cascades and ensembles as arms: what they call, what they deliver, what they cost."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from armwise import Request, Router
from armwise.contracts import Arm
from armwise.errors import BadInput, NoAnswer, NoEligibleArm
from armwise.orchestration import Answer, Fallback
from armwise.plans import plan_arm
from armwise.testing.simulator import Failures, ProviderSimulator
from armwise.testing.tasks import TOOLS, Task, generate, score
from armwise.testing.tasks import make as make_task
from helpers import assert_same_state

pytestmark = pytest.mark.anyio

Make = Callable[..., Router]

EASY = "What is 2 + 3?"
HARD = [task for task in generate(400, seed=3, kinds=["arithmetic", "code"]) if task.difficulty > 0.8]


def arm(simulator: ProviderSimulator, plan: dict[str, Any], **changes: Any) -> Arm:
    return plan_arm("plan", plan, simulator.models(**changes))


def ask(router: Router, prompt: str, **settings: Any) -> Answer:
    return router.complete(Request.from_text(prompt, arms=frozenset({"plan"}), **settings))


def called(answer: Answer) -> list[str]:
    return [attempt.model for attempt in answer.attempts]


def cascade(check: Any, threshold: float = 0.7, tiers: Any = ("small", "large")) -> dict[str, Any]:
    return {"cascade": {"tiers": list(tiers), "check": check, "threshold": threshold}}


# -------------------------------------------------------------------------------------------- cascades


def test_a_cascade_stops_where_the_answer_is_sure_enough(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade("logprob", 0.75))])
    right, stopped = 0, 0
    for task in generate(60, seed=1, kinds=["arithmetic", "code", "facts"]):
        answer = ask(router, task.prompt)
        accepted_early = called(answer) == ["small"]
        assert called(answer) in (["small"], ["small", "large"])
        assert answer.model == called(answer)[-1]
        assert (answer.confidence is not None and answer.confidence >= 0.75) == accepted_early
        assert answer.cost_usd == pytest.approx(sum(a.cost_usd or 0 for a in answer.attempts))
        right += score(task, answer.message) == 1.0
        stopped += accepted_early
    assert 5 < stopped < 55
    small = sum(score(t, make().complete(Request.from_text(t.prompt, arms={"small"})).message) for t in HARD[:20])
    assert right / 60 > 0.9 > small / 20  # what is sure is right, and the rest went to the large one


def test_the_threshold_decides_how_often_it_climbs(make: Make, simulator: ProviderSimulator) -> None:
    def climbed(threshold: float) -> int:
        router = make(arms=[arm(simulator, cascade("logprob", threshold))])
        return sum("large" in called(ask(router, task.prompt)) for task in generate(30, seed=2))

    assert climbed(0.0) == 0
    assert climbed(0.0) < climbed(0.6) < climbed(1.0) == 30


def test_log_probabilities_are_given_only_to_who_asked(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade("logprob", 0.0))])
    assert "logprobs" not in ask(router, EASY).response["choices"][0]
    assert simulator.requests()[-1]["body"]["logprobs"] is True
    body = {"messages": [{"role": "user", "content": EASY}], "logprobs": True}
    answer = router.complete(Request.from_text(EASY, arms=frozenset({"plan"})), body=body)
    assert answer.response["choices"][0]["logprobs"]["content"]


def test_samples_that_agree_are_sure(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade({"agreement": {"samples": 3}}, 0.9))])
    easy = ask(router, "What is 2 + 3?")
    assert called(easy) == ["small"] * 3
    assert easy.confidence == 1.0
    hard = [ask(router, task.prompt) for task in HARD[:8]]
    assert all(called(answer)[-1] == "large" for answer in hard if len(called(answer)) == 4)
    assert sum(len(called(answer)) == 4 for answer in hard) >= 6
    assert {call["body"].get("temperature") for call in simulator.requests() if call["model"] == "small"} == {0.8}


def test_a_verifier_is_called_and_billed(make: Make, simulator: ProviderSimulator) -> None:
    plan = cascade({"verifier": {"model": "large"}}, 0.6, tiers=("small", "middle"))
    router = make(arms=[arm(simulator, plan)])
    answers = [(task, ask(router, task.prompt)) for task in generate(20, seed=4, kinds=["arithmetic"])]
    for task, answer in answers:
        assert called(answer)[:2] == ["small", "large"]
        if len(called(answer)) == 2:
            assert score(task, answer.message) == 1.0  # the large one knows
    assert {len(called(answer)) for _, answer in answers} == {2, 3}


def test_the_form_of_an_answer_can_be_the_check(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade("format", 1.0))])
    seen = set()
    for seed in range(40):
        task = make_task("tool", difficulty=0.9, rng=Random(seed))
        answer = ask(router, task.prompt, tools=TOOLS)
        seen.add(len(called(answer)))
        arguments = answer.message["tool_calls"][0]["function"]["arguments"]
        assert arguments.endswith("}")  # what does not parse is never delivered
    assert seen == {1, 2}


def test_a_tier_that_fails_is_passed_over(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade("logprob", 0.0))])
    simulator.outage("small")
    answer = ask(router, EASY)
    assert called(answer) == ["small", "large"]
    assert answer.model == "large"
    assert not answer.fell_back


def test_if_the_last_tier_fails_the_surest_answer_stands(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade("logprob", 1.0, tiers=("small", "middle", "large")))])
    simulator.outage("large")
    answer = ask(router, EASY)
    assert called(answer) == ["small", "middle", "large"]
    assert answer.model in ("small", "middle")
    simulator.outage()
    with pytest.raises(NoAnswer, match="plan: http_503"):
        ask(router, EASY)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
async def test_only_the_accepted_answer_is_streamed(make: Make, simulator: ProviderSimulator, threshold: float) -> None:
    router = make(arms=[arm(simulator, cascade("logprob", threshold))])
    body = {"messages": [{"role": "user", "content": EASY}], "stream_options": {"include_usage": True}}
    async with await router.astream(Request.from_text(EASY, arms=frozenset({"plan"})), body=body) as stream:
        chunks = [chunk async for chunk in stream]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    accepted = "small" if threshold == 0.0 else "large"
    assert stream.answer.model == accepted
    assert text == stream.answer.text
    assert {chunk["model"] for chunk in chunks} == {accepted}
    assert chunks[-1]["usage"]["completion_tokens"] == stream.answer.usage.output_tokens
    assert stream.answer.cost_usd == pytest.approx(sum(a.cost_usd or 0 for a in stream.answer.attempts))
    assert simulator.requests()[-1]["body"].get("stream", False) is (accepted == "large")
    await router.aclose()


# -------------------------------------------------------------------------------------------- ensembles


def ensemble(pick: Any, members: Any = ("small", "middle", "large"), **settings: Any) -> dict[str, Any]:
    return {"ensemble": {"members": list(members), "pick": pick, **settings}}


def accuracy(router: Router, tasks: list[Task], name: str = "plan") -> float:
    answers = [router.complete(Request.from_text(task.prompt, arms=frozenset({name}))) for task in tasks]
    return sum(score(task, answer.message) for task, answer in zip(tasks, answers, strict=True)) / len(tasks)


def test_all_members_are_asked_at_once_and_all_are_billed(make: Make, simulator: ProviderSimulator) -> None:
    answer = ask(make(arms=[arm(simulator, ensemble("majority"))]), EASY)
    assert sorted(called(answer)) == ["large", "middle", "small"]
    assert [a.attempt for a in answer.attempts] == [0, 1, 2]
    assert answer.cost_usd == pytest.approx(sum(a.cost_usd or 0 for a in answer.attempts))


def test_a_majority_is_better_than_one_answer(make: Make, simulator: ProviderSimulator) -> None:
    tasks = [task for task in generate(400, seed=5, kinds=["arithmetic", "code"]) if 0.25 < task.difficulty < 0.6][:40]
    router = make(arms=[arm(simulator, ensemble("majority", ["middle"], samples=5))])
    assert accuracy(router, tasks) > accuracy(router, tasks, "middle") + 0.1


def test_votes_count_by_what_is_predicted_of_the_member(make: Make, simulator: ProviderSimulator) -> None:
    router = make(
        arms=[arm(simulator, ensemble("weighted"))], policy={"name": "epsilon", "epsilon": 1.0, "horizon": None}
    )
    for _ in range(60):  # experience says that only the large one is any good at this
        for name, quality in (("small", 0.0), ("middle", 0.0), ("large", 1.0)):
            decision = router.decide(Request.from_text(HARD[0].prompt, arms=frozenset({name})))
            router.observe(decision.id, quality=quality)
    answers = [router.complete(Request.from_text(task.prompt)) for task in HARD[:20]]
    won = [answer.model for answer in answers if answer.arm == "plan"]
    assert len(won) > 2
    assert set(won) == {"large"}


def test_a_judge_picks_among_answers_that_differ(make: Make, simulator: ProviderSimulator) -> None:
    plan = ensemble({"judge": {"model": "large"}}, ["small", "middle"])
    router = make(arms=[arm(simulator, plan)])
    tasks = [task for task in generate(300, seed=6, kinds=["arithmetic"]) if 0.3 < task.difficulty < 0.6][:15]
    for task in tasks:
        answer = ask(router, task.prompt)
        judged = "large" in called(answer)
        texts = [
            score(task, router.complete(Request.from_text(task.prompt, arms=frozenset({m}))).message)
            for m in ("small", "middle")
        ]
        if judged:
            assert score(task, answer.message) == max(texts)


def test_a_member_that_fails_or_refuses_has_no_say(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, ensemble("majority"))])
    simulator.outage("small")
    simulator.set_failures("middle", Failures(refusal=1.0))
    answer = ask(router, EASY)
    assert answer.model == "large"
    assert answer.confidence == 1.0
    simulator.outage()
    with pytest.raises(NoAnswer):
        ask(router, EASY)


async def test_an_ensemble_streams_the_answer_that_won(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, ensemble("majority"))])
    async with await router.astream(Request.from_text(EASY, arms=frozenset({"plan"}))) as stream:
        text = "".join([chunk["choices"][0]["delta"].get("content") or "" async for chunk in stream])
    assert text == stream.answer.text
    assert score(make_task_of(EASY), text) == 1.0
    await router.aclose()


def make_task_of(prompt: str) -> Task:
    return Task(kind="arithmetic", prompt=prompt, answer="5", difficulty=0.0)


def test_plans_stand_in_one_another(make: Make, simulator: ProviderSimulator) -> None:
    council = ensemble("majority", ["small", "middle"])
    router = make(arms=[arm(simulator, cascade("agreement", 1.0, tiers=(council, "large")))])
    answers = [ask(router, task.prompt) for task in HARD[:6]] + [ask(router, EASY)]
    for answer in answers:
        agreed = len(called(answer)) == 2
        assert (answer.confidence == 1.0) is agreed
        assert agreed or called(answer)[-1] == "large"
    assert {len(called(answer)) for answer in answers} == {2, 3}


# -------------------------------------------------------------------------------------------- arms like any other


def test_a_plan_is_eligible_only_where_all_its_models_are(make: Make, simulator: ProviderSimulator) -> None:
    near, far, judge = simulator.models()
    models = [
        near.__class__(**{**fields(near), "residency": "eu"}),
        far.__class__(**{**fields(far), "residency": "eu"}),
        judge.__class__(**{**fields(judge), "residency": "us"}),
    ]
    plan = plan_arm("plan", cascade({"verifier": {"model": "large"}}, 0.5, tiers=("small", "middle")), models)
    router = make(models=models, arms=[plan])
    with pytest.raises(NoEligibleArm, match="large: residency us"):
        ask(router, EASY, residency=frozenset({"eu"}))
    answer = router.complete(Request.from_text(EASY, residency=frozenset({"eu"})))
    assert answer.decision.excluded["plan"] == "large: residency us not in eu"
    assert {call["model"] for call in simulator.requests()} <= {"small", "middle"}


def fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__ if name != "_"}


def test_new_particulars_of_a_model_hold_for_its_plans(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade("logprob"))])
    small, *_ = simulator.models()
    router.add_model(small.__class__(**{**fields(small), "tools": False}))
    with pytest.raises(NoEligibleArm, match="small: takes no tools"):
        ask(router, EASY, tools=TOOLS)
    router.remove_model("small")
    assert router.arms == ("middle", "large")


def test_what_a_plan_costs_is_learned(make: Make, simulator: ProviderSimulator) -> None:
    router = make(arms=[arm(simulator, cascade("logprob", 0.0))])  # never climbs
    request = Request.from_text(EASY, arms=frozenset({"plan"}))
    before = router.decide(request).predictions.cost_usd[0]
    costs = [ask(router, EASY).cost_usd for _ in range(40)]
    after = router.decide(request).predictions.cost_usd[0]
    assert after < before / 3
    assert after == pytest.approx(costs[-1], rel=0.5)


def test_what_was_learned_of_a_plan_is_rebuilt_from_the_log(make: Make, simulator: ProviderSimulator) -> None:
    plan = arm(simulator, cascade("logprob", 0.6))
    router = make(arms=[plan])
    for task in generate(15, seed=7):
        answer = router.complete(task.prompt)
        router.observe(answer.decision.id, quality=score(task, answer.message))
    again = Router(log=router._log)
    assert_same_state(again._decider.state(), router._decider.state())
    assert again.arm("plan") == plan


def test_a_plan_that_cannot_be_carried_out_is_refused_before_it_is_logged(
    make: Make, simulator: ProviderSimulator
) -> None:
    router = make()
    before = router._log.position
    with pytest.raises(BadInput, match="tiers: must be a list, got nothing"):
        router.add_arm(Arm("plan", models=tuple(simulator.models()), plan="cascade"))
    assert router._log.position == before


# -------------------------------------------------------------------------------------------- low confidence


def test_an_unsure_answer_goes_to_the_next_arm(make: Make, simulator: ProviderSimulator) -> None:
    rule = Fallback(reasons=("low_confidence",), threshold=0.8)
    router = make(fallback=rule)
    answers = [router.complete(Request.from_text(task.prompt, arms={"small", "large"})) for task in HARD[:15]]
    gave_up = [answer for answer in answers if answer.gave_up]
    assert gave_up
    for answer in gave_up:
        assert set(answer.gave_up.values()) == {"low_confidence"}
        assert "logprobs" not in answer.response["choices"][0]
        assert answer.confidence is not None


async def test_an_unsure_answer_is_not_streamed(make: Make, simulator: ProviderSimulator) -> None:
    router = make(fallback=Fallback(reasons=("low_confidence",), threshold=1.0))
    async with await router.astream("What is 12 + 30?") as stream:
        text = "".join([chunk["choices"][0]["delta"].get("content") or "" async for chunk in stream])
    assert text == stream.answer.text
    assert set(stream.answer.gave_up.values()) == {"low_confidence"}
    assert len(stream.answer.attempts) == 3
    await router.aclose()
