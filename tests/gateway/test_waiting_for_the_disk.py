"""Answers wait for the disk, and not for one that has said that it cannot."""

from __future__ import annotations

import asyncio
import time

from armwise.errors import LogError
from armwise.gateway.durability import Durability


def test_all_who_wait_share_a_flush() -> None:
    flushes = []

    def flush(timeout: float | None) -> None:
        flushes.append(timeout)

    async def serve() -> list[bool]:
        durability = Durability(lambda: 5, flush, patience_s=30.0)
        durability._done = 0
        ticket = durability.ticket()
        return await asyncio.gather(*(durability.wait(ticket) for _ in range(20)))

    assert asyncio.run(serve()) == [True] * 20
    assert len(flushes) == 1


def test_a_log_that_cannot_be_written_holds_no_answer_up() -> None:
    def refuse(timeout: float | None) -> None:
        raise LogError("the disk is full")

    async def serve() -> tuple[list[bool], int]:
        durability = Durability(lambda: 5, refuse, patience_s=30.0)
        durability._done = 0
        answers = [await durability.wait(durability.ticket()) for _ in range(3)]
        return answers, durability.missed

    began = time.monotonic()
    assert asyncio.run(serve()) == ([False] * 3, 3)
    assert time.monotonic() - began < 20.0  # it would be 90 s, were each waited for


def test_it_is_durable_again_once_the_disk_is_back() -> None:
    full = [True]

    def flush(timeout: float | None) -> None:
        if full[0]:
            raise LogError("the disk is full")

    async def serve() -> list[bool]:
        durability = Durability(lambda: 5, flush, patience_s=30.0)
        durability._done = 0
        first = await durability.wait(durability.ticket())
        full[0] = False
        return [first, await durability.wait(durability.ticket())]

    assert asyncio.run(serve()) == [False, True]
