"""Rewards that have not arrived yet are not zeros: how likely was it that they would have?"""

import numpy as np
from numpy.typing import ArrayLike

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats


def arrival_probability(*, age: ArrayLike, delay: ArrayLike, smallest: float = 0.02) -> Floats:
    """[n], the probability that an outcome would have arrived by now, for use as ``observation_probability``.

    Kaplan-Meier on the delays, with outcomes still awaited censored at their age: P(arrived by age) = 1 - S(age).
    Decisions older than the longest delay seen get the last value, so outcomes that never come count as censored at
    random. Assumes the delay to be independent of the outcome given what the rows are grouped by: call it per arm, or
    per kind of feedback, where delays differ.

    Args:
        age: [n], time since the decision, in any unit, >= 0.
        delay: [n], time from decision to outcome in the same unit; NaN while it is awaited.
        smallest: rows whose chance is lower are too young to be weighed; they get NaN and should be left out.

    Raises:
        BadInput: shapes that differ, a negative age, a delay longer than the age, or nothing arrived at all.
    """
    ages, delays = np.asarray(age, dtype=np.float64), np.asarray(delay, dtype=np.float64)
    if ages.shape != delays.shape or ages.ndim != 1:
        raise BadInput(f"age has shape {ages.shape} and delay {delays.shape}; allowed: both [n]")
    arrived = ~np.isnan(delays)
    if not arrived.any():
        raise BadInput("no outcome has arrived yet; nothing is known of the delay")
    if not (ages >= 0).all() or (delays[arrived] > ages[arrived]).any() or (delays[arrived] < 0).any():
        raise BadInput("an age is negative or missing, or a delay is negative or longer than the decision is old")
    ends = np.where(arrived, delays, ages)
    times, counts = np.unique(delays[arrived], return_counts=True)
    at_risk = len(ends) - np.searchsorted(np.sort(ends), times, side="left")
    waiting = np.cumprod(1.0 - counts / at_risk)
    position = np.searchsorted(times, ages, side="right") - 1
    probability = np.where(position >= 0, 1.0 - waiting[np.maximum(position, 0)], 0.0)
    return np.where(probability >= smallest, probability, np.nan)
