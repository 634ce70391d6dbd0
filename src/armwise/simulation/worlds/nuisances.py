"""What goes wrong in service, each a change of an episode. Declared in a study; applied in the order declared.

Times are fractions of the episode, so that a study holds for any length. ``arm`` is a name, or ``best``: the arm of
the highest mean quality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np

from armwise.contracts import Arm, PoolChange
from armwise.errors import BadInput, unknown
from armwise.simulation.episode import Episode, World

Generator: TypeAlias = np.random.Generator


class Nuisance(Protocol):
    def apply(self, episode: Episode, rng: Generator) -> Episode:
        """The episode as it goes with this in the way. Changes nothing in place."""
        ...


@dataclass(frozen=True, kw_only=True)
class Drift:
    """An arm's answers get worse: from ``at`` on, a share ``loss`` of what it got right scores nothing."""

    arm: str = "best"
    at: float = 0.5
    loss: float = 0.5

    def __post_init__(self) -> None:
        _fractions(self, "at", "loss")

    def apply(self, episode: Episode, rng: Generator) -> Episode:
        k, start = column(episode, self.arm), _round(episode, self.at)
        spoilt = np.zeros(episode.score.shape, dtype=bool)
        spoilt[start:, k] = rng.random(len(episode) - start) < self.loss
        judged = np.where(spoilt & np.isfinite(episode.judged), 0.0, episode.judged)
        return replace(episode, score=np.where(spoilt, 0.0, episode.score), judged=judged)


@dataclass(frozen=True, kw_only=True)
class PriceChange:
    """An arm's prices are multiplied at ``at``, and the pool is told."""

    arm: str = "best"
    at: float = 0.5
    factor: float = 0.25

    def __post_init__(self) -> None:
        _fractions(self, "at")
        if not self.factor > 0:
            raise BadInput(f"PriceChange.factor must be above 0, got {self.factor!r}")

    def apply(self, episode: Episode, rng: Generator) -> Episode:
        k, start = column(episode, self.arm), _round(episode, self.at)
        cost = episode.cost_usd.copy()
        cost[start:, k] *= self.factor
        model = episode.models[k]
        priced = replace(
            model,
            input_usd_per_mtok=(model.input_usd_per_mtok or 0.0) * self.factor,
            output_usd_per_mtok=(model.output_usd_per_mtok or 0.0) * self.factor,
        )
        change = PoolChange(action="add", arm=Arm.of(priced), at=float(start))
        return replace(episode, cost_usd=cost, changes=_and(episode.changes, start, change))


@dataclass(frozen=True, kw_only=True)
class Outage:
    """An arm is out of use from ``start`` to ``stop``."""

    arm: str = "best"
    start: float = 0.4
    stop: float = 0.5

    def __post_init__(self) -> None:
        _fractions(self, "start", "stop")
        if self.stop <= self.start:
            raise BadInput(f"Outage.stop must be after start {self.start}, got {self.stop}")

    def apply(self, episode: Episode, rng: Generator) -> Episode:
        name = episode.arms[column(episode, self.arm)]
        outages = {at: dict(which) for at, which in episode.outages.items()}
        outages.setdefault(_round(episode, self.start), {})[name] = "outage"
        outages.setdefault(_round(episode, self.stop), {})[name] = None
        return replace(episode, outages=outages)


@dataclass(frozen=True, kw_only=True)
class NewArm:
    """An arm joins the pool only at ``at``."""

    arm: str = "best"
    at: float = 0.5

    def __post_init__(self) -> None:
        _fractions(self, "at")

    def apply(self, episode: Episode, rng: Generator) -> Episode:
        if len(episode.models) - len(episode.late) < 2:
            raise BadInput("NewArm: no arm would be left at the start")
        start = _round(episode, self.at)
        model = episode.models[column(episode, self.arm)]
        change = PoolChange(action="add", arm=Arm.of(model), at=float(start))
        return replace(episode, late=episode.late | {model.name}, changes=_and(episode.changes, start, change))


