"""A made-up world, so that knowledge can be asked for which no real model and no search engine has."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Kingdom(NamedTuple):
    """A row of the table."""

    name: str
    capital: str
    ruler: str
    river: str
    founded: int


def _table(count: int) -> tuple[Kingdom, ...]:
    rng = Random(1729)

    def word(ends: tuple[str, ...]) -> str:
        middle = "".join(
            rng.choice(("v", "l", "m", "r", "t", "n", "br", "k")) + rng.choice("aeiou")
            for _ in range(rng.randint(2, 3))
        )
        return (middle + rng.choice(ends)).capitalize()

    words: set[str] = set()

    def fresh(ends: tuple[str, ...]) -> str:
        while (new := word(ends)) in words:
            pass
        words.add(new)
        return new

    return tuple(
        Kingdom(
            name=fresh(("mor", "via", "land")),
            capital=fresh(("burg", "ton", "polis")),
            ruler=f"{rng.choice(('Queen', 'King'))} {fresh(('ra', 'rik', 'dis'))}",
            river=fresh(("wash", "ford", "ine")),
            founded=year,
        )
        for year in rng.sample(range(400, 1900), count)
    )


KINGDOMS: tuple[Kingdom, ...] = _table(24)
