"""The simulated runs of benchmarks/rewards.py: real outcomes, simulated signals, one seed each."""

from __future__ import annotations

import functools
import heapq
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from armwise.contracts import Arm, Decision, Event, PoolChange, Request, Signal, SourceChange, Trade
from armwise.decider import Decider
from armwise.judging import DriftGuard, Finding, JudgeSampler, Phase, drawn
from armwise.learning import OnlineLearner
from armwise.log import DuckDBLog
from armwise.pacing import ConstantTrade
from armwise.policies import make_policy
from armwise.rewards import KINDS, RULES, Opinion, RewardRules, SourceModel, Standing, fuse
from armwise.simulation import OutcomeTable

DATA = Path(os.environ.get("ARMWISE_DATA", Path(__file__).parents[2] / "shared" / "data"))
TABLES = {
    "mmlu_pro": ("mmlu_pro.parquet", None),
    "routerbench": ("routerbench_subset.parquet", None),
}
DAY_S = 86_400.0
GAP_S = 20.0
"""Seconds between two requests."""


@functools.cache
def table(name: str, limit: int | None) -> OutcomeTable:
    """A table of real outcomes."""
    file, dataset = TABLES[name]
    if not (DATA / file).exists():
        sys.exit(f"no {DATA / file}; set ARMWISE_DATA to the folder of outcome tables")
    return OutcomeTable.read_parquet(DATA / file, dataset=dataset, limit=limit)


@dataclass
class Service:
    """A decider that learns, with the log's order of events and a clock of its own."""

    rows: OutcomeTable
    seed: int
    rules: RewardRules = RULES
    explored: float = 1.0
    events: list[Event] | None = None
    learner: OnlineLearner = field(init=False)
    made: int = 0
    position: int = 0

    def __post_init__(self) -> None:
        decider = Decider(
            policy=make_policy("thompson", self.rows.dimension, explored=self.explored),
            pacer=ConstantTrade(Trade(0.0, 0.0, 1e-3)),
            dimension=self.rows.dimension,
            policy_version="thompson",
            feature_version=self.rows.feature_version,
        )
        self.learner = OnlineLearner(decider, recall=lambda *_: None, memory=1_000_000, rules=self.rules)
        for model in self.rows.models:
            self.tell(PoolChange(action="add", arm=Arm.of(model)))

    def tell(self, event: Event) -> None:
        """Log an event and learn from it."""
        self.position += 1
        if self.events is not None:
            self.events.append(event)
        self.learner.apply(event, self.position)
        for change in self.learner.proposals():
            self.tell(change)

    def decide(self, row: int, at: float) -> tuple[Decision, int]:
        """A decision on a row of the table, and the column of its arm."""
        self.made += 1
        seed = (self.seed * 0x2545F4914F6CDD1D + self.made * 0x9E3779B97F4A7C15) & ((1 << 64) - 1)
        context = self.rows.contexts[row]
        decision = self.learner.decider.decide(Request(), context, id=f"{self.made}", at=at, seed=seed)
        self.tell(decision)
        return decision, self.rows.arms.index(decision.arm)

    def signal(self, decision: Decision, kind: str, value: float, at: float, **more: Any) -> None:
        self.tell(Signal(decision_id=decision.id, kind=kind, value=value, at=at, **{"event_id": kind, **more}))

    def quality(self, rows: Sequence[int]) -> float:
        """Mean true score of what the policy would do now on these rows, in points."""
        policy, slots = self.learner.decider.policy, np.arange(len(self.rows.arms))
        nothing = np.zeros(len(slots))
        total = 0.0
        for row in rows:
            choice = policy.choose(self.rows.contexts[row].vector, slots, nothing, seed=row)
            total += float(choice.probabilities @ self.rows.score[row])
        return 100.0 * total / len(rows)