@dataclass(frozen=True, kw_only=True)
class Judge:
    """An imperfect judge.

    A share ``missing`` of the rounds is never judged; the others after a geometric delay of mean ``delay`` rounds. A
    judgement is off by normal noise of deviation ``noise`` and by ``bias`` (arm -> points), clipped to [0, 1].
    """

    missing: float = 0.0
    delay: float = 0.0
    noise: float = 0.0
    bias: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _fractions(self, "missing")
        if self.delay < 0 or self.noise < 0:
            raise BadInput(f"Judge.delay and Judge.noise must be at least 0, got {self.delay!r} and {self.noise!r}")

    def apply(self, episode: Episode, rng: Generator) -> Episode:
        judged = episode.judged + self.noise * rng.normal(size=episode.judged.shape)
        for arm, points in self.bias.items():
            judged[:, column(episode, arm)] += points
        judged = np.clip(judged, 0.0, 1.0)
        judged[rng.random(len(episode)) < self.missing] = np.nan
        delay = episode.delay
        if self.delay > 0:
            delay = delay + rng.geometric(1.0 / (1.0 + self.delay), len(episode)) - 1
        return replace(episode, judged=judged, delay=delay)


@dataclass(frozen=True, kw_only=True)
class HeavyTail:
    """Bills are multiplied by a lognormal of mean 1 and log-deviation ``sigma``."""

    sigma: float = 1.0

    def apply(self, episode: Episode, rng: Generator) -> Episode:
        factor = np.exp(rng.normal(-(self.sigma**2) / 2, self.sigma, episode.cost_usd.shape))
        return replace(episode, cost_usd=episode.cost_usd * factor)


@dataclass(frozen=True, kw_only=True)
class Season:
    """Traffic comes in waves: each task's share swings by ``strength`` over ``cycles``, tasks out of step.

    Reorders the rounds, so declare it before what is tied to a time.
    """

    cycles: float = 4.0
    strength: float = 0.9

    def __post_init__(self) -> None:
        _fractions(self, "strength")

    def apply(self, episode: Episode, rng: Generator) -> Episode:
        if episode.changes or episode.outages:
            raise BadInput("Season reorders the rounds: declare it before PriceChange, Outage and NewArm")
        names = [context.task for context in episode.contexts]
        kinds, task = np.unique(names, return_inverse=True)
        phase = 2 * np.pi * task / len(kinds)
        when = rng.random(len(names))
        open_ = np.arange(len(names))
        while len(open_):  # rejection: the density of a task's times is 1 + strength sin(...)
            density = 1.0 + self.strength * np.sin(2 * np.pi * self.cycles * when[open_] + phase[open_])
            open_ = open_[rng.random(len(open_)) * (1.0 + self.strength) > density]
            when[open_] = rng.random(len(open_))
        order = np.argsort(when, kind="stable")
        return replace(
            episode,
            contexts=[episode.contexts[i] for i in order],
            score=episode.score[order],
            judged=episode.judged[order],
            cost_usd=episode.cost_usd[order],
            delay=episode.delay[order],
        )


NUISANCES: Mapping[str, type[Nuisance]] = {
    "drift": Drift,
    "price_change": PriceChange,
    "outage": Outage,
    "new_arm": NewArm,
    "judge": Judge,
    "heavy_tail": HeavyTail,
    "season": Season,
}


@dataclass(frozen=True, kw_only=True)
class TroubledWorld:
    """A world with nuisances, each with luck of its own drawn from the episode's seed."""

    world: World
    nuisances: tuple[Nuisance, ...]
    name: str

    def episode(self, seed: int) -> Episode:
        episode = replace(self.world.episode(seed), name=self.name)
        for place, nuisance in enumerate(self.nuisances):
            episode = nuisance.apply(episode, np.random.default_rng((seed, 7919, place)))
        return episode


def column(episode: Episode, arm: str) -> int:
    """The column of an arm by name, or of the best.

    Raises:
        BadInput: if there is no such arm.
    """
    if arm == "best" and arm not in episode.arms:
        return int(episode.score.mean(axis=0).argmax())
    if arm not in episode.arms:
        raise BadInput(unknown("arm", arm, episode.arms))
    return episode.arms.index(arm)


def _round(episode: Episode, fraction: float) -> int:
    return min(int(fraction * len(episode)), len(episode) - 1)


def _and(changes: Mapping[int, Sequence[PoolChange]], at: int, change: PoolChange) -> dict[int, Sequence[PoolChange]]:
    return {**changes, at: (*changes.get(at, ()), change)}


def _fractions(record: object, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
            raise BadInput(f"{type(record).__name__}.{name} must be between 0 and 1, got {value!r}")
