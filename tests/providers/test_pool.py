"""Several deployments of one model: balanced, rested, recovered; keys kept to themselves."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from armwise.contracts import Model
from armwise.errors import ConfigError
from armwise.providers.breaker import BreakerSettings
from armwise.providers.client import ProviderClient
from armwise.providers.deployment import Deployment
from armwise.providers.errors import (
    AuthFailed,
    ConnectFailed,
    DeadlineExceeded,
    RateLimited,
    Rejected,
    ServerFault,
    Unavailable,
)
from armwise.providers.pool import Pool
from armwise.providers.retry import RetryPolicy
from armwise.providers.secret import Secret
from armwise.testing.simulator import Failures, ProviderSimulator, SimulatedModel

MODEL = Model("m", input_usd_per_mtok=1, output_usd_per_mtok=1)
BODY = {"messages": [{"role": "user", "content": "hello"}]}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pool(*names: str, clock: Clock | None = None, **options: Any) -> Pool:
    deployments = [Deployment(model="m", base_url=f"https://{name}/v1", **options) for name in names]
    settings = BreakerSettings(failures=2, cooldown_s=1.0)
    return Pool(MODEL, deployments, settings=settings, rng=Random(0), clock=clock or Clock())


def test_load_is_spread_evenly() -> None:
    places = pool("a", "b", "c", "d")
    leases = [places.acquire() for _ in range(200)]
    loads = [place.in_flight for place in places.places]
    assert sum(loads) == 200
    assert max(loads) - min(loads) <= 6
    for lease in leases:
        lease.succeed()
        lease.succeed()
    assert [place.in_flight for place in places.places] == [0] * 4


def test_weights_shift_the_load() -> None:
    heavy = Deployment(model="m", base_url="https://heavy/v1", weight=3.0)
    light = Deployment(model="m", base_url="https://light/v1")
    places = Pool(MODEL, [heavy, light], settings=BreakerSettings(), rng=Random(0), clock=Clock())
    for _ in range(100):
        places.acquire()
    assert [place.in_flight for place in places.places] == pytest.approx([75, 25], abs=2)


def test_sick_places_are_left_alone_until_they_recover() -> None:
    clock = Clock()
    places = pool("a", "b", clock=clock)
    sick = places.places[0]
    for _ in range(2):
        lease = places.acquire(avoid=[places.places[1]])
        assert lease.place is sick
        lease.fail(ServerFault("down"), clock.now)
    assert all(places.acquire().place is not sick for _ in range(20))
    clock.now += 1.0
    probe = places.acquire(avoid=[places.places[1]])
    assert probe.place is sick
    assert all(places.acquire().place is not sick for _ in range(20))
    probe.succeed()
    assert sick in {places.acquire().place for _ in range(60)}


def test_when_all_are_sick_it_says_for_how_long() -> None:
    clock = Clock()
    places = pool("a", clock=clock)
    places.acquire().fail(RateLimited("busy", retry_after_s=7.0), clock.now)
    with pytest.raises(Unavailable) as caught:
        places.acquire()
    assert caught.value.retry_after_s == 7.0
    clock.now += 7.0
    places.acquire().fail(Rejected("no"), clock.now)
    assert places.ready_in_s() == 0.0
    places.acquire().fail(AuthFailed("no"), clock.now)
    assert places.ready_in_s() == 30.0


def test_a_callers_deadline_counts_only_against_a_place_that_hung() -> None:
    clock = Clock()
    places = pool("a", clock=clock)
    for waited in (0.5, 9.9, 9.9, 10.0):
        lease = places.acquire()
        clock.now += waited
        lease.fail(DeadlineExceeded("late"), clock.now)
    assert places.ready_in_s() == 0.0
    lease = places.acquire()
    clock.now += 10.0
    lease.fail(DeadlineExceeded("late"), clock.now)
    assert places.ready_in_s() == 1.0


def test_a_model_stays_where_it_promises_to_be() -> None:
    with pytest.raises(ConfigError, match="residency 'us', but the model promises None"):
        pool("a", residency="us")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"base_url": "ftp://host"}, "http:// or https://"),
        ({"base_url": "https://user:secret@host/v1"}, "keys go into api_key"),
        ({"base_url": "https://host/v1?key=secret"}, "keys go into api_key"),
        ({"weight": 0}, "weight must be over 0"),
        ({"headers": {"x-a": "1\r\nx-b: secret"}}, "header 'x-a'"),
    ],
)
def test_bad_deployments_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        Deployment(model="m", **options)
    assert "secret" not in str(caught.value)


def test_a_deployment_needs_a_model() -> None:
    with pytest.raises(ConfigError, match="did you mean 'm'"):
        ProviderClient([MODEL], deployments=[Deployment(model="mm")])


def test_a_secret_keeps_itself() -> None:
    secret = Secret("sk-123")
    assert "sk-123" not in f"{secret} {secret!r} {[secret]} {Deployment(model='m', api_key=secret)}"
    assert secret.reveal() == "sk-123"
    assert secret.scrub("bad key sk-123!") == "bad key [key]!"
    for copier in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            copier(secret)
    with pytest.raises(ConfigError, match="THE_KEY is empty"):
        Secret("", name="THE_KEY")


# ---------------------------------------------------------------------------------------------- over HTTP


@pytest.fixture
def twins() -> Iterator[tuple[ProviderSimulator, ProviderSimulator]]:
    def simulated(name: str) -> SimulatedModel:
        return SimulatedModel(name, latency_ms=2)

    with ProviderSimulator([simulated("m")]) as a, ProviderSimulator([simulated("m-eu")], keys=["right"]) as b:
        yield a, b


def client_of(a: ProviderSimulator, b: ProviderSimulator, key: str = "right") -> ProviderClient:
    return ProviderClient(
        [MODEL],
        deployments=[
            Deployment(model="m", base_url=a.base_url),
            Deployment(model="m", base_url=b.base_url, upstream="m-eu", api_key=Secret(key), label="second"),
        ],
        retry=RetryPolicy(attempts=2, base_s=0.001),
        rng=Random(0),
    )


async def ask(client: ProviderClient, times: int) -> Counter[str]:
    async with client:
        done = await asyncio.gather(*(client.complete("m", BODY) for _ in range(times)))
    return Counter(attempt.status for completion in done for attempt in completion.attempts)


def test_calls_are_shared_and_move_when_one_place_fails(twins: tuple[ProviderSimulator, ProviderSimulator]) -> None:
    a, b = twins
    client = client_of(a, b)
    assert asyncio.run(ask(client, 40)) == {"ok": 40}
    assert 12 <= len(a.requests()) <= 28
    assert {entry["model"] for entry in b.requests()} == {"m-eu"}
    a.outage(reset=True)
    statuses = asyncio.run(ask(client, 40))
    assert statuses["ok"] == 40
    b.clear()
    assert asyncio.run(ask(client, 20))["ok"] == 20
    assert len(b.requests()) >= 19
    assert client.health()["m"][0]["phase"] != "closed"
    assert client.health()["m"][1] == {"deployment": "second", "phase": "closed", "in_flight": 0, "ready_in_s": 0.0}


def test_a_wrong_key_at_one_place_does_not_fail_the_call(twins: tuple[ProviderSimulator, ProviderSimulator]) -> None:
    statuses = asyncio.run(ask(client_of(*twins, key="wrong"), 20))
    assert statuses["ok"] == 20
    assert statuses["auth_failed"] >= 1


def test_rate_limits_are_per_place(twins: tuple[ProviderSimulator, ProviderSimulator]) -> None:
    a, b = twins
    client = client_of(a, b)
    a.set_failures(None, Failures(rate_limit=1, retry_after_s=60))
    assert asyncio.run(ask(client, 10))["ok"] == 10
    b.clear()
    assert asyncio.run(ask(client, 10)) == {"ok": 10}
    assert len(b.requests()) == 10


def test_a_port_where_nobody_listens() -> None:
    client = ProviderClient(
        [MODEL], deployments=[Deployment(model="m", base_url="http://127.0.0.1:9/v1")], retry=RetryPolicy(attempts=1)
    )
    with pytest.raises(ConnectFailed, match=r"m at 127\.0\.0\.1:9"):
        asyncio.run(ask(client, 1))
