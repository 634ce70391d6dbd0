"""The circuit breaker: by hand, and against what it promises under any history."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from armwise.errors import ConfigError
from armwise.providers.breaker import Breaker, BreakerSettings, Phase

SETTINGS = BreakerSettings(failures=3, cooldown_s=1.0, max_cooldown_s=4.0, probes=2)


def failed(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.fail(now, probe=breaker.begin(now))


def test_it_opens_rests_probes_and_closes() -> None:
    breaker = Breaker(SETTINGS)
    failed(breaker, 0.0, 2)
    assert breaker.allows(0.0)
    failed(breaker, 0.0)
    assert breaker.phase(0.5) is Phase.OPEN
    assert not breaker.allows(0.99)
    assert breaker.ready_at(0.5) == 1.0
    assert breaker.phase(1.0) is Phase.HALF_OPEN
    first, second = breaker.begin(1.0), breaker.begin(1.0)
    assert (first, second) == (True, True)
    assert not breaker.allows(1.0)
    breaker.succeed(probe=first)
    assert breaker.phase(1.0) is Phase.CLOSED
    breaker.succeed(probe=second)
    assert breaker.allows(1.0)


def test_each_failed_probe_doubles_the_cooldown_up_to_its_cap() -> None:
    breaker = Breaker(SETTINGS)
    failed(breaker, 0.0, 3)
    now, waits = 0.0, []
    for _ in range(5):
        waits.append(breaker.ready_at(now) - now)
        now = breaker.ready_at(now)
        failed(breaker, now)
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(BreakerSettings(failures=3, share=1.0))
    for _ in range(10):
        failed(breaker, 0.0, 2)
        breaker.succeed(probe=breaker.begin(0.0))
    assert breaker.phase(0.0) is Phase.CLOSED


def test_a_share_of_failures_opens_it_though_some_calls_succeed() -> None:
    breaker = Breaker(BreakerSettings(window=10, share=0.5))
    for _ in range(4):
        failed(breaker, 0.0)
        breaker.succeed(probe=breaker.begin(0.0))
    breaker.succeed(probe=breaker.begin(0.0))
    assert breaker.phase(0.0) is Phase.CLOSED
    failed(breaker, 0.0)
    assert breaker.phase(0.5) is Phase.OPEN
    breaker.succeed(probe=breaker.begin(1.0))
    failed(breaker, 1.0, 4)
    assert breaker.phase(1.0) is Phase.CLOSED  # the window begins anew


def test_calls_begun_before_it_opened_do_not_close_it() -> None:
    breaker = Breaker(SETTINGS)
    old = breaker.begin(0.0)
    failed(breaker, 0.0, 3)
    breaker.succeed(probe=old)
    assert breaker.phase(0.5) is Phase.OPEN


def test_rest_is_no_failure() -> None:
    breaker = Breaker(SETTINGS)
    breaker.rest(5.0)
    breaker.rest(2.0)
    assert not breaker.allows(4.9)
    assert breaker.ready_at(1.0) == 5.0
    assert breaker.phase(5.0) is Phase.CLOSED


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        BreakerSettings(failures=0)
    with pytest.raises(ConfigError, match="cooldown_s"):
        BreakerSettings(cooldown_s=5, max_cooldown_s=1)


class History(RuleBasedStateMachine):
    """Any order of calls, answers and waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(SETTINGS)
        self.calls: list[bool] = []
        self.failures = 0
        """In a row, counted without the breaker."""

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.allows(self.now))
    @rule()
    def call(self) -> None:
        self.calls.append(self.breaker.begin(self.now))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), end=st.sampled_from(["succeed", "fail", "forget"]))
    def end(self, data: st.DataObject, end: str) -> None:
        probe = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        before = self.breaker.phase(self.now)
        if end == "succeed":
            self.breaker.succeed(probe=probe)
            if probe:
                assert self.breaker.phase(self.now) is Phase.CLOSED
            elif before is not Phase.CLOSED:
                assert self.breaker.phase(self.now) is before
            self.failures = 0
        elif end == "fail":
            self.breaker.fail(self.now, probe=probe)
            self.failures += 1
            if probe or (before is Phase.CLOSED and self.failures >= SETTINGS.failures):
                assert self.breaker.phase(self.now) is Phase.OPEN
        else:
            self.breaker.forget(probe=probe)
            assert self.breaker.phase(self.now) is before

    @invariant()
    def probes_are_few(self) -> None:
        assert (
            self.breaker._probing == sum(self.calls) <= SETTINGS.probes or self.breaker.phase(self.now) is Phase.CLOSED
        )
        assert self.breaker._probing >= 0

    @invariant()
    def it_always_comes_back(self) -> None:
        ready = self.breaker.ready_at(self.now)
        assert self.now <= ready <= self.now + SETTINGS.max_cooldown_s
        assert self.breaker.phase(ready) is not Phase.OPEN
        if not sum(self.calls):
            assert self.breaker.allows(ready)


History.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHistory = History.TestCase