def split(rows: OutcomeTable, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the traffic, in its order, and those held out: a quarter."""
    order = np.random.default_rng([seed, 1]).permutation(len(rows))
    held = len(rows) // 4
    return order[held:], order[:held]


# ---------------------------------------------------------------------------------------------- the ledger


class Due:
    """Calls that are to be made later, in the order of their times."""

    def __init__(self) -> None:
        self._times: list[tuple[float, int]] = []
        self._calls: list[Callable[[], object]] = []

    def post(self, at: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._times, (at, len(self._calls)))
        self._calls.append(call)

    def send(self, now: float) -> None:
        """Make those whose time has come."""
        while self._times and self._times[0][0] <= now:
            self._calls[heapq.heappop(self._times)[1]]()


def messy(rows: OutcomeTable, seed: int, *, clean: bool) -> dict[str, float]:
    """Final quality, and whether the totals of the log are those of the signals that stand."""
    rng = np.random.default_rng([seed, 2])
    events: list[Event] = []
    service = Service(rows, seed, events=events)
    traffic, held = split(rows, seed)
    due = Due()
    truth: dict[str, float] = {}
    bills: dict[str, float] = {}
    for i, row in enumerate(traffic.tolist()):
        now = GAP_S * i
        due.send(now)
        decision, arm = service.decide(row, now)
        cost, quality = float(rows.cost_usd[row, arm]), float(rows.score[row, arm])
        service.signal(decision, "cost_usd", cost, now)
        bills[decision.id] = cost
        if clean:
            service.signal(decision, "quality", quality, now)
            continue
        if rng.random() < 0.30:
            continue
        later = now + (rng.uniform(0.0, DAY_S) if rng.random() < 0.20 else 0.0)
        retracted = rng.random() < 0.05
        value = 1.0 - quality if retracted else quality
        send = functools.partial(service.signal, decision, "quality", value)
        sends = [later]
        if rng.random() < 0.05:
            sends.append(later + rng.uniform(0.0, 3_600.0))
        for at in sends:
            due.post(at, functools.partial(send, at))
        if retracted:
            at = later + rng.uniform(0.0, 3_600.0)
            take_back = functools.partial(
                service.signal, decision, "retraction", 1.0, at, event_id="take back", retracts="quality"
            )
            due.post(at, take_back)
        else:
            truth[decision.id] = quality
    due.send(math.inf)
    expected = {
        "decisions": float(len(traffic)),
        "rewarded": float(len(truth)),
        "quality": math.fsum(truth.values()),
        "cost_usd": math.fsum(bills.values()),
    }
    found = {"final": service.quality(held.tolist())}
    if not clean:
        with tempfile.TemporaryDirectory() as directory:
            there = totals(events, Path(directory))
        found["exact"] = float(
            all(there[key] == expected[key] for key in ("decisions", "rewarded", "quality"))
            and math.isclose(there["cost_usd"], expected["cost_usd"], rel_tol=1e-12)
        )
    return found


def totals(events: Sequence[Event], directory: Path) -> dict[str, float]:
    """The same totals by SQL, from a log on disk."""
    with DuckDBLog(directory / "log.duckdb", bound=len(events) + 10) as log:
        for event in events:
            log.append(event)
        log.flush()
        [row] = log.query(
            "SELECT count(*)::DOUBLE AS decisions, count(quality)::DOUBLE AS rewarded, fsum(quality) AS quality, "
            "fsum(cost_usd) AS cost_usd FROM rewarded"
        ).to_pylist()
        return dict(row)


# ---------------------------------------------------------------------------------------------- drift

JUDGED = 0.3
ANCHORS = 50
ANCHOR_EVERY = 5


def grade(truth: float, shift: float, rng: np.random.Generator) -> float:
    """What the simulated judge gives: compressed, noisy, and shifted."""
    return float(np.clip(0.15 + 0.6 * truth + shift + 0.15 * rng.normal(), 0.0, 1.0))


@dataclass(frozen=True)
class Drift:
    """What becomes of the judge half-way."""

    shift: float = 0.0
    """How much more lenient it becomes,"""
    family: str = ""
    """to arms whose names begin so, which half of the anchors are answers of; to all where there is no name."""

    def of_arms(self, names: Sequence[str]) -> np.ndarray:
        return np.array([self.shift * name.startswith(self.family) for name in names])

    def of_anchors(self) -> np.ndarray:
        return self.shift * (np.arange(ANCHORS) % 2 if self.family else np.ones(ANCHORS))


def watched(rows: OutcomeTable, seed: int, *, drift: Drift, guarded: bool) -> dict[str, float]:
    """Final and mean quality, judged requests from the shift to the alarm (-1: none), false alarms, judged requests."""
    rng, draws = np.random.default_rng([seed, 3]), np.random.default_rng([seed, 4])
    traffic, held = split(rows, seed)
    service, guard = Service(rows, seed), DriftGuard(ANCHORS)
    truths = np.random.default_rng([seed, 5]).random(ANCHORS)
    arms, anchors = drift.of_arms(rows.arms), drift.of_anchors()
    judged = since = false_alarms = uneven = 0
    found, earned = -1, 0.0
    for i, row in enumerate(traffic.tolist()):
        now, late = GAP_S * i, i >= len(traffic) // 2
        decision, arm = service.decide(row, now)
        earned += float(rows.score[row, arm])
        service.signal(decision, "cost_usd", float(rows.cost_usd[row, arm]), now)
        if draws.random() >= JUDGED:
            continue
        judged += 1
        since += late
        score = grade(float(rows.score[row, arm]), late * float(arms[arm]), rng)
        service.signal(decision, "judge_score", score, now, source="judge:a")
        in_turn = guard.phase is Phase.WATCHING or guard.uneven
        turns = int(judged % ANCHOR_EVERY == 0) if in_turn else 4
        for _ in range(turns if guarded else 0):
            place = guard.next_anchor
            graded = grade(truths[place], late * float(anchors[place]), rng)
            finding = guard.graded(place, graded, float(truths[place]))
            if finding is None:
                continue
            service.tell(standing_after(finding, service, math.nextafter(now, math.inf)))
            uneven += finding.uneven
            if finding.alarm and not (late and drift.shift):
                false_alarms += 1
            elif finding.alarm and found < 0:
                found = since
            break
    return {
        "final": service.quality(held.tolist()),
        "over_the_run": 100.0 * earned / len(traffic),
        "delay": found,
        "false_alarms": false_alarms,
        "uneven": uneven,
        "judged": judged,
    }


def standing_after(finding: Finding, service: Service, at: float) -> SourceChange:
    """What the bench says on the log of a finding."""
    if finding.alarm or finding.uneven:
        before = service.learner.standing.latest().get("judge:a", SourceChange(source="judge:a"))
        return SourceChange(
            source="judge:a",
            offset=before.offset,
            slope=before.slope,
            noise=before.noise,
            training=False,
            at=at,
            reason="drift",
        )
    return SourceChange(
        source="judge:a", offset=finding.offset, slope=finding.slope, noise=finding.noise, at=at, reason="anchors"
    )


def steady(anchors: int, seed: int) -> dict[str, float]:
    """Alarms in so many grades of the anchors of a steady judge."""
    rng, guard, alarms = np.random.default_rng([seed, 6]), DriftGuard(ANCHORS), 0
    truths = rng.random(ANCHORS)
    for _ in range(anchors):
        place = guard.next_anchor
        finding = guard.graded(place, grade(truths[place], 0.0, rng), float(truths[place]))
        alarms += finding is not None and finding.alarm
    return {"alarms": alarms, "anchors": anchors}


# ---------------------------------------------------------------------------------------------- sampling


@dataclass(frozen=True)
class Sampling:
    """Which answers are judged, and how many of the decisions explore."""

    sampler: Callable[[int], JudgeSampler]
    explored: float = 1.0


def sampled(rows: OutcomeTable, seed: int, sampling: Sampling) -> dict[str, float]:
    """Final quality, quality over the run, and the share judged."""
    rng = np.random.default_rng([seed, 7])
    traffic, held = split(rows, seed)
    service, chooser = Service(rows, seed, explored=sampling.explored), sampling.sampler(len(traffic))
    earned, judged = 0.0, 0
    for i, row in enumerate(traffic.tolist()):
        now = GAP_S * i
        decision, arm = service.decide(row, now)
        earned += float(rows.score[row, arm])
        service.signal(decision, "cost_usd", float(rows.cost_usd[row, arm]), now)
        if drawn(decision, "judge:a", chooser.probability(decision)):
            judged += 1
            score = grade(float(rows.score[row, arm]), 0.0, rng)
            service.signal(decision, "judge_score", score, now, source="judge:a")
    return {
        "final": service.quality(held.tolist()),
        "over_the_run": 100.0 * earned / len(traffic),
        "judged": judged / len(traffic),
    }


# ---------------------------------------------------------------------------------------------- fusion


def alpaca() -> tuple[np.ndarray, np.ndarray]:
    """Judgements of both judges on the same prompts and models: two arrays of shape (prompts, models), NaN: missing."""
    import pyarrow.parquet as pq

    path = DATA / "alpaca_eval.parquet"
    if not path.exists():
        sys.exit(f"no {path}; set ARMWISE_DATA to the folder of outcome tables")
    long = pq.read_table(path, columns=["dataset", "prompt_id", "model", "score"]).to_pandas()
    both = [
        long[long["dataset"] == f"alpaca_eval_v{version}"].pivot(index="prompt_id", columns="model", values="score")
        for version in (1, 2)
    ]
    models = sorted((set(both[0].columns) & set(both[1].columns)) - {"gpt4_1106_preview"})  # v2's own reference
    prompts = both[0].index.intersection(both[1].index)
    first, second = (one.loc[prompts, models].to_numpy(dtype=float) for one in both)
    return first, second


def explained(estimate: np.ndarray, held: np.ndarray) -> float:
    """Share of the variance between held-out judgements that one number per model explains, at its best affine scale.

    The scale is that of the target judge, which no other judge could know; all predictors are given it alike.
    """
    x = np.broadcast_to(estimate, held.shape)[np.isfinite(held)]
    y = held[np.isfinite(held)]
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def predicted(shown: int, seed: int) -> dict[str, float]:
    """What of held-out judgements is explained from so many prompts shown: by either judge alone, and by both fused.

    ``fused at WEIGHT`` is the best that any fixed weight of the first judge's mean could have done: a ceiling.
    """
    first, second = alpaca()
    declared = KINDS["judge_score"].variance
    order = np.random.default_rng([seed, 8]).permutation(len(first))
    seen, held = order[:shown], order[len(order) // 2 :]
    one, other = np.nanmean(first[seen], axis=0), np.nanmean(second[seen], axis=0)
    half = seen[: shown // 2]
    estimates = {
        "v1 alone": one,
        "v2 alone": other,
        "fused": fused(first[seen], second[seen], declared),
        "fused, half the prompts": fused(first[half], second[half], declared),
        **{f"at weight {w:.1f}": w * one + (1.0 - w) * other for w in WEIGHTS},
    }
    return {
        f"{name}, {judge}": 100.0 * explained(estimate, target[held])
        for name, estimate in estimates.items()
        for judge, target in (("v1", first), ("v2", second))
    }


WEIGHTS = tuple(np.round(np.arange(0.1, 1.0, 0.1), 1).tolist())


def fused(first: np.ndarray, second: np.ndarray, declared: float) -> np.ndarray:
    """Mean quality per model, by the fold that the learner does: weigh the sources, then fuse decision by decision."""
    model, standing, at = SourceModel(), Standing(), 0.0
    out: list[list[float]] = [[] for _ in range(first.shape[1])]
    raw = [
        (m, [Opinion(s, v, declared, 1.0, v, declared) for s, v in (("judge:v1", a), ("judge:v2", b)) if v == v])
        for one, other in zip(first.tolist(), second.tolist(), strict=True)
        for m, (a, b) in enumerate(zip(one, other, strict=True))
    ]
    for m, said in raw:
        at += 1.0
        model.learn(said, [], arm=f"{m}")
    for proposed in model.propose(standing, at):
        standing.add(proposed)
    for m, said in raw:
        read = []
        for one in said:
            change = standing.at(one.source, at)
            if change is None:
                read.append(one)
            else:
                noise = declared if change.noise is None else change.noise**2
                read.append(one._replace(quality=change.slope * one.quality + change.offset, variance=noise))
        quality, _ = fuse(read)
        if quality is not None:
            out[m].append(quality)
    return np.array([np.mean(values) for values in out])


# ---------------------------------------------------------------------------------------------- poison


def poisoned(rows: OutcomeTable, seed: int, *, poison: bool, limited: bool) -> dict[str, float]:
    """Final quality where forty clients press thumbs, and perhaps one of them lies as often as it can."""
    rng = np.random.default_rng([seed, 9])
    traffic, held = split(rows, seed)
    service = Service(rows, seed, rules=RewardRules(max_client_share=0.1 if limited else 1.0))
    worst = int(rows.score.mean(axis=0).argmin())
    for i, row in enumerate(traffic.tolist()):
        now = GAP_S * i
        decision, arm = service.decide(row, now)
        if rng.random() < 0.3:
            kind = "thumbs_up" if rng.random() < 0.1 + 0.8 * rows.score[row, arm] else "thumbs_down"
            service.signal(decision, kind, 1.0, now, source=f"user:{rng.integers(40)}")
        if poison and rng.random() < 0.5:
            kind = "thumbs_up" if arm == worst else "thumbs_down"
            service.signal(decision, kind, 1.0, now, source="user:mallory")
    return {"final": service.quality(held.tolist())}
