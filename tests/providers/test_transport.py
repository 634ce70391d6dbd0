"""Connections in groups: each request has its place, and gives it back whatever becomes of it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from armwise.providers.transport import WIDTH, GroupedTransport


class Upstream(httpx.AsyncBaseTransport):
    """Answers when it is let; counts what is under way."""

    def __init__(self, gate: asyncio.Event) -> None:
        self.gate = gate
        self.under_way = 0
        self.most = 0
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1
        if request.url.path == "/broken":
            raise httpx.ReadError("broken")
        return httpx.Response(200, stream=httpx.ByteStream(b"yes"))

    async def aclose(self) -> None:
        self.closed = True


def grouped(gate: asyncio.Event, most: int = 1000) -> tuple[httpx.AsyncClient, list[Upstream]]:
    made: list[Upstream] = []

    def make() -> Upstream:
        made.append(Upstream(gate))
        return made[-1]

    return httpx.AsyncClient(transport=GroupedTransport(make, most=most)), made


def test_a_group_takes_no_more_than_its_width_and_is_used_again() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        client, made = grouped(gate)
        asks = [asyncio.create_task(client.get(f"http://one/{n}")) for n in range(2 * WIDTH + 1)]
        asks.append(asyncio.create_task(client.get("http://two/")))
        await asyncio.sleep(0.01)
        assert [upstream.under_way for upstream in made] == [WIDTH, WIDTH, 1, 1]
        gate.set()
        assert {(await ask).text for ask in asks} == {"yes"}
        await client.get("http://one/again")
        assert len(made) == 4, "there was room in the first group"
        await client.aclose()
        assert all(upstream.closed for upstream in made)

    asyncio.run(main())


def test_a_failure_a_hangup_and_an_unread_answer_retire_the_group() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        client, made = grouped(gate)
        cancelled = [asyncio.create_task(client.get("http://one/")) for _ in range(WIDTH)]
        await asyncio.sleep(0.01)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        gate.set()
        assert len(made) == 1
        await client.get("http://one/")
        assert [upstream.closed for upstream in made] == [True, False], "a group with a lost connection is retired"
        with pytest.raises(httpx.ReadError):
            await client.get("http://one/broken")
        async with client.stream("GET", "http://one/"):
            pass
        for _ in range(3 * WIDTH):
            await client.get("http://one/")
        assert [upstream.closed for upstream in made] == [True, True, True, False]
        await client.aclose()


def test_a_retired_group_lets_its_other_requests_finish() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        client, made = grouped(gate)
        asks = [asyncio.create_task(client.get("http://one/")) for _ in range(WIDTH)]
        await asyncio.sleep(0.01)
        asks[0].cancel()
        await asyncio.sleep(0.01)
        late = asyncio.create_task(client.get("http://one/"))
        await asyncio.sleep(0.01)
        assert [upstream.under_way for upstream in made] == [WIDTH - 1, 1]
        assert not made[0].closed
        gate.set()
        await asyncio.gather(late, *asks[1:])
        await asyncio.sleep(0)
        assert made[0].closed
        await client.aclose()

    asyncio.run(main())


def test_past_the_limit_requests_share_the_groups_there_are() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        client, made = grouped(gate, most=2 * WIDTH)
        asks = [asyncio.create_task(client.get("http://one/")) for _ in range(3 * WIDTH)]
        await asyncio.sleep(0.01)
        assert [upstream.under_way for upstream in made] == [WIDTH * 3 // 2] * 2
        gate.set()
        await asyncio.gather(*asks)
        await client.aclose()

    asyncio.run(main())
