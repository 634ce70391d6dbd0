"""A log as arrays: one row per decision, with what is known of its outcome by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import Context, Decision, Outcome, Predictions, Trade
from armwise.errors import BadInput
from armwise.evaluation import LoggedFeedback

Array = NDArray[Any]

OUTCOMES = ("quality", "cost_usd", "latency_ms")
"""What is measured of a decision, each NaN where it is not known (which is never zero)."""
LATE = 1_000
"""Rows that say which exchange rates are the usual ones of late."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedOutcomes:
    """What is known by now of n decisions over K arms, in the order of the log: some 90 bytes each.

    Attributes:
        arms: the K arms of the whole log; columns of [n, K] arrays.
        position, unix_time: [n], where in the log, and when.
        arm: [n], column of the arm that was drawn.
        quality, quality_deviation, cost_usd, latency_ms, output_tokens: [n], NaN where not known.
        quality_unix_time: [n], when the quality came; NaN where it has not.
        judging_probability: [n], with which judges were to look; NaN where nobody knows.
        error: bool [n].
    """

    arms: tuple[str, ...]
    position: Array
    unix_time: Array
    arm: Array
    quality: Array
    quality_deviation: Array
    quality_unix_time: Array
    cost_usd: Array
    latency_ms: Array
    output_tokens: Array
    judging_probability: Array
    error: Array

    def __len__(self) -> int:
        return len(self.arm)

    def take(self, which: slice | Array) -> Self:
        """Some of the rows: a stretch (as views), a mask or an order."""
        cut: dict[str, Any] = {
            name: value[which] if isinstance(value, np.ndarray) else value for name, value in _of(self)
        }
        return type(self)(**cut)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Parts of one log, one after the other.

        Raises:
            BadInput: if there is none, or they are not of the same arms and features.
        """
        if not parts:
            raise BadInput("there are no rows to put together")
        first = parts[0]
        for part in parts[1:]:
            for name, value in _of(first):
                if not isinstance(value, np.ndarray) and getattr(part, name) != value:
                    raise BadInput(f"rows of {name} {getattr(part, name)!r} do not go with those of {value!r}")
        if len(parts) == 1:
            return first
        whole: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) if isinstance(value, np.ndarray) else value
            for name, value in _of(first)
        }
        return cls(**whole)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedRows(LoggedOutcomes):
    """And what was decided. Made by :mod:`armwise.offline.reading`.

    Attributes:
        feature_version: of all rows.
        propensity: [n], the probability with which the arm was drawn.
        eligible: bool [n, K], the action sets.
        probabilities: [n, K], the whole logged distribution, 0 outside the action set.
        vectors: float32 [n, d], the contexts.
        input_tokens, seed: [n].
        task, tenant, policy_version: [n], text; "" for none.
        cost_weight, latency_weight, cost_ref_usd, latency_ref_ms: [n], the exchange rates in force.
        predicted_cost_usd, predicted_latency_ms: [n], of the drawn arm, at the time.
    """

    feature_version: str
    propensity: Array
    eligible: Array
    probabilities: Array
    vectors: Array
    input_tokens: Array
    seed: Array
    task: Array
    tenant: Array
    policy_version: Array
    cost_weight: Array
    latency_weight: Array
    cost_ref_usd: Array
    latency_ref_ms: Array
    predicted_cost_usd: Array
    predicted_latency_ms: Array

    @property
    def dimension(self) -> int:
        """Length of the contexts."""
        return int(self.vectors.shape[1])

    @property
    def trade(self) -> Trade:
        """The usual exchange rates of late: medians of the latest ``LATE`` rows.

        Not those of the last row, which may have brought its own or met a budget that was spent.
        """
        late = slice(-LATE, None)
        rates = (self.cost_weight, self.latency_weight, self.cost_ref_usd, self.latency_ref_ms)
        return Trade(*(float(np.median(rate[late])) for rate in rates))

    def feedback(
        self,
        outcomes: Mapping[str, Array],
        chance: Mapping[str, Array],
        *,
        bounds: Mapping[str, tuple[float, float]],
        slices: Sequence[str],
    ) -> LoggedFeedback:
        """The rows as estimators take them.

        Args:
            outcomes: name -> [n], NaN where not known.
            chance: name -> [n], the probability with which that outcome was to be seen; those always seen left out.
            bounds: name -> its lowest and highest possible value.
            slices: labels to look at overlap by; one that has a single value is left out.
        """
        labels = {name: getattr(self, name) for name in slices}
        return LoggedFeedback(
            arms=self.arms,
            arm=self.arm,
            propensity=self.propensity,
            outcomes=outcomes,
            eligible=self.eligible,
            logging_probabilities=self.probabilities,
            observation_probability=chance or None,
            bounds=bounds,
            slices=varied(labels),
            features=self.vectors,
        )

    def case(self, i: int) -> tuple[Decision, Outcome]:
        """Row i as the records that a decider learns from (what other arms were predicted to cost is not kept)."""
        there = np.flatnonzero(self.eligible[i])
        arm = int(self.arm[i])
        cost, latency = np.zeros(len(there)), np.zeros(len(there))
        at = int(np.searchsorted(there, arm))
        cost[at], latency[at] = self.predicted_cost_usd[i], self.predicted_latency_ms[i]
        decision = Decision(
            str(self.position[i]),
            float(self.unix_time[i]),
            self.arms[arm],
            float(self.propensity[i]),
            tuple(self.arms[k] for k in there),
            self.probabilities[i, there],
            {},
            Predictions(np.zeros(len(there)), cost, latency),
            Trade(
                float(self.cost_weight[i]),
                float(self.latency_weight[i]),
                float(self.cost_ref_usd[i]),
                float(self.latency_ref_ms[i]),
            ),
            Context(self.vectors[i].astype(np.float64), str(self.task[i]), int(self.input_tokens[i])),
            "exact",
            int(self.seed[i]),
            str(self.policy_version[i]),
            self.feature_version,
        )
        known = Outcome(
            quality=_known(self.quality[i]),
            cost_usd=_known(self.cost_usd[i]),
            latency_ms=_known(self.latency_ms[i]),
            output_tokens=_known(self.output_tokens[i]),
            error=bool(self.error[i]),
            deviation=_known(self.quality_deviation[i]) or 0.0,
        )
        return decision, known


def varied(labels: Mapping[str, Array]) -> dict[str, Array]:
    """Those of the columns that have more than one value."""
    return {name: column for name, column in labels.items() if len(set(column.tolist())) > 1}


def _of(rows: LoggedOutcomes) -> list[tuple[str, Any]]:
    return [(field.name, getattr(rows, field.name)) for field in fields(rows)]


def _known(value: float) -> float | None:
    return float(value) if value == value else None  # NaN is not itself
