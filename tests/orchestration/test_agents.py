"""Agent loops: a session that calls tools keeps its arm from call to result to answer, and leaves it when it fails."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from armwise import Router
from armwise.orchestration import Answer
from armwise.sessions import SessionRules
from armwise.testing.simulator import ProviderSimulator
from armwise.testing.tasks import TOOLS
from armwise.testing.tasks import make as make_task

Make = Callable[..., Router]


def loop(router: Router, seed: int, **body: Any) -> list[Answer]:
    """One agent: it is asked, calls its tool, gets the result, answers, and is asked once more."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": make_task("tool", difficulty=0.2, rng=Random(seed)).prompt}
    ]
    answers = []
    while len(answers) < 3:
        answer = router.complete({"messages": messages, "tools": list(TOOLS), **body})
        answers.append(answer)
        messages.append(answer.message)
        calls = answer.message.get("tool_calls")
        if calls:
            messages.append({"role": "tool", "tool_call_id": calls[0]["id"], "content": "12 in stock"})
        else:
            messages.append({"role": "user", "content": "And how many is that plus 30?"})
    return answers


@pytest.mark.parametrize("named", ["metadata", "prompt_cache_key", "inferred"])
def test_an_agent_keeps_its_arm(make: Make, named: str) -> None:
    router = make(sessions=SessionRules(infer=named == "inferred"), policy="uniform")
    seen = set()
    for seed in range(8):
        session = f"agent-{seed}"
        body = {"metadata": {"metadata": {"session": session}}, "prompt_cache_key": {"prompt_cache_key": session}}
        answers = loop(router, seed, **body.get(named, {}))
        assert len({answer.arm for answer in answers}) == 1
        first, *rest = (answer.decision for answer in answers)
        assert first.propensity == pytest.approx(1 / 3)
        assert [(turn.head, turn.propensity) for turn in rest] == [(first.id, 1.0)] * 2
        seen.add(first.arm)
    assert len(seen) > 1


def test_without_a_session_every_turn_is_drawn(make: Make) -> None:
    router = make(policy="uniform")
    assert any(len({answer.arm for answer in loop(router, seed)}) > 1 for seed in range(6))


def test_a_session_whose_arm_fails_goes_on_elsewhere(make: Make, simulator: ProviderSimulator) -> None:
    router = make(policy="uniform")
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"session": "s"}}
    first = router.complete(body)
    simulator.outage(first.arm)
    second = router.complete(body)
    assert second.decision.arm == first.arm
    assert second.fell_back
    third = router.complete(body)
    assert third.decision.switched is not None
    assert third.decision.head is None
    simulator.clear()
    fourth = router.complete(body)
    assert fourth.decision.head == third.decision.id or fourth.decision.switched is not None
