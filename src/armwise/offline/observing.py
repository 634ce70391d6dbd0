"""How likely was each outcome to be known by now? What is not known is weighed for, never taken for zero.

- Quality that a judge gives: with the probability that was drawn from, times that of its having come by now.
- Quality that comes by itself (users): nobody knows with which probability. It is estimated per arm, as the share that
  has come at a decision's age (Kaplan-Meier), which assumes silence to be unrelated to quality given the arm.
- Bills and latencies: the share known, per arm.

Rows that are too young to be weighed, and rows that no judge was ever to see, are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from armwise.errors import BadInput
from armwise.evaluation import arrival_probability
from armwise.offline.rows import OUTCOMES, Array, LoggedOutcomes

TOO_YOUNG = 0.02
"""Of what ever comes, the share that has to have come by a decision's age for the decision to be weighed."""


@dataclass(frozen=True, kw_only=True)
class Observing:
    """Which rows count, and how likely their outcomes were to be known.

    Attributes:
        keep: bool [n].
        outcomes: those that are known on some row that counts.
        probability: outcome -> [n], for those that are not known on every row; only rows to keep are meaningful.
        notes: what was assumed or left out, in sentences.
    """

    keep: Array
    outcomes: tuple[str, ...]
    probability: Mapping[str, Array]
    notes: tuple[str, ...]


def observe(rows: LoggedOutcomes) -> Observing:
    """Work it out.

    Raises:
        BadInput: if the quality of no row is known.
    """
    notes: list[str] = []
    keep = np.ones(len(rows), dtype=bool)
    probability: dict[str, Array] = {}
    known = ~np.isnan(rows.quality)
    if not known.any():
        raise BadInput("no decision of the log has a known quality yet; nothing can be said of any policy")
    if not known.all():
        chance, young = _quality(rows, known)
        never = (chance <= 0) & ~young & ~known
        keep = ~young & ~never
        probability["quality"] = np.where(chance > 0, np.minimum(chance, 1.0), 1.0)
        voluntary = known & np.isnan(rows.judging_probability)
        notes.append(f"quality is known on {known.mean():.1%} of the rows, which are weighed for the others")
        if voluntary.any():
            notes.append("feedback that came by itself is taken to be missing at random given the arm")
        if young.any():
            notes.append(f"{int(young.sum()):,} rows are left out as too young: their quality had hardly time to come")
        if never.any():
            notes.append(
                f"{int(never.sum()):,} rows are left out that no judge was to look at: they are not answered for"
            )
    outcomes = ["quality"]
    for name in OUTCOMES[1:]:
        there = ~np.isnan(getattr(rows, name))
        if not (there & keep).any():
            notes.append(f"{name} was never logged and is left out")
            continue
        outcomes.append(name)
        if not there[keep].all():
            probability[name] = share_by_arm(rows, there, keep)
            notes.append(
                f"{name} is known on {there[keep].mean():.1%} of the rows, taken to be missing at random given the arm"
            )
    return Observing(keep=keep, outcomes=tuple(outcomes), probability=probability, notes=tuple(notes))


def share_by_arm(rows: LoggedOutcomes, there: Array, keep: Array) -> Array:
    """[n], the share of the arm's rows on which something is known; of all rows, where the arm has none."""
    k = len(rows.arms)
    count = np.bincount(rows.arm[keep], minlength=k)
    seen = np.bincount(rows.arm[keep & there], minlength=k)
    overall = max(float(there[keep].mean()), 1e-12)
    share: Array = np.where(seen > 0, seen / np.maximum(count, 1), overall)[rows.arm]
    return share


def _quality(rows: LoggedOutcomes, known: Array) -> tuple[Array, Array]:
    """[n], the probability that the quality would be known by now, and whether the row is too young to tell."""
    now = max(float(rows.unix_time.max()), float(np.nanmax(rows.quality_unix_time, initial=-np.inf)))
    age = np.maximum(now - rows.unix_time, 0.0)
    delay = np.minimum(np.maximum(rows.quality_unix_time - rows.unix_time, 0.0), age)
    asked = ~np.isnan(rows.judging_probability)
    by_itself = known & ~asked
    young = np.zeros(len(rows), dtype=bool)
    judged = np.zeros(len(rows))
    if asked.any():
        judged = np.where(asked, rows.judging_probability, _mean_by_arm(rows, asked))
        if (asked & known).any():
            came = _share_come(age, np.where(asked & known, delay, np.nan), asked)
            young |= came < TOO_YOUNG
            judged = judged * came
    volunteered = np.zeros(len(rows))
    if by_itself.any():
        for k in range(len(rows.arms)):
            of = rows.arm == k
            if (of & by_itself).any():
                ends = np.where(by_itself[of], delay[of], np.nan)
                volunteered[of] = np.nan_to_num(arrival_probability(age=age[of], delay=ends, smallest=0.0))
        if not asked.any():
            young |= _share_come(age, np.where(by_itself, delay, np.nan), np.ones(len(rows), dtype=bool)) < TOO_YOUNG
    chance: Array = 1.0 - (1.0 - judged) * (1.0 - volunteered)
    return chance, young & ~(known & (chance > TOO_YOUNG))


def _share_come(age: Array, delay: Array, among: Array) -> Array:
    """[n], of what ever comes, the share that has come by each age; ``among`` are the rows it is read from."""
    oldest = float(age.max())
    ages, delays = np.append(age[among], oldest), np.append(delay[among], np.nan)
    top = float(arrival_probability(age=ages, delay=delays, smallest=0.0)[-1])
    order = np.argsort(age[among], kind="stable")
    curve = arrival_probability(age=age[among], delay=delay[among], smallest=0.0)[order]
    at = np.searchsorted(age[among][order], age, side="right") - 1
    share: Array = np.where(at >= 0, curve[np.maximum(at, 0)], 0.0) / max(top, 1e-12)
    return share


def _mean_by_arm(rows: LoggedOutcomes, asked: Array) -> Array:
    """[n], the mean probability of being judged of the arm's rows that say it."""
    k = len(rows.arms)
    total = np.bincount(rows.arm[asked], weights=rows.judging_probability[asked], minlength=k)
    mean: Array = (total / np.maximum(np.bincount(rows.arm[asked], minlength=k), 1))[rows.arm]
    return mean
