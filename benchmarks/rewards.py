"""Does what is learned survive what happens to rewards? Real outcome tables, simulated signals, one seed per run.

    python benchmarks/rewards.py [ledger drift false_alarms sampling fusion poison] [--seeds 20] [--json]

ledger        30% of the rewards never come, 20% come up to a day late, 5% come twice, 5% were wrong and are retracted.
              Quality of the final policy on held-out prompts against the one trained on clean rewards; and whether
              the totals of the log are exactly those of the signals that stand.
drift         A judge becomes 0.15 more lenient half-way. When is it found, and what does it cost? Beside the run
              without drift, and the run with drift and no guard.
false_alarms  A steady judge, watched for long.
sampling      10% of the traffic judged where the policy is unsure, 10% and 30% judged uniformly; and every answer.
fusion        alpaca_eval's two judges: held-out judgements of both, predicted from one judge alone and from both fused.
poison        One of forty-one clients praises the worst arm and damns all others, on every other request.

Tables: ARMWISE_DATA, by default ../shared/data. Quality is in points, hundredths of the true score; brackets are 95%
intervals over seeds (normal), of paired differences where a difference is shown.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
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
from armwise.judging import DriftGuard, JudgeSampler, Phase, drawn
from armwise.learning import OnlineLearner
from armwise.log import DuckDBLog
from armwise.pacing import ConstantTrade
from armwise.policies import make_policy
from armwise.rewards import KINDS, Opinion, SourceModel, Standing, fuse
from armwise.simulation import OutcomeTable

DATA = Path(os.environ.get("ARMWISE_DATA", Path(__file__).parents[2] / "shared" / "data"))
TABLES = {
    "mmlu_pro": ("mmlu_pro.parquet", None),
    "routerbench": ("routerbench_subset.parquet", None),
    "mmlu": ("routellm.parquet", "routellm_mmlu"),
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
    policy: str = "thompson"
    events: list[Event] | None = None
    learner: OnlineLearner = field(init=False)
    made: int = 0
    position: int = 0

    def __post_init__(self) -> None:
        decider = Decider(
            policy=make_policy(dimension=self.rows.dimension, name=self.policy),
            pacer=ConstantTrade(Trade(0.0, 0.0, 1e-3)),
            dimension=self.rows.dimension,
            policy_version=self.policy,
            feature_version=self.rows.feature_version,
        )
        self.learner = OnlineLearner(decider, recall=lambda *_: None, memory=1_000_000)
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


# ---------------------------------------------------------------------------------------------- a: the ledger


def messy(rows: OutcomeTable, seed: int, *, clean: bool) -> tuple[float, dict[str, float], list[Event]]:
    """Final quality, what the ledger should hold, and the events."""
    rng = np.random.default_rng([seed, 2])
    events: list[Event] = []
    service = Service(rows, seed, events=events)
    traffic, held = split(rows, seed)
    due: list[tuple[float, int, Callable[[], None]]] = []
    truth: dict[str, float] = {}
    bills: dict[str, float] = {}
    for i, row in enumerate(traffic.tolist()):
        now = GAP_S * i
        while due and due[0][0] <= now:
            heapq.heappop(due)[2]()
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
            heapq.heappush(due, (at, len(events) * 4 + len(due), functools.partial(send, at)))
        if retracted:
            at = later + rng.uniform(0.0, 3_600.0)
            take_back = functools.partial(
                service.signal, decision, "retraction", 1.0, at, event_id="take back", retracts="quality"
            )
            heapq.heappush(due, (at, len(events) * 4 + len(due), take_back))
        else:
            truth[decision.id] = quality
    while due:
        heapq.heappop(due)[2]()
    expected = {
        "decisions": float(len(traffic)),
        "rewarded": float(len(truth)),
        "quality": math.fsum(truth.values()),
        "cost_usd": math.fsum(bills.values()),
    }
    return service.quality(held.tolist()), expected, events


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


def ledger(seeds: int, limit: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("mmlu_pro", "routerbench"):
        rows = table(name, limit)
        clean, dirty, exact = [], [], True
        for seed in range(seeds):
            clean.append(messy(rows, seed, clean=True)[0])
            quality, expected, events = messy(rows, seed, clean=False)
            dirty.append(quality)
            with tempfile.TemporaryDirectory() as directory:
                held = totals(events, Path(directory))
            exact = exact and all(
                held[key] == expected[key]
                if key != "cost_usd"
                else math.isclose(held[key], expected[key], rel_tol=1e-12)
                for key in expected
            )
        found[name] = {
            "clean": interval(clean),
            "messy": interval(dirty),
            "difference": interval(np.subtract(dirty, clean)),
            "totals_exact": exact,
        }
    return found


# ---------------------------------------------------------------------------------------------- b: drift

JUDGED = 0.3
ANCHORS = 50
ANCHOR_EVERY = 5


def grade(truth: float, shift: float, rng: np.random.Generator) -> float:
    """What the simulated judge gives: compressed, noisy, and shifted."""
    return float(np.clip(0.15 + 0.6 * truth + shift + 0.15 * rng.normal(), 0.0, 1.0))


def judged_run(
    rows: OutcomeTable, seed: int, *, shift: float, guarded: bool
) -> tuple[float, float, int | None, int, int]:
    """Final and mean quality, judged requests from the shift to the alarm, false alarms, and judged requests."""
    rng, draws = np.random.default_rng([seed, 3]), np.random.default_rng([seed, 4])
    traffic, held = split(rows, seed)
    service = Service(rows, seed)
    guard = DriftGuard(ANCHORS)
    truths = np.random.default_rng([seed, 5]).random(ANCHORS)
    judged = since = false_alarms = 0
    found: int | None = None
    earned = 0.0
    for i, row in enumerate(traffic.tolist()):
        now, moved = GAP_S * i, shift if i >= len(traffic) // 2 else 0.0
        decision, arm = service.decide(row, now)
        earned += float(rows.score[row, arm])
        service.signal(decision, "cost_usd", float(rows.cost_usd[row, arm]), now)
        if draws.random() >= JUDGED:
            continue
        judged += 1
        since += i >= len(traffic) // 2
        service.signal(decision, "judge_score", grade(float(rows.score[row, arm]), moved, rng), now, source="judge:a")
        turns = int(judged % ANCHOR_EVERY == 0) if guard.phase is Phase.WATCHING else 4
        for _ in range(turns if guarded else 0):
            place = guard.next_anchor
            finding = guard.graded(place, grade(truths[place], moved, rng), float(truths[place]))
            if finding is None:
                continue
            before = service.learner.standing.latest().get("judge:a", SourceChange(source="judge:a"))
            at = math.nextafter(now, math.inf)
            if finding.alarm:
                if i < len(traffic) // 2 or not shift:
                    false_alarms += 1
                elif found is None:
                    found = since
                service.tell(
                    SourceChange(
                        source="judge:a",
                        offset=before.offset,
                        noise=before.noise,
                        training=False,
                        at=at,
                        reason="drift",
                    )
                )
            else:
                service.tell(
                    SourceChange(source="judge:a", offset=-finding.shift, noise=finding.noise, at=at, reason="anchors")
                )
            break
    return service.quality(held.tolist()), 100.0 * earned / len(traffic), found, false_alarms, judged


def drift(seeds: int, limit: int | None) -> dict[str, Any]:
    rows = table("mmlu_pro", limit)
    steady = [judged_run(rows, seed, shift=0.0, guarded=True) for seed in range(seeds)]
    guarded = [judged_run(rows, seed, shift=0.15, guarded=True) for seed in range(seeds)]
    alone = [judged_run(rows, seed, shift=0.15, guarded=False) for seed in range(seeds)]
    delays = [math.inf if run[2] is None else float(run[2]) for run in guarded]
    return {
        "judged_per_run": float(np.mean([run[4] for run in guarded])),
        "found_within_500": float(np.mean([delay <= 500 for delay in delays])),
        "delay_median": float(np.median(delays)),
        "delay_worst": float(np.max(delays)),
        "false_alarms_in_these_runs": sum(run[3] for run in (*steady, *guarded)),
        "no_drift": interval([run[0] for run in steady]),
        "drift_guarded_minus_no_drift": interval([g[0] - s[0] for g, s in zip(guarded, steady, strict=True)]),
        "drift_unguarded_minus_no_drift": interval([a[0] - s[0] for a, s in zip(alone, steady, strict=True)]),
        "over_the_run_guarded_minus_no_drift": interval([g[1] - s[1] for g, s in zip(guarded, steady, strict=True)]),
        "over_the_run_unguarded_minus_no_drift": interval([a[1] - s[1] for a, s in zip(alone, steady, strict=True)]),
    }


def false_alarms(seeds: int, limit: int | None) -> dict[str, Any]:
    """Anchors of a steady judge; at this rate of judging each stands for many requests."""
    anchors = 20_000 if limit is None else limit
    alarms = 0
    for seed in range(seeds):
        rng, guard = np.random.default_rng([seed, 6]), DriftGuard(ANCHORS)
        truths = rng.random(ANCHORS)
        for _ in range(anchors):
            place = guard.next_anchor
            finding = guard.graded(place, grade(truths[place], 0.0, rng), float(truths[place]))
            alarms += finding is not None and finding.alarm
    requests = seeds * anchors * ANCHOR_EVERY / JUDGED
    judged = seeds * anchors * ANCHOR_EVERY
    from scipy.stats import chi2

    most = float(chi2.ppf(0.95, 2 * (alarms + 1)) / 2)
    return {
        "alarms": alarms,
        "requests": requests,
        "judged": judged,
        "per_100000_requests": 1e5 * alarms / requests,
        "per_100000_requests_at_most_95": 1e5 * most / requests,
        "per_100000_judged_at_most_95": 1e5 * most / judged,
    }


# ---------------------------------------------------------------------------------------------- c: sampling


def sampled_run(rows: OutcomeTable, seed: int, sampler: Callable[[int], JudgeSampler]) -> tuple[float, float, float]:
    """Final quality, quality over the run, and the share judged."""
    rng = np.random.default_rng([seed, 7])
    traffic, held = split(rows, seed)
    service, chooser = Service(rows, seed), sampler(len(traffic))
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
    return service.quality(held.tolist()), 100.0 * earned / len(traffic), judged / len(traffic)


SAMPLERS: dict[str, Callable[[int], JudgeSampler]] = {
    "10% by uncertainty": lambda rounds: JudgeSampler(0.1, horizon=rounds),
    "10% uniform": lambda rounds: JudgeSampler(0.1, floor=1.0, ahead=0.0),
    "30% uniform": lambda rounds: JudgeSampler(0.3, floor=1.0, ahead=0.0),
    "all": lambda rounds: JudgeSampler(1.0),
}


def sampling(seeds: int, limit: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("mmlu_pro", "routerbench"):
        rows = table(name, limit)
        runs = {label: [sampled_run(rows, seed, make) for seed in range(seeds)] for label, make in SAMPLERS.items()}
        base = runs["30% uniform"]
        found[name] = {
            label: {
                "final": interval([run[0] for run in some]),
                "final_minus_30_uniform": interval([r[0] - b[0] for r, b in zip(some, base, strict=True)]),
                "over_the_run_minus_30_uniform": interval([r[1] - b[1] for r, b in zip(some, base, strict=True)]),
                "share_judged": float(np.mean([run[2] for run in some])),
            }
            for label, some in runs.items()
        }
    return found


# ---------------------------------------------------------------------------------------------- d: fusion


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


def fusion(seeds: int, limit: int | None) -> dict[str, Any]:
    first, second = alpaca()
    declared = KINDS["judge_score"].variance
    found: dict[str, Any] = {}
    for shown in (10, 20, 50):
        rows: dict[str, list[tuple[float, float]]] = {name: [] for name in ("v1 alone", "v2 alone", "fused")}
        rows["fused, half the prompts"] = []
        for seed in range(seeds):
            order = np.random.default_rng([seed, 8]).permutation(len(first))
            seen, held = order[:shown], order[len(order) // 2 :]
            targets = first[held], second[held]
            estimates = {
                "v1 alone": np.nanmean(first[seen], axis=0),
                "v2 alone": np.nanmean(second[seen], axis=0),
                "fused": fused(first[seen], second[seen], declared),
                "fused, half the prompts": fused(first[seen[: shown // 2]], second[seen[: shown // 2]], declared),
            }
            for name, estimate in estimates.items():
                rows[name].append((explained(estimate, targets[0]), explained(estimate, targets[1])))
        found[f"{shown} prompts"] = {
            name: {
                "r2_v1": interval([100 * a for a, _ in some]),
                "r2_v2": interval([100 * b for _, b in some]),
                "r2_mean": interval([50 * (a + b) for a, b in some]),
            }
            for name, some in rows.items()
        }
        paired = list(zip(rows["fused"], rows["v1 alone"], rows["v2 alone"], strict=True))
        found[f"{shown} prompts"]["fused minus the other judge alone"] = {
            "r2_v1": interval([100 * (both[0] - other[0]) for both, _, other in paired]),
            "r2_v2": interval([100 * (both[1] - other[1]) for both, other, _ in paired]),
        }
        found[f"{shown} prompts"]["fused minus one alone, mean of both targets"] = {
            "v1": interval([50 * (sum(both) - sum(one)) for both, one, _ in paired]),
            "v2": interval([50 * (sum(both) - sum(one)) for both, _, one in paired]),
        }
    return found


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
    for change in model.propose(standing, at):
        standing.add(change)
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


def poisoned_run(rows: OutcomeTable, seed: int, *, poison: bool, limited: bool) -> float:
    """Final quality where forty clients press thumbs, and perhaps one of them lies as often as it can."""
    from armwise.rewards import RewardRules

    rng = np.random.default_rng([seed, 9])
    traffic, held = split(rows, seed)
    service = Service(rows, seed)
    rules = RewardRules(max_client_share=0.1 if limited else 1.0)
    service.learner = OnlineLearner(service.learner.decider, recall=lambda *_: None, memory=1_000_000, rules=rules)
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
    return service.quality(held.tolist())


def poison(seeds: int, limit: int | None) -> dict[str, Any]:
    rows = table("routerbench", limit)
    honest = [poisoned_run(rows, seed, poison=False, limited=True) for seed in range(seeds)]
    limited = [poisoned_run(rows, seed, poison=True, limited=True) for seed in range(seeds)]
    free = [poisoned_run(rows, seed, poison=True, limited=False) for seed in range(seeds)]
    return {
        "honest": interval(honest),
        "poisoned_minus_honest": interval(np.subtract(limited, honest)),
        "poisoned_without_limit_minus_honest": interval(np.subtract(free, honest)),
    }


# ---------------------------------------------------------------------------------------------- printing


def interval(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Mean with its 95% interval over seeds."""
    array = np.asarray(values, dtype=float)
    reach = 1.96 * array.std(ddof=1) / math.sqrt(len(array)) if len(array) > 1 else math.nan
    return {"mean": float(array.mean()), "low": float(array.mean() - reach), "high": float(array.mean() + reach)}


def shown(value: Any, indent: str = "  ") -> str:
    """Nested figures as lines of text."""
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and set(item) == {"mean", "low", "high"}:
            lines.append(f"{indent}{key}: {item['mean']:.2f} [{item['low']:.2f}, {item['high']:.2f}]")
        elif isinstance(item, dict):
            lines.append(f"{indent}{key}:\n{shown(item, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {item:.4g}" if isinstance(item, float) else f"{indent}{key}: {item}")
    return "\n".join(lines)


PARTS = {
    "ledger": ledger,
    "drift": drift,
    "false_alarms": false_alarms,
    "sampling": sampling,
    "fusion": fusion,
    "poison": poison,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit", type=int, help="prompts at most; for a quick look")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {}
    for name in given.parts or PARTS:
        found[name] = PARTS[name](given.seeds, given.limit)
        if not given.json:
            print(f"{name} ({given.seeds} seeds)\n{shown(found[name])}", flush=True)
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
