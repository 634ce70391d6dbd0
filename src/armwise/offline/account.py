"""The account of a log: what the traffic was, cost and was worth, and what any one arm alone would have been."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from armwise.errors import BadInput
from armwise.evaluation import LOGGING, Estimate
from armwise.log.reading import Reading
from armwise.offline.candidates import constant
from armwise.offline.evaluation import LogEvaluation, Question, evaluate_log
from armwise.offline.reading import pool_of, summary

STRETCHES = 60
"""Stretches of equal time that a log is shown in."""
MOST_ARMS = 12
"""Arms that are asked what they alone would have been: those with the most traffic."""
_DAY_S = 86_400.0

_ROWS = """
    WITH counted AS (
        SELECT *, quality IS NOT NULL AND head IS NULL AS judged,
               1.0 / coalesce(nullif(judging_probability, 0.0), 1.0) AS weight,
               least({stretches} - 1, floor({stretches} * (unix_time - $1) / greatest($2 - $1, 1e-9)))::INT AS stretch
        FROM rewarded WHERE unix_time >= $1
    )
"""
_MEASURES = """
    count(*) AS decisions,
    count(cost_usd) AS billed,
    coalesce(sum(cost_usd), 0.0) + coalesce(sum(judging_usd), 0.0) AS spend_usd,
    avg(cost_usd) AS cost_usd,
    quantile_cont(latency_ms, 0.5) AS latency_ms,
    quantile_cont(latency_ms, 0.95) AS latency_ms_p95,
    avg(error::INT) AS errors,
    avg(1.0 - list_max(probability_of)) AS exploration,
    count(*) FILTER (judged) AS judged,
    sum(weight) FILTER (judged) AS w,
    sum(weight * quality) FILTER (judged) AS wq,
    sum(weight * weight) FILTER (judged) AS w2,
    sum(weight * weight * quality) FILTER (judged) AS w2q,
    sum(weight * weight * quality * quality) FILTER (judged) AS w2q2
