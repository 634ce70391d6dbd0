"""A simulator of providers for judges to be asked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from armwise.testing.simulator import ProviderSimulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[ProviderSimulator]:
    with ProviderSimulator(time_scale=0.0, seed=1) as running:
        yield running
