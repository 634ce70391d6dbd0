"""River's bandits as baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from armwise.arrays import uniform
from armwise.contracts import Arm, Choice, Experience, QualityModel, Slots, State, Vector
from armwise.errors import BadInput, unknown
from armwise.policies.base import ModelPolicy, check_share

_DRAWS = 256
_UNTRIED = 1e6


class RiverBandit(ModelPolicy):
    """A bandit of the library river, for comparison: river learns, and its own index ranks the arms.

    - ``linucb``: ``bandit.LinUCBDisjoint``, mean plus one predictive deviation of a Bayesian linear regression per arm.
    - ``ucb``: ``bandit.UCB``, mean plus ``delta`` sqrt(2 ln t / n), untried arms first. Blind to the context.
    - ``thompson``: ``bandit.ThompsonSampling`` over Beta beliefs, blind too; its marginals are had by 256 draws. River
      counts any quality above 0 as a success, so it is given a coin that falls as the quality says (Agrawal & Goyal
      2012), drawn from the lesson's number.

    river learns quality; penalties are taken off its indices when choosing, so nothing is relearned when the exchange
    rate changes. ``floor`` is left to all arms alike, so that logs can be evaluated. Importing river takes a second,
    and it decides in hundreds of microseconds: a baseline, not for service. The logged quality is the engine's. A
    correction waits for the next rebuild.

    Raises:
        BadInput: on an unknown bandit or a parameter out of range.
    """

    name = "river"

    def __init__(self, model: QualityModel, *, bandit: str = "linucb", delta: float = 1.0, floor: float = 0.02) -> None:
        super().__init__(model)
        if bandit not in _BANDITS:
            raise BadInput(f"policy 'river': {unknown('bandit', bandit, _BANDITS)}")
        if not delta >= 0:
            raise BadInput(f"policy 'river' needs delta >= 0, got {delta}")
        self.bandit = bandit
        self.delta = delta
        self.floor = check_share(self.name, "floor", floor)
        self._peer: _Peer = _BANDITS[bandit](delta)
        self._arms = 0

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"bandit": self.bandit, "delta": self.delta, "floor": self.floor}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        indices = self._peer.indices(vector, slots.tolist(), seed) - penalty
        won = (indices == indices.max(axis=1, keepdims=True)).astype(np.float64)
        won /= won.sum(axis=1, keepdims=True)  # ties are split
        probabilities = (1.0 - self.floor) * won.mean(axis=0) + self.floor / len(slots)
        method = "exact" if len(indices) == 1 else f"draws:{len(indices)}"
        return Choice(probabilities, self.model.predict(vector, slots), method)

    def learn(self, experience: Experience) -> None:
        number = self.model.lessons
        super().learn(experience)
        if experience.replaces is None:
            self._peer.learn(experience, number)

    def add_arm(self, arm: Arm) -> int:
        self._arms += 1
        return super().add_arm(arm)

    def state(self) -> State:
        return {**super().state(), "arms": self._arms, "river": self._peer.state(self._arms)}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._arms = int(state["arms"])
        self._peer.restore(state["river"])


class _Peer:
    """One of river's bandits: its indices, shape (draws, arms), and the numbers in it. River itself pickles."""

    def __init__(self, delta: float) -> None:
        self.delta = delta
        self.river = self._make()

    def _make(self) -> Any:
        raise NotImplementedError

    def indices(self, vector: Vector, arms: list[int], seed: int) -> Vector:
        raise NotImplementedError

    def learn(self, experience: Experience, number: int) -> None:
        raise NotImplementedError

    def state(self, arms: int) -> State:
        raise NotImplementedError

    def restore(self, state: State) -> None:
        raise NotImplementedError