"""


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What some of the decisions came to; None where nothing is known.

    Attributes:
        decisions, billed, judged: how many; how many of them have a bill, and a quality.
        spend_usd: all bills, those of judges too.
        cost_usd: mean bill.
        quality: mean, each judged decision weighed by one over the probability that it was looked at.
        quality_margin: half of its 95% interval (normal).
        latency_ms, latency_ms_p95: median and 95th percentile.
        errors: share of answers that were none.
        exploration: mean probability of not drawing the likeliest arm.
    """

    decisions: int
    billed: int
    judged: int
    spend_usd: float
    cost_usd: float | None
    quality: float | None
    quality_margin: float | None
    latency_ms: float | None
    latency_ms_p95: float | None
    errors: float
    exploration: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A tenth of the judged decisions, by the quality that was predicted of them."""

    predicted: float
    quality: float
    judged: int


@dataclass(frozen=True, kw_only=True)
class Alone:
    """What one arm alone would have been, estimated off-policy.

    Attributes:
        quality, cost_usd: means; the latter None where no bill was ever logged.
        quality_lost: its quality less that of what was done, in pairs.
        saved: share of its spend that was saved by what was done, answers only; None where it is not known.
        verdict: of it against what was done, in utility; ``refused`` where the log cannot say, and all else is NaN.
        reason: why it cannot, or "".
    """

    quality: Estimate
    cost_usd: Estimate | None
    quality_lost: Estimate
    saved: float | None
    verdict: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """A log's account.

    Attributes:
        log: its name.
        since, until: unix times of the first and the last decision in it.
        whole: of all of them.
        arms, tasks, tenants, stretches: the same cut up; the busiest first, stretches in order of time.
        shares: stretch -> arm -> share of its decisions.
        reliability: predicted quality against what came.
        evaluation: of each of the busiest arms alone, or None where the log cannot be asked.
        alone: the same, arm by arm.
        unanswered: why not, in words.
    """

    log: str
    since: float
    until: float
    whole: Measures
    arms: dict[str, Measures]
    tasks: dict[str, Measures]
    tenants: dict[str, Measures]
    stretches: dict[float, Measures]
    shares: dict[float, dict[str, float]]
    reliability: list[Reliability]
    evaluation: LogEvaluation | None
    alone: dict[str, Alone]
    unanswered: str

    def best(self) -> str | None:
        """The arm that alone would have had the highest quality, as far as the log can say."""
        quality = {arm: one.quality.value for arm, one in self.alone.items() if math.isfinite(one.quality.value)}
        return max(quality, key=quality.__getitem__, default=None)


def account(log: Reading, *, days: float | None = None, on_step: Callable[[str], None] | None = None) -> Account:
    """Draw up the account of a log.

    Quality is that of decisions which drew; one that followed its session's arm is in the row that drew. What single
    arms would have been is asked of the same stretch, by :func:`armwise.offline.evaluate_log`.

    Args:
        log: any that can be queried; see :func:`armwise.log.open_reader`.
        days: only the latest so many days before the last decision.
        on_step: told what is being done.

    Raises:
        BadInput: if there is no decision, or ``days`` is not positive.
        LogError: if the log cannot be read.
    """
    if days is not None and not days > 0:
        raise BadInput(f"days must be above 0, got {days:g}")
    [ends] = log.query("SELECT min(unix_time) AS since, max(unix_time) AS until FROM decisions").to_pylist()
    if ends["until"] is None:
        raise BadInput(f"{log.name} holds no decision; there is nothing to report")
    since, until = float(ends["since"]), float(ends["until"])
    if days is not None:
        since = max(since, until - days * _DAY_S)
    say = on_step or (lambda text: None)
    say("adding up")
    cut = _Cut(log, since, until)
    arms = cut.by("arm")
    say("asking what each arm alone would have been")
    evaluation, unanswered = _evaluation(log, cut, arms)
    return Account(
        log=log.name,
        since=since,
        until=until,
        whole=cut.by("''")[""],
        arms=arms,
        tasks=cut.by("task"),
        tenants=cut.by("coalesce(tenant, '')"),
        stretches={cut.start(at): one for at, one in sorted(cut.by("stretch").items())},
        shares=cut.shares(),
        reliability=cut.reliability(),
        evaluation=evaluation,
        alone={} if evaluation is None else {arm: _alone(evaluation, arm) for arm in evaluation.candidates},
        unanswered=unanswered,
    )


class _Cut:
    """The decisions of a span of time, and sums over them."""

    def __init__(self, log: Reading, since: float, until: float) -> None:
        self._log, self.since, self._until = log, since, until

    def rows(self, sql: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._log.query(
            _ROWS.format(stretches=STRETCHES) + sql, [self.since, self._until]
        ).to_pylist()
        return found

    def by(self, key: str) -> dict[Any, Measures]:
        """Key -> what its decisions came to, the busiest first."""
        rows = self.rows(f"SELECT {key} AS key, {_MEASURES} FROM counted GROUP BY 1 ORDER BY decisions DESC, 1")
        return {row["key"]: _measures(row) for row in rows}

    def start(self, stretch: int) -> float:
        """When a stretch begins, unix time."""
        return self.since + stretch * (self._until - self.since) / STRETCHES

    def shares(self) -> dict[float, dict[str, float]]:
        counts: dict[int, dict[str, int]] = {}
        for row in self.rows("SELECT stretch, arm, count(*) AS n FROM counted GROUP BY 1, 2 ORDER BY 1, 2"):
            counts.setdefault(int(row["stretch"]), {})[str(row["arm"])] = int(row["n"])
        return {
            self.start(at): {arm: n / sum(of.values()) for arm, n in of.items()} for at, of in sorted(counts.items())
        }

    def reliability(self) -> list[Reliability]:
        rows = self.rows(
            """, tenths AS (
                SELECT predicted_quality, quality, weight, ntile(10) OVER (ORDER BY predicted_quality, id) AS tenth
                FROM counted WHERE judged AND predicted_quality IS NOT NULL
            )
            SELECT sum(weight * predicted_quality) / sum(weight) AS predicted, count(*) AS n,
                   sum(weight * quality) / sum(weight) AS came
            FROM tenths GROUP BY tenth ORDER BY tenth"""
        )
        return [Reliability(predicted=row["predicted"], quality=row["came"], judged=int(row["n"])) for row in rows]


def _measures(row: dict[str, Any]) -> Measures:
    quality = margin = None
    if row["judged"]:
        quality = row["wq"] / row["w"]
        squares = row["w2q2"] - 2.0 * quality * row["w2q"] + quality * quality * row["w2"]
        if row["judged"] > 1:
            margin = 1.96 * math.sqrt(max(squares, 0.0)) / row["w"]
    return Measures(
        **{name: row[name] for name in ("decisions", "billed", "judged", "spend_usd", "cost_usd")},
        quality=quality,
        quality_margin=margin,
        latency_ms=row["latency_ms"],
        latency_ms_p95=row["latency_ms_p95"],
        errors=row["errors"],
        exploration=row["exploration"],
    )


def _evaluation(log: Reading, cut: _Cut, arms: Iterable[str]) -> tuple[LogEvaluation | None, str]:
    """What each of the busiest arms alone would have been, or why the log cannot say."""
    [row] = cut.rows("SELECT min(position) AS first FROM counted")
    try:
        about = summary(log)
        known = [arm for arm in pool_of(log) if arm.name in about.arms]
        busiest = [arm for arm in arms if any(arm == one.name for one in known)][:MOST_ARMS]
        candidates = [
            constant(name, name, known, dimension=about.dimension, feature_version=about.feature_version)
            for name in busiest
        ]
        return evaluate_log(log, candidates, Question(), after=int(row["first"]) - 1), ""
    except BadInput as error:
        return None, str(error)


def _alone(found: LogEvaluation, arm: str) -> Alone:
    cost, saved = None, None
    if "cost_usd" in found.outcomes:
        cost = found.estimate(arm, "cost_usd")
        if cost.value > 0:  # not where it is NaN
            saved = 1.0 - found.estimate(LOGGING, "cost_usd").value / cost.value
    return Alone(
        quality=found.estimate(arm, "quality"),
        cost_usd=cost,
        quality_lost=found.difference(arm, "quality"),
        saved=saved,
        verdict=found.verdict(arm),
        reason=next((f.message for f in found.evaluation.verdict(arm).findings if f.status == "refused"), ""),
    )
