"""What would other policies have achieved on a log's traffic? All outcomes at once, and whether it can be answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from armwise.contracts import Trade
from armwise.errors import BadInput, unknown
from armwise.evaluation import LOGGING, Blocks, Estimate, Evaluation, LoggedFeedback, Thresholds, evaluate_blocks
from armwise.evaluation.estimators import Estimator
from armwise.log.reading import Reading
from armwise.offline.asking import Asked, ask
from armwise.offline.candidates import Candidate
from armwise.offline.observing import Observing, observe
from armwise.offline.reading import LogSummary, read_blocks, read_outcomes, summary
from armwise.offline.rows import LoggedOutcomes, varied
from armwise.offline.spool import Spool

UTILITY = "utility"

_SURE = ("betting", "empirical_bernstein")


@dataclass(frozen=True, kw_only=True)
class Question:
    """How a log is asked.

    Attributes:
        estimator: as :func:`armwise.evaluation.evaluate` takes it; None is ``dr_os``, whose interval held under heavy
            weights too, and ``dr`` where the interval is to hold at every sample size.
        interval, level, folds, resamples: as :func:`armwise.evaluation.evaluate` takes them.
        split: the share of the log, from its start, that teaches candidates that learn; the rest judges them.
        prequential: instead, judge candidates on every row by what they had learned from the rows before it.
        refresh: rows between two lessons of a prequential candidate.
        rates: of utility: ``cost_weight``, ``latency_weight``, ``cost_ref_usd``, ``latency_ref_ms``; those not given,
            or None, are the usual ones of late.
        highest: outcome -> its highest possible value, for intervals that hold at every sample size (quality has 1).
        slices: row labels to look at overlap by: ``task``, ``tenant``, ``policy_version``.
        thresholds, force: when to warn and refuse, and whether to give numbers all the same.
        seed: of bootstrap and replay.

    Raises:
        BadInput: on a share or count out of range, or an unknown slice.
    """

    estimator: str | Estimator | None = None
    interval: str = "normal"
    level: float = 0.95
    folds: int = 4
    resamples: int = 1000
    split: float = 0.5
    prequential: bool = False
    refresh: int = 1000
    rates: Mapping[str, float | None] = field(default_factory=dict)
    highest: Mapping[str, float] | None = None
    slices: tuple[str, ...] = ("task",)
    thresholds: Thresholds | None = None
    force: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.split < 1:
            raise BadInput(f"split must be above 0 and below 1, got {self.split!r}")
        if isinstance(self.refresh, bool) or not isinstance(self.refresh, int) or self.refresh < 1:
            raise BadInput(f"refresh must be a whole number of at least 1, got {self.refresh!r}")
        for name, rate in self.rates.items():
            if name not in Trade._fields:
                raise BadInput(unknown("exchange rate", name, Trade._fields))
            least = 0.0 if name.endswith("weight") else 1e-12
            if rate is not None and not least <= rate < float("inf"):
                raise BadInput(
                    f"{name} must be a finite number {'of at least' if not least else 'above'} 0, got {rate!r}"
                )
        for name in self.slices:
            if name not in ("task", "tenant", "policy_version"):
                raise BadInput(f"slices must be of task, tenant, policy_version; got {name!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class LogEvaluation:
    """The answer.

    Attributes:
        log: what was asked.
        evaluation: values and intervals of quality, cost_usd and latency_ms, with diagnoses.
        trade: the exchange rates of utility.
        question: how it was asked.
        rows: how many judged the candidates.
        learned: candidate -> how many rows taught it (of this log).
        notes: what was assumed or left out.
    """

    log: LogSummary
    evaluation: Evaluation
    trade: Trade
    question: Question
    rows: int
    learned: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(name for name in self.evaluation.policies if name != LOGGING)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Outcome names, utility last."""
        return (*(name for name in self.evaluation.outcomes if name != UTILITY), UTILITY)

    def estimate(self, policy: str, outcome: str) -> Estimate:
        """A policy's value; ``logging`` is the policy that wrote the log."""
        if outcome == UTILITY and UTILITY not in self.evaluation.outcomes:
            return self.evaluation.combine(self._weights, policy)
        return self.evaluation.estimate(policy, outcome)

    def difference(self, policy: str, outcome: str) -> Estimate:
        """A policy's value less that of the logging policy, in pairs."""
        if outcome == UTILITY and UTILITY not in self.evaluation.outcomes:
            return self.evaluation.combine(self._weights, policy, versus=LOGGING)
        return self.evaluation.difference(policy, outcome=outcome)

    def effective_sample_size(self, policy: str, outcome: str) -> float:
        """As many rows of the policy's own would say as much; of utility, that of its worst part."""
        weights = self.evaluation.diagnosis[policy].weights
        parts = [outcome] if outcome in weights else list(weights)
        return min(weights[part].effective_sample_size for part in parts)

    def verdict(self, policy: str) -> str:
        """Against the logging policy, in utility: ``better``, ``worse``, ``no difference shown`` or ``refused``."""
        if self.evaluation.verdict(policy).status == "refused" and not self.question.force:
            return "refused"
        return {1: "better", -1: "worse", 0: "no difference shown"}[self.difference(policy, UTILITY).sign]

    @property
    def _weights(self) -> dict[str, float]:
        weights = utility_weights(self.trade)
        return {name: weight for name, weight in weights.items() if name in self.evaluation.outcomes}

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON."""
        inner = self.evaluation.to_dict()
        for name, entry in inner["policies"].items():
            entry["estimates"][UTILITY] = _plain(self.estimate(name, UTILITY))
            if name != LOGGING:
                entry["versus_logging"][UTILITY] = _plain(self.difference(name, UTILITY))
                entry["status"], entry["verdict"] = entry["verdict"], self.verdict(name)
                entry["learned_from_rows"] = self.learned[name]
                entry["effective_sample_size"] = {
                    outcome: self.effective_sample_size(name, outcome) for outcome in self.outcomes
                }
        return {
            "log": self.log.name,
            "decisions": self.log.decisions,
            "feature_version": self.log.feature_version,
            "trade": self.trade._asdict(),
            "notes": list(self.notes),
            **inner,
        }


def utility_weights(trade: Trade) -> dict[str, float]:
    """Outcome -> its weight in utility."""
    return {
        "quality": 1.0,
        "cost_usd": -trade.cost_weight / trade.cost_ref_usd,
        "latency_ms": -trade.latency_weight / trade.latency_ref_ms,
    }


def evaluate_log(
    log: Reading,
    candidates: Sequence[Candidate],
    question: Question | None = None,
    *,
    feature_version: str | None = None,
    after: int = 0,
    on_step: Callable[[str], None] | None = None,
) -> LogEvaluation:
    """Judge candidates on a log.

    Candidates that learn are taught by the first part of the log and judged by the rest, or row by row
    (``prequential``). No candidate is judged by rows that taught it: not by those that a snapshot has learned from
    either.

    Args:
        log: any that can be queried; see :func:`armwise.log.open_reader`.
        candidates: with names of their own.
        feature_version: the one to keep to, where the log has several.
        after: position of the log behind which rows count.
        on_step: told what is being done.

    Raises:
        BadInput: if the log cannot be asked, or a candidate cannot be asked about this log.
        LogError: if the log cannot be read.
    """
    question = question or Question()
    say = on_step or (lambda text: None)
    _check_names(candidates)
    about = summary(log, feature_version=feature_version)
    if len(about.arms) < 2:
        raise BadInput(f"{about.name} knows only the arm {about.arms[0]!r}: it says nothing of any other choice")
    say(f"reading {about.decisions:,} decisions")
    outcomes = read_outcomes(log, after=after, until=about.last, feature_version=about.feature_version)
    start = _first_to_judge(outcomes, candidates, question)
    judging = outcomes.take(slice(start, None))
    observing = observe(judging)
    with Spool() as spool:
        asked = ask(
            read_blocks(log, after=after, until=about.last, feature_version=about.feature_version, outcomes=outcomes),
            candidates,
            spool,
            outcomes=outcomes,
            start=start,
            keep=observing.keep,
            refresh=question.refresh if question.prequential else None,
            labels=question.slices,
            say=say,
        )
        feedback = _feedback(judging.take(observing.keep), observing, asked, question)
        trade = asked.trade._replace(**{name: rate for name, rate in question.rates.items() if rate is not None})
        names = list(feedback.outcomes)
        if question.interval in _SURE:
            feedback = _with_utility(feedback, trade)
        say(f"estimating on {feedback.n:,} rows")
        found = evaluate_blocks(
            Blocks(rows=feedback.n, read=partial(asked.blocks, feedback)),
            estimator=question.estimator or ("dr" if question.interval in _SURE else "dr_os"),
            interval=question.interval,
            level=question.level,
            folds=question.folds,
            resamples=question.resamples,
            rng=np.random.default_rng(question.seed),
            thresholds=question.thresholds,
            force=question.force,
        )
    notes = list(observing.notes)
    if trade.latency_weight and "latency_ms" not in names:
        notes.append("utility leaves latency out, which was never logged")
    if trade.cost_weight and "cost_usd" not in names:
        notes.append("utility leaves cost out, which was never logged")
    return LogEvaluation(
        log=about,
        evaluation=found,
        trade=trade,
        question=question,
        rows=feedback.n,
        learned=asked.learned,
        notes=tuple(notes),
    )


def _check_names(candidates: Sequence[Candidate]) -> None:
    if not candidates:
        raise BadInput("there is no candidate to evaluate")
    names = [candidate.name for candidate in candidates]
    if len(set(names)) < len(names):
        raise BadInput(f"every candidate needs a name of its own, got {', '.join(names)}")
    if LOGGING in names:
        raise BadInput(f"{LOGGING!r} is the policy that wrote the log; call the candidate something else")


def _first_to_judge(rows: LoggedOutcomes, candidates: Sequence[Candidate], question: Question) -> int:
    """The first row that has taught nobody."""
    start = 0
    if any(candidate.learns for candidate in candidates) and not question.prequential:
        start = int(question.split * len(rows))
        if start < 1:
            raise BadInput(f"the log has {len(rows)} rows: too few to learn from a share of {question.split:g} of them")
    latest = max(candidates, key=lambda candidate: candidate.learned_to)
    start = max(start, int(np.searchsorted(rows.position, latest.learned_to, side="right")))
    if start >= len(rows):
        raise BadInput(
            f"candidate {latest.name!r} has learned from all {len(rows):,} rows of this log (up to position "
            f"{latest.learned_to:,}); none is left to judge it by"
        )
    return start


def _feedback(known: LoggedOutcomes, observing: Observing, asked: Asked, question: Question) -> LoggedFeedback:
    """The rows that count, without their tables."""
    outcomes = {name: getattr(known, name) for name in observing.outcomes}
    bounds = {"quality": (0.0, 1.0)}
    for name, top in (question.highest or {}).items():
        if name in outcomes:
            bounds[name] = (0.0, float(top))
    if question.interval in _SURE:
        missing = [name for name in outcomes if name not in bounds]
        if missing:
            raise BadInput(
                f"the {question.interval} interval holds at every sample size and needs the highest possible value of "
                f"{' and '.join(missing)}: give highest={{{missing[0]!r}: ...}}, or use 'normal' or 'bootstrap'"
            )
    chance = {name: p[observing.keep] for name, p in observing.probability.items()}
    return LoggedFeedback(
        arms=known.arms,
        arm=known.arm,
        propensity=asked.propensity,
        outcomes=outcomes,
        observation_probability=chance or None,
        bounds=bounds,
        slices=varied(asked.labels),
    )


def _with_utility(feedback: LoggedFeedback, trade: Trade) -> LoggedFeedback:
    """Utility as an outcome of its own, for intervals that do not add up."""
    weights = {name: w for name, w in utility_weights(trade).items() if name in feedback.outcomes and w}
    low = sum(min(w * end for end in feedback.bounds_of(name)) for name, w in weights.items())
    high = sum(max(w * end for end in feedback.bounds_of(name)) for name, w in weights.items())
    return feedback.with_combined(UTILITY, weights, bounds=(low, high))


def _plain(estimate: Estimate) -> dict[str, Any]:
    found = {name: getattr(estimate, name) for name in estimate.__dataclass_fields__}
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in found.items()}
