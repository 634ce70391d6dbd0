"""Peers on the very stream that armwise meets: the same contexts, cold, told the drawn arm's score and real bill."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from armwise.simulation import OutcomeTable

Arms = npt.NDArray[np.int64]
"""Column of the arm that was drawn, per round."""

ALPHA = 0.25
"""Exploration of the peers. mabwiser's default of 1 explores for long; ParetoBandit's of .01 is for its own shipped
priors, and from a cold start on other models it stays with the first arm it tries."""


def pareto_bandit(table: OutcomeTable, budget_usd: float, seed: int) -> Arms:
    """ParetoBandit with its budget pacer; told each real bill, which its own call would not be.

    No static cost penalty beside the pacer, as in its own experiments on budgets: with one it never spends what it may.
    """
    from pareto_bandit import BanditRouter, FeatureService
    from pareto_bandit.budget_pacer import BudgetPacer

    logging.getLogger("pareto_bandit").setLevel(logging.ERROR)
    router = BanditRouter(
        {
            model.name: {"input_cost_per_m": model.input_usd_per_mtok, "output_cost_per_m": model.output_usd_per_mtok}
            for model in table.models
        },
        feature_service=FeatureService.for_precomputed(table.dimension),
        alpha=ALPHA,
        bandit_seed=seed,
        cost_penalty=0.0,
        budget_pacer=BudgetPacer(budget_usd),
    )
    vectors = np.roll(table.vectors, -1, axis=1)  # it wants the intercept last
    column = {arm: k for k, arm in enumerate(table.arms)}
    arm = np.zeros(len(table), dtype=np.int64)
    for t, vector in enumerate(vectors):
        name, log = router.route(vector, input_tokens=int(table.input_tokens[t]))
        arm[t] = column[name]
        log.cost_usd = float(table.cost_usd[t, arm[t]])
        router.process_feedback(log.request_id, reward=float(table.score[t, arm[t]]))
    return arm


def linucb(table: OutcomeTable, per_usd: float, seed: int) -> Arms:
    """Disjoint LinUCB of mabwiser; reward is quality less ``per_usd`` times the bill."""
    from mabwiser.mab import MAB, LearningPolicy

    bandit = MAB(list(range(len(table.models))), LearningPolicy.LinUCB(alpha=ALPHA, l2_lambda=1.0), seed=seed)
    reward = table.score - per_usd * table.cost_usd
    arms = len(table.models)
    arm = np.arange(len(table)) % arms  # it cannot predict before it has seen something of each
    bandit.fit(arm[:arms], reward[np.arange(arms), arm[:arms]], table.vectors[:arms])
    for t in range(arms, len(table)):
        vector = table.vectors[t : t + 1]
        k = int(bandit.predict(vector))
        arm[t] = k
        bandit.partial_fit([k], [reward[t, k]], vector)
    return arm


def lints(table: OutcomeTable, per_usd: float, seed: int) -> Arms:
    """Disjoint linear Thompson sampling of bayesianbandits, of the same reward, ridge and alpha as :func:`linucb`."""
    from bayesianbandits import Arm, ContextualAgent, NormalRegressor, ThompsonSampling

    precision = ALPHA**-2
    arms = [Arm(k, learner=NormalRegressor(alpha=precision, beta=precision)) for k in range(len(table.models))]
    agent = ContextualAgent(arms, ThompsonSampling(), random_seed=seed)
    reward = table.score - per_usd * table.cost_usd
    arm = np.zeros(len(table), dtype=np.int64)
    for t in range(len(table)):
        vector = table.vectors[t : t + 1]
        (k,) = agent.pull(vector)
        arm[t] = k
        agent.select_for_update(k).update(vector, reward[t, k : k + 1])
    return arm