class _LinUCB(_Peer):
    _ARRAYS = ("_ss_arr", "_ss_inv_arr", "_eta_arr")

    def _make(self) -> Any:
        return import_module("river.bandit").LinUCBDisjoint(seed=0)

    def indices(self, vector: Vector, arms: list[int], seed: int) -> Vector:
        context = _named(vector)
        beliefs = [self.river._bayes_lin_regs[arm].predict_one(context, with_dist=True) for arm in arms]
        return np.array([[belief.mu + belief.sigma for belief in beliefs]])

    def learn(self, experience: Experience, number: int) -> None:
        self.river.update(experience.slot, _named(experience.vector), experience.quality)

    def state(self, arms: int) -> State:
        tried = {arm: kept for arm, kept in self.river._bayes_lin_regs.items() if kept._cap}
        return {
            str(arm): {"names": list(kept._idx), **{name: getattr(kept, name).copy("K") for name in self._ARRAYS}}
            for arm, kept in sorted(tried.items())
        }

    def restore(self, state: State) -> None:
        self.river = self._make()
        for arm, saved in state.items():
            kept = self.river._bayes_lin_regs[int(arm)]
            kept._idx = {name: place for place, name in enumerate(saved["names"])}
            for name in self._ARRAYS:
                setattr(kept, name, saved[name].copy("K"))
            kept._cap, kept._m_dirty = len(saved["_eta_arr"]), True


class _UCB(_Peer):
    def _make(self) -> Any:
        return import_module("river.bandit").UCB(delta=self.delta, seed=0)

    def indices(self, vector: Vector, arms: list[int], seed: int) -> Vector:
        counts, rewards, delta = self.river._counts, self.river._rewards, self.delta
        width = delta * math.sqrt(2.0 * math.log(max(self.river._n, 1)))
        return np.array(
            [[rewards[arm].get() + width / math.sqrt(counts[arm]) if counts.get(arm) else _UNTRIED for arm in arms]]
        )

    def learn(self, experience: Experience, number: int) -> None:
        self.river.update(experience.slot, experience.quality)

    def state(self, arms: int) -> State:
        counts = [self.river._counts.get(arm, 0) for arm in range(arms)]
        means = [self.river._rewards[arm]._mean if counts[arm] else 0.0 for arm in range(arms)]
        return {"counts": np.array(counts, dtype=np.int64), "means": np.array(means, dtype=np.float64)}

    def restore(self, state: State) -> None:
        self.river = self._make()
        for arm, (count, mean) in enumerate(zip(state["counts"].tolist(), state["means"].tolist(), strict=True)):
            if count:
                kept = self.river._rewards[arm]
                kept.n, kept._mean = float(count), mean
                self.river._counts[arm] = count
        self.river._n = int(state["counts"].sum())


class _Thompson(_Peer):
    def _make(self) -> Any:
        return import_module("river.bandit").ThompsonSampling(reward_obj=import_module("river.proba").Beta(), seed=0)

    def indices(self, vector: Vector, arms: list[int], seed: int) -> Vector:
        beliefs = np.array([self._belief(arm) for arm in arms], dtype=np.float64)
        rng = np.random.default_rng(seed)
        return rng.beta(beliefs[:, 0], beliefs[:, 1], size=(_DRAWS, len(arms)))

    def _belief(self, arm: int) -> tuple[int, int]:
        kept = self.river._rewards.get(arm)
        return (1, 1) if kept is None else (kept.alpha, kept.beta)

    def learn(self, experience: Experience, number: int) -> None:
        self.river.update(experience.slot, uniform(number) < experience.quality)

    def state(self, arms: int) -> State:
        return {"beliefs": np.array([self._belief(arm) for arm in range(arms)], dtype=np.int64).reshape(-1, 2)}

    def restore(self, state: State) -> None:
        self.river = self._make()
        for arm, (wins, losses) in enumerate(state["beliefs"].tolist()):
            if (wins, losses) != (1, 1):
                kept = self.river._rewards[arm]
                kept.alpha, kept.beta = wins, losses


_BANDITS: Mapping[str, type[_Peer]] = {"linucb": _LinUCB, "ucb": _UCB, "thompson": _Thompson}


def _named(vector: Vector) -> dict[str, float]:
    return {f"x{place}": value for place, value in enumerate(vector.tolist())}
