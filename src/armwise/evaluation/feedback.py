"""What the logging policy did and what came of it: the rows that off-policy evaluation starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from armwise.errors import BadInput, unknown

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

LOGGING = "logging"
"""The reserved name of the policy that wrote the log; it is always evaluated beside the targets."""

SUM_TOLERANCE = 1e-4
"""How far a row of probabilities may be from summing to one (float32 logs round)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedFeedback:
    """n logged decisions over K arms, in the order in which they were made.

    Attributes:
        arms: the K arm names; columns of every [n, K] array.
        arm: [n], index of the arm that was drawn.
        propensity: [n], the probability with which it was drawn, in (0, 1].
        outcomes: name -> [n]; NaN where nothing came back (unjudged, still awaited). NaN is censored, never zero.
        eligible: [n, K], the action sets; None means every arm on every row.
        logging_probabilities: [n, K], the whole logged distribution. Optional; with it the support of a target, the
            bound on its weights and the truth of the propensities are known and not guessed.
        observation_probability: outcome name -> [n], the probability in (0, 1] that the outcome would be seen (judged,
            arrived) given context and arm. Needed for every outcome that has a NaN: rows that were seen are weighted by
            its inverse. A constant, the share that was seen, states that censoring is a coin toss unrelated to context,
            arm and outcome.
        bounds: outcome name -> (lowest, highest) possible value. Finite-sample and anytime-valid intervals need it.
        minimum_propensity: the floor that the logging policy kept on every eligible arm, if it kept one.
        slices: name -> [n] labels, for overlap by slice.
        features: [n, d], for outcome models.
        decision_id: [n], checked to be unique.
        feature_version: [n], checked to be one single version.

    Raises:
        BadInput: whatever cannot be evaluated honestly: an empty log, a single arm, a propensity outside (0, 1],
            an arm outside its action set, probabilities that do not sum to one, duplicate decisions, mixed feature
            versions, an outcome with gaps and no observation probability.
    """

    arms: tuple[str, ...]
    arm: Ints
    propensity: Floats
    outcomes: Mapping[str, Floats]
    eligible: Bools | None = None
    logging_probabilities: Floats | None = None
    observation_probability: Mapping[str, Floats] | None = None
    bounds: Mapping[str, tuple[float, float]] | None = None
    minimum_propensity: float | None = None
    slices: Mapping[str, NDArray[Any]] | None = None
    features: Floats | None = None
    decision_id: NDArray[Any] | None = None
    feature_version: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "arms", tuple(str(name) for name in self.arms))
        arm = np.asarray(self.arm)
        if arm.ndim != 1 or arm.size == 0:
            raise BadInput(f"arm has shape {arm.shape}; allowed: [n] with at least one decision (the log is empty?)")
        if not np.issubdtype(arm.dtype, np.integer):
            raise BadInput(f"arm has type {arm.dtype}; allowed: integer indices into arms")
        n, k = arm.size, len(self.arms)
        if k < 2:
            raise BadInput(f"the log has {k} arm(s); off-policy evaluation compares policies over at least 2")
        if len(set(self.arms)) != k:
            raise BadInput("arm names repeat; every column needs its own name")
        if (bad := int(np.count_nonzero((arm < 0) | (arm >= k)))) > 0:
            raise BadInput(f"{bad} of {n} rows hold an arm index outside 0..{k - 1}: {self.arms}")
        put(self, "arm", arm)
        put(self, "propensity", probability("propensity", self.propensity, n, open_at_zero=True))
        if not self.outcomes:
            raise BadInput("outcomes is empty; give at least one named array, such as {'quality': [...]}")
        outcomes = {name: _column(f"outcomes[{name!r}]", values, n) for name, values in self.outcomes.items()}
        put(self, "outcomes", outcomes)
        self._check_observation(outcomes, n)
        for name in self.bounds or {}:
            if name not in outcomes:
                raise BadInput(unknown("outcome in bounds", name, outcomes))
            low, high = (self.bounds or {})[name]
            values = outcomes[name]
            if not low < high:
                raise BadInput(f"bounds[{name!r}] is ({low}, {high}); allowed: lowest < highest")
            if np.nanmin(values) < low or np.nanmax(values) > high:
                raise BadInput(
                    f"outcome {name!r} spans [{np.nanmin(values):.6g}, {np.nanmax(values):.6g}], "
                    f"outside its bounds [{low:.6g}, {high:.6g}]"
                )
        if self.minimum_propensity is not None and not 0 < self.minimum_propensity <= float(self.propensity.min()):
            raise BadInput(
                f"minimum_propensity is {self.minimum_propensity}; allowed: over 0 and no more than the smallest "
                f"logged propensity, {float(self.propensity.min()):.6g}"
            )
        self._check_tables(n, k)
        self._check_features(n)
        slices = {name: np.asarray(labels) for name, labels in (self.slices or {}).items()}
        for name, labels in slices.items():
            if labels.shape != (n,):
                raise BadInput(f"slices[{name!r}] has shape {labels.shape}; allowed: [{n}]")
        put(self, "slices", slices or None)
        if self.decision_id is not None:
            ids = np.asarray(self.decision_id)
            if ids.shape != (n,):
                raise BadInput(f"decision_id has shape {ids.shape}; allowed: [{n}]")
            if (twice := n - np.unique(ids).size) > 0:
                raise BadInput(f"{twice} of {n} rows repeat a decision_id; join the log to one row per decision first")
        if self.feature_version is not None:
            versions = np.unique(np.asarray(self.feature_version))
            if versions.size > 1:
                raise BadInput(
                    f"the rows mix feature versions {versions.tolist()[:5]}; evaluate each version on its own"
                )

    def _check_observation(self, outcomes: Mapping[str, Floats], n: int) -> None:
        given = dict(self.observation_probability or {})
        for name in given:
            if name not in outcomes:
                raise BadInput(unknown("outcome in observation_probability", name, outcomes))
            given[name] = probability(f"observation_probability[{name!r}]", given[name], n, open_at_zero=True)
        for name, values in outcomes.items():
            if np.isinf(values).any():
                raise BadInput(f"outcome {name!r} has infinite values; NaN marks what was not observed")
            missing = int(np.count_nonzero(np.isnan(values)))
            if missing == n:
                raise BadInput(f"outcome {name!r} was never observed in {n} rows")
            if missing and name not in given:
                raise BadInput(
                    f"outcome {name!r} is missing in {missing} of {n} rows; censored rows are not zeros: give "
                    f"observation_probability[{name!r}] "
                    "(the share seen, if that has nothing to do with context, arm or value)"
                )
        object.__setattr__(self, "observation_probability", given or None)

    def _check_tables(self, n: int, k: int) -> None:
        rows = np.arange(n)
        if self.eligible is not None:
            eligible = np.asarray(self.eligible)
            if eligible.shape != (n, k) or eligible.dtype != np.bool_:
                raise BadInput(
                    f"eligible has shape {eligible.shape} and type {eligible.dtype}; allowed: bool [{n}, {k}]"
                )
            if (bad := int(np.count_nonzero(~eligible[rows, self.arm]))) > 0:
                raise BadInput(f"{bad} of {n} rows chose an arm outside their own action set")
            object.__setattr__(self, "eligible", eligible)
        if self.logging_probabilities is not None:
            table = probability_table("logging_probabilities", self.logging_probabilities, n, self.arms, self.eligible)
            gap = float(np.abs(table[rows, self.arm] - self.propensity).max())
            if gap > SUM_TOLERANCE:
                raise BadInput(f"propensity and logging_probabilities disagree on the drawn arm by up to {gap:.3g}")
            object.__setattr__(self, "logging_probabilities", table)

    def _check_features(self, n: int) -> None:
        if self.features is None:
            return
        features = np.asarray(self.features)
        if features.ndim != 2 or features.shape[0] != n or not np.isfinite(features).all():
            raise BadInput(f"features has shape {features.shape}; allowed: [{n}, d], all finite")
        object.__setattr__(self, "features", features)

    @property
    def n(self) -> int:
        """Number of decisions."""
        return int(self.arm.size)

    def bounds_of(self, outcome: str) -> tuple[float, float]:
        """The declared range of an outcome.

        Raises:
            BadInput: no range was declared, so no finite-sample statement can be made.
        """
        if not self.bounds or outcome not in self.bounds:
            raise BadInput(
                f"outcome {outcome!r} has no bounds; this interval needs bounds={{{outcome!r}: (lowest, highest)}}, "
                "a range known beforehand and not read off the data"
            )
        low, high = self.bounds[outcome]
        return float(low), float(high)

    def rows(self, start: int, stop: int) -> Self:
        """Rows start..stop as views, without checking them again."""
        part = object.__new__(type(self))
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = value[start:stop]
            elif isinstance(value, dict) and field.name != "bounds":
                value = {name: column[start:stop] for name, column in value.items()}
            object.__setattr__(part, field.name, value)
        return part

    def with_tables(self, *, eligible: Bools, logging_probabilities: Floats, features: Floats | None = None) -> Self:
        """The same rows with what is widest of them, as it comes block by block.

        Raises:
            BadInput: tables that do not fit the rows.
        """
        grown = self.rows(0, self.n)
        put = object.__setattr__
        for name, value in (
            ("eligible", eligible),
            ("logging_probabilities", logging_probabilities),
            ("features", features),
        ):
            put(grown, name, value)
        grown._check_tables(self.n, len(self.arms))
        grown._check_features(self.n)
        return grown

    def with_combined(
        self, name: str, weights: Mapping[str, float], *, bounds: tuple[float, float] | None = None
    ) -> Self:
        """Add the outcome ``sum_j weights[j] * outcome_j``, such as utility = quality - lambda * cost / c_ref.

        The sum is observed where all its parts are. Parts that are censored must be censored together (share one
        observation probability, as when one judge gives them); mixing different ones has no known joint probability.

        Raises:
            BadInput: an unknown part, a name already taken, or parts censored by different mechanisms.
        """
        if name in self.outcomes:
            raise BadInput(f"outcome {name!r} exists already")
        total = np.zeros(self.n)
        observed: Floats | None = None
        for part, weight in weights.items():
            if part not in self.outcomes:
                raise BadInput(unknown("outcome", part, self.outcomes))
            total = total + weight * self.outcomes[part]
            seen = (self.observation_probability or {}).get(part)
            if seen is not None and observed is not None and not np.array_equal(seen, observed):
                raise BadInput(f"the parts of {name!r} are censored by different mechanisms; combine estimates instead")
            observed = seen if seen is not None else observed
        grown = self.rows(0, self.n)
        put = object.__setattr__
        put(grown, "outcomes", {**self.outcomes, name: total})
        if observed is not None:
            put(grown, "observation_probability", {**(self.observation_probability or {}), name: observed})
        if bounds is not None:
            put(grown, "bounds", {**(self.bounds or {}), name: bounds})
        return grown


