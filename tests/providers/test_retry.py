"""Waits between tries, and what Retry-After says."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armwise.errors import ConfigError
from armwise.providers.retry import RetryPolicy, retry_after_s

NOW = 1_800_000_000.0


@given(retry=st.integers(0, 200), seed=st.integers(0, 100), asked=st.none() | st.floats(0, 60))
def test_waits_stay_in_their_bounds(retry: int, seed: int, asked: float | None) -> None:
    policy = RetryPolicy(base_s=0.1, cap_s=2.0)
    wait = policy.wait_s(retry, Random(seed), retry_after_s=asked)
    if asked is None:
        assert 0 <= wait <= min(2.0, 0.1 * 2.0**retry)
    else:
        assert asked <= wait <= asked + 0.1


def test_jitter_is_full() -> None:
    waits = [RetryPolicy(base_s=1.0, cap_s=8.0).wait_s(3, Random(seed)) for seed in range(400)]
    assert min(waits) < 0.4
    assert max(waits) > 7.6
    assert sum(waits) / 400 == pytest.approx(4.0, abs=0.5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "2", "retry-after-ms": "150"}, 0.15),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW + 30, UTC), usegmt=True)}, 30.0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW - 30, UTC), usegmt=True)}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now=NOW) == seconds


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="attempts must be at least 1"):
        RetryPolicy(attempts=0)
    with pytest.raises(ConfigError, match="cap_s"):
        RetryPolicy(cap_s=float("inf"))
