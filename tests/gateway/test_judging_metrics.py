"""Judges and sources of feedback in the metrics."""

from __future__ import annotations

from armwise.contracts import Request, SourceChange
from armwise.gateway.metrics import judged
from armwise.judging import Bench, JudgeSampler, Seat
from armwise.judging.checks import FunctionJudge
from armwise.router import Router
from helpers import models


def readings(router: Router) -> dict[tuple[str, str], float]:
    samples = [sample for metric in judged(router) for sample in metric.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}  # type: ignore[misc]


def test_what_judges_did_and_which_sources_may_train_can_be_seen() -> None:
    seat = Seat(name="f", judge=FunctionJudge(lambda case: 0.5), sampler=JudgeSampler(1.0))
    with Router(models(), log=":memory:", judging=lambda desk: Bench([seat], desk)) as router:
        request = Request.from_text("hi")
        router.judge(router.decide(request), request, "hello")
        assert router.judging is not None
        assert router.judging.drain(10)
        router.change_source(SourceChange(source="judge:f", training=False, reason="drift"))
        router.change_source(SourceChange(source="user:4711", weight=0.5, reason="influence"))
        seen = readings(router)
        assert seen["armwise_judging", "judged"] == 1.0
        assert seen["armwise_judging", "f.suspended"] == 0.0
        assert seen["armwise_source_training", "judge:f"] == 0.0
        assert ("armwise_source_training", "user:4711") not in seen


def test_without_judges_there_is_nothing_of_them() -> None:
    with Router(models(), log=":memory:") as router:
        assert readings(router) == {}
