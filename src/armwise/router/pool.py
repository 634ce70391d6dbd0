"""The pool: arms that join, leave, rest or are disabled while the router runs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from armwise.contracts import (
    Arm,
    Model,
    PoolChange,
)
from armwise.plans import plan_of
from armwise.predictors.cost import usd_per_token
from armwise.router.keeping import Keeping
from armwise.router.pricing import priced


class PoolKeeping(Keeping):
    """Changes of the pool, each an event of the log."""

    def routes(self) -> tuple[str, ...]:
        """The virtual models that a request may ask for: ``armwise/auto`` and one per route."""
        return self._rules_and_routes.names

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms in the pool."""
        return self._decider.pool.names

    def pool(self) -> tuple[Arm, ...]:
        """The arms in the pool, with their prices and limits."""
        with self._lock:
            pool = self._decider.pool
            return tuple(pool.arms[pool.slot(name)] for name in pool.names)

    def arm(self, name: str) -> Arm:
        """One arm of the pool.

        Raises:
            UnknownModel: if it is not in the pool.
        """
        pool = self._decider.pool
        return pool.arms[pool.slot(name)]

    def add_model(self, model: Model | str, **settings: Any) -> None:
        """Add a model while running, or give a known one new particulars (price, limits); what it taught stays.

        Plans that call it take over its particulars too, so that what may be sent to it holds for them as well.

        Raises:
            BadInput: if it has no price.
        """
        if isinstance(model, str):
            model = Model(model, **settings)
        model = priced(model)
        with self._lock:
            self.add_arm(Arm.of(model))
            for plan in self._plans_of(model.name):
                self.add_arm(replace(plan, models=tuple(model if m.name == model.name else m for m in plan.models)))

    def add_arm(self, arm: Arm) -> None:
        """Add a plan over several models while running; see :mod:`armwise.plans`.

        Raises:
            BadInput: if a model of it has no price, or the plan cannot be carried out.
        """
        usd_per_token(arm)  # refused before it is logged
        plan_of(arm)
        self._apply(PoolChange(action="add", arm=arm, at=time.time()))

    def remove_model(self, name: str) -> None:
        """Take a model, and the plans that call it, or one plan out of the pool.

        Decisions made before may still be reported on.

        Raises:
            UnknownModel: if there is no such arm.
        """
        with self._lock:
            self._remove(self.arm(name))
            for plan in self._plans_of(name):
                self._remove(plan)

    def _remove(self, arm: Arm) -> None:
        self._apply(PoolChange(action="remove", arm=arm, at=time.time()))

    def _plans_of(self, model: str) -> list[Arm]:
        """The plans in the pool that call a model."""
        return [arm for arm in self.pool() if arm.plan != "single" and model in {m.name for m in arm.models}]

    @property
    def disabled(self) -> frozenset[str]:
        """Arms that no decision draws, though they are in the pool."""
        return self._decider.pool.disabled

    def disable_model(self, name: str, *, by: str = "") -> None:
        """Have no decision draw an arm, nor a plan that calls its model, until it is enabled again or leaves the pool.

        A restart does not change that. What it taught stays. Nothing happens where it is disabled already.

        Args:
            by: who asks for it, for the log.

        Raises:
            UnknownModel: if there is no such arm.
        """
        with self._lock:
            arm = self.arm(name)
            if name not in self.disabled:
                self._apply(PoolChange(action="disable", arm=arm, at=time.time(), by=by))

    def enable_model(self, name: str, *, by: str = "") -> None:
        """Have a disabled arm drawn again.

        Raises:
            UnknownModel: if there is no such arm.
        """
        with self._lock:
            arm = self.arm(name)
            if name in self.disabled:
                self._apply(PoolChange(action="enable", arm=arm, at=time.time(), by=by))

    def rest(self, arms: frozenset[str]) -> None:
        """Leave these arms out of decisions, where there are others, until told otherwise; none is back in use at once.

        Not part of the log: a decision's own action set says what was left out, and why.
        """
        with self._lock:
            self._decider.pool.rest(arms)

    def _reconcile(self, arms: list[Arm]) -> None:
        """Bring the pool of the log in line with the arms given at the start; who is disabled and stays, stays so."""
        pool = self._decider.pool
        wanted = {arm.name: arm for arm in arms}
        for name in pool.names if wanted else ():
            if name not in wanted:
                self._remove(self.arm(name))
        for arm in arms:
            if arm.name not in pool or pool.arms[pool.slot(arm.name)] != arm:
                self.add_arm(arm)
