"""The door: steady rates for clients, and counts of everything."""

from __future__ import annotations

import pytest

from armwise.errors import TooManySignals
from armwise.learning import Door
from armwise.rewards import RewardRules


def test_a_client_is_held_to_its_rate_and_let_in_again() -> None:
    door = Door(RewardRules(client_signals_per_minute=10))
    for _ in range(10):
        door.admit("user:a", 1, at=0.0)
    with pytest.raises(TooManySignals, match=r"'user:a' may send 10 signals a minute; more can be taken in 6 s"):
        door.admit("user:a", 1, at=0.0)
    door.admit("user:b", 10, at=0.0)
    door.admit("user:a", 1, at=6.0)
    with pytest.raises(TooManySignals):
        door.admit("user:a", 1, at=6.0)
    assert door.counters.throttled == 2
    assert TooManySignals.status == 429


@pytest.mark.parametrize("source", ["app", "user", "judge:strict", "armwise"])
def test_who_is_no_client_is_not_held_up(source: str) -> None:
    door = Door(RewardRules(client_signals_per_minute=1))
    for _ in range(100):
        door.admit(source, 5, at=0.0)


def test_no_limit_and_many_clients() -> None:
    free = Door(RewardRules(client_signals_per_minute=None))
    free.admit("user:a", 10**6, at=0.0)
    door = Door(RewardRules(client_signals_per_minute=1))
    for i in range(10_500):
        door.admit(f"user:{i}", 1, at=0.0)
    assert len(door._left) == 10_000