def probability(name: str, values: ArrayLike, n: int, *, open_at_zero: bool) -> Floats:
    """[n] probabilities, checked."""
    column = _column(name, values, n)
    low = column <= 0 if open_at_zero else column < 0
    if (bad := int(np.count_nonzero(low | (column > 1 + 1e-9) | np.isnan(column)))) > 0:
        bracket = "(0, 1]" if open_at_zero else "[0, 1]"
        raise BadInput(
            f"{name} is outside {bracket} in {bad} of {n} rows (smallest {np.nanmin(column):.6g}, "
            f"largest {np.nanmax(column):.6g})"
        )
    return column


def probability_table(name: str, values: ArrayLike, n: int, arms: tuple[str, ...], eligible: Bools | None) -> Floats:
    """[n, K] probabilities over each row's action set, checked."""
    table = np.asarray(values)
    if table.shape != (n, len(arms)):
        raise BadInput(f"{name} has shape {table.shape}; allowed: [{n}, {len(arms)}], a column per arm {arms}")
    if not np.issubdtype(table.dtype, np.floating):
        table = table.astype(np.float64)
    low, off = float(table.min()), float(np.abs(table @ np.ones(len(arms), table.dtype) - 1).max())
    if not (low >= 0 and off <= SUM_TOLERANCE):  # written so that NaN fails
        raise BadInput(
            f"{name} is no probability over the arms: smallest entry {low:.6g}, rows sum to one within {off:.3g}; "
            f"allowed: entries from 0, sums within {SUM_TOLERANCE:g} of 1"
        )
    if eligible is not None and (table[~eligible] > 0).any():
        rows = int(np.count_nonzero(((table > 0) & ~eligible).any(axis=1)))
        raise BadInput(f"{name} puts probability on arms outside the action set in {rows} of {n} rows")
    return table


def _column(name: str, values: ArrayLike, n: int) -> Floats:
    column = np.asarray(values)
    if column.shape != (n,):
        raise BadInput(f"{name} has shape {column.shape}; allowed: [{n}]")
    return column if column.dtype == np.float64 else column.astype(np.float64)
