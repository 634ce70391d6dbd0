"""Logged bandit feedback as a world: a policy meets the requests of a log, and learns only from what the log can tell.

Rejection sampling (Li et al. 2011, section 3.1; Mandel et al. 2016, section 3, for a logging policy that is not
uniform): the policy draws an arm; where it is the logged one, the round is accepted with probability c / p(logged),
which makes accepted rounds exactly those that the policy would have met by itself on a random part of the traffic, for
a stream of independent requests. c is the least logged propensity, so a log that hardly explores answers with few
rounds. All rounds together still give an off-policy estimate of what the policy achieves as it learns
(:attr:`armwise.simulation.replay.Run.off_policy`); for a policy that does not learn, the estimators of
:mod:`armwise.evaluation` make the best use of a log.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from armwise.contracts import Context, Decision, Model, Outcome, Vector
from armwise.errors import BadInput
from armwise.log import open_reader
from armwise.offline import LoggedRows, pool_of, read_rows
from armwise.simulation.episode import Episode, LoggedFeedback


class LoggedWorld:
    """The judged rounds of a log, in their order; the seed draws which matching rounds are accepted.

    Args:
        contexts: one per round.
        actions: the arms that were eligible.
        arm: [n], column of the logged arm.
        propensity: [n], its probability.
        quality: [n]; cost_usd: [n], NaN where no bill came.
        models: the pool, with prices; the columns.

    Raises:
        BadInput: if no round is judged, propensities are not above 0, or the log drew with certainty and so can say
            nothing of other arms.
    """

    def __init__(
        self,
        *,
        contexts: list[Context],
        actions: list[frozenset[str]],
        arm: npt.NDArray[np.int64],
        propensity: Vector,
        quality: Vector,
        cost_usd: Vector,
        models: tuple[Model, ...],
        feature_version: str,
        name: str = "log",
    ) -> None:
        if not contexts:
            raise BadInput("the log has no judged decision of an arm of this pool")
        least = float(propensity.min())
        if not 0 < least <= 1 or not propensity.max() <= 1:
            raise BadInput(f"logged propensities must be above 0 and at most 1, got {least!r} to {propensity.max()!r}")
        if least == 1.0 and len(models) > 1:
            raise BadInput("every logged decision was certain: such a log says nothing of other arms")
        self.name = name
        rounds, every = len(contexts), np.arange(len(contexts))
        score = np.full((rounds, len(models)), np.nan)
        cost = score.copy()
        score[every, arm] = quality
        cost[every, arm] = cost_usd
        self._parts = (contexts, actions, arm, propensity, score, cost)
        self._models = models
        self._features = feature_version

    @classmethod
    def of(
        cls, rounds: Iterable[tuple[Decision, Outcome]], models: Iterable[Model], *, name: str = "log"
    ) -> LoggedWorld:
        """From decisions, each with what is known of it; unjudged ones are passed over, which assumes that whether a
        round is judged depends on nothing but chance.

        Raises:
            BadInput: as the class, or on mixed feature versions.
        """
        pool = tuple(models)
        column = {model.name: k for k, model in enumerate(pool)}
        known = [(d, o, o.quality) for d, o in rounds if o.quality is not None and d.arm in column]
        versions = {d.feature_version for d, _, _ in known}
        if len(versions) > 1:
            raise BadInput("the log mixes feature versions: replay each by itself")
        return cls(
            contexts=[d.context for d, _, _ in known],
            actions=[frozenset(d.arms) for d, _, _ in known],
            arm=np.array([column[d.arm] for d, _, _ in known], dtype=np.int64),
            propensity=np.array([d.propensity for d, _, _ in known], dtype=float),
            quality=np.array([quality for _, _, quality in known], dtype=float),
            cost_usd=np.array([np.nan if o.cost_usd is None else o.cost_usd for _, o, _ in known], dtype=float),
            models=pool,
            feature_version=versions.pop() if versions else "",
            name=name,
        )

    @classmethod
    def read(cls, path: str | Path, *, name: str = "log") -> LoggedWorld:
        """From a DuckDB log or a directory of published Parquet, with its own pool; single-model arms only.

        Raises:
            BadInput: as the class, or on mixed feature versions.
            LogError: if the log cannot be read.
        """
        with open_reader(path) as log:
            rows = read_rows(log)
            models = {arm.name: arm.models[0] for arm in pool_of(log) if len(arm.models) == 1}
        models = {arm: model for arm, model in models.items() if arm in rows.arms}
        column = {arm: k for k, arm in enumerate(models)}
        at = np.array([column.get(arm, -1) for arm in rows.arms])[rows.arm]
        return cls._from_rows(rows.take(~np.isnan(rows.quality) & (at >= 0)), tuple(models.values()), column, name)

    @classmethod
    def _from_rows(cls, rows: LoggedRows, models: tuple[Model, ...], column: dict[str, int], name: str) -> LoggedWorld:
        sets = [frozenset(np.array(rows.arms)[which].tolist()) for which in rows.eligible]
        return cls(
            contexts=[
                Context(vector, str(task), int(tokens))
                for vector, task, tokens in zip(
                    rows.vectors.astype(np.float64), rows.task, rows.input_tokens, strict=True
                )
            ],
            actions=sets,
            arm=np.array([column.get(arm, -1) for arm in rows.arms], dtype=np.int64)[rows.arm],
            propensity=rows.propensity,
            quality=rows.quality,
            cost_usd=rows.cost_usd,
            models=models,
            feature_version=rows.feature_version,
            name=name,
        )

    def episode(self, seed: int) -> Episode:
        contexts, actions, arm, propensity, score, cost = self._parts
        accepted = np.random.default_rng(seed).random(len(arm)) * propensity <= propensity.min()
        return Episode(
            name=self.name,
            models=self._models,
            contexts=contexts,
            score=score,
            judged=score,
            cost_usd=cost,
            delay=np.zeros(len(arm), dtype=np.int64),
            feature_version=self._features,
            feedback=LoggedFeedback(arm=arm, propensity=propensity, accepted=accepted, actions=actions),
        )
