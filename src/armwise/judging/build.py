"""From a configuration to a bench of judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from armwise.config.judging import JudgeSettings, JudgingSettings
from armwise.contracts import Model
from armwise.judging.anchors import load_anchors
from armwise.judging.asking import Asking
from armwise.judging.bench import Bench, Desk, Seat
from armwise.judging.case import Judge
from armwise.judging.checks import CodeCheck, ExactCheck, NumericCheck, PatternCheck, SchemaCheck
from armwise.judging.pairwise import PairwiseJudge
from armwise.judging.pointwise import RUBRIC, PointwiseJudge
from armwise.judging.sampling import JudgeSampler
from armwise.judging.sandbox import Limits
from armwise.providers.client import ProviderClient


class CountingDesk(Desk, Protocol):
    """A router, as far as it is needed here."""

    @property
    def decisions(self) -> int: ...


def bench_of(settings: JudgingSettings, keys: Mapping[str, str]) -> Callable[[CountingDesk], Bench] | None:
    """What makes the bench for a router; None where no judge is asked for."""
    return partial(_bench, settings, keys) if settings.judges else None


def _bench(settings: JudgingSettings, keys: Mapping[str, str], desk: CountingDesk) -> Bench:
    client = ProviderClient((), keys=keys)
    seats = [_seat(judge, client, desk.decisions) for judge in settings.judges]
    return Bench(
        seats,
        desk,
        queue=settings.queue,
        workers=settings.workers,
        timeout_s=settings.timeout_s,
        close=client.aclose,
    )


def _seat(settings: JudgeSettings, client: ProviderClient, decisions: int) -> Seat:
    model = None if settings.model is None else settings.model.record()
    sampler = JudgeSampler(
        settings.rate,
        focus=settings.focus,
        floor=settings.floor,
        ahead=settings.ahead,
        horizon=settings.horizon,
        decisions=decisions,
    )
    return Seat(
        name=settings.name,
        judge=_judge(settings, client, model),
        sampler=sampler,
        kind=settings.signal,
        model=model,
        anchors=load_anchors(settings.anchors) if settings.anchors else (),
        anchor_every=settings.anchor_every,
        correct_length=settings.correct_length,
    )


def _judge(settings: JudgeSettings, client: ProviderClient, model: Model | None) -> Judge:
    if model is not None:
        asking, rubric = Asking(client, model), settings.rubric or RUBRIC
        if settings.kind == "pairwise":
            return PairwiseJudge(asking, rubric=rubric)
        low, high = settings.scale
        return PointwiseJudge(asking, rubric=rubric, low=low, high=high, with_reference=settings.kind == "reference")
    if settings.kind == "pattern":
        return PatternCheck(settings.pattern or "")
    if settings.kind == "schema":
        return SchemaCheck(settings.json_schema)
    if settings.kind == "numeric":
        return NumericCheck(relative=settings.relative_tolerance, absolute=settings.absolute_tolerance)
    if settings.kind == "code":
        limits = Limits(
            wall_s=settings.sandbox.wall_s, cpu_s=settings.sandbox.cpu_s, memory_mb=settings.sandbox.memory_mb
        )
        return CodeCheck(settings.tests, limits=limits, isolated=settings.isolated)
    return ExactCheck(lenient=settings.lenient)
