"""Whatever the policy: a replay of the log, and a snapshot through the registry's codec, decide as the live one."""

from __future__ import annotations

from typing import Any

import pytest

from armwise.contracts import Experience, Request
from armwise.decider import Decider
from armwise.learning import OnlineLearner
from armwise.policies import POLICIES
from armwise.registry.codec import decode, encode
from helpers import assert_same_state, context, contexts, decider, play

SETTINGS: list[dict[str, Any]] = [{"name": name} for name in POLICIES if name not in ("fixed", "vw", "river")]
SETTINGS += [
    {"name": "fixed", "shares": {"small": 3, "large": 1}},
    {"name": "thompson", "engine": "logistic", "model": {"calibrate": True}},
    {"name": "squarecb", "engine": "vw"},
    *({"name": "vw", "reduction": reduction} for reduction in ("squarecb", "regcb", "rnd")),
    *({"name": "vw", "reduction": reduction, "cb_type": "dr"} for reduction in ("bag", "cover", "softmax")),
    *({"name": "river", "bandit": bandit} for bandit in ("linucb", "ucb", "thompson")),
]


def decisions(one: Decider) -> list[bytes]:
    return [
        one.decide(Request(), context(x), id="x", at=2e9, seed=number).probability_of.tobytes()
        for number, x in enumerate(contexts(8, 77))
    ]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(str(v) for v in s.values()))
def test_a_replay_and_a_snapshot_go_on_as_the_live_one(settings: dict[str, Any]) -> None:
    live = decider(settings)
    events = play(live, 60)
    replayed = decider(settings)
    OnlineLearner(replayed, recall=lambda *_: None).replay(enumerate(events, 1))
    restored = decider(settings, arms=[])
    restored.restore(decode(encode(live.state()))[0])
    assert decisions(live) == decisions(replayed) == decisions(restored)
    if "vw" not in settings.values():  # which counts its predictions inside its bytes
        assert_same_state(replayed.state(), live.state())
        assert_same_state(restored.state(), live.state())
    for one in (live, replayed, restored):
        for number, x in enumerate(contexts(30, 5)):
            one.policy.learn(Experience(x, number % 3, number % 7 / 7, 0.4, actions=(0, 1, 2)))
    assert decisions(live) == decisions(replayed) == decisions(restored)
