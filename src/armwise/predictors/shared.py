"""Logistic regression of quality whose weights are shared between arms that are alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from armwise.arrays import grown, logit, sigmoid
from armwise.contracts import Arm, Experience, Knowledge, Posterior, Slots, State, Vector
from armwise.errors import BadInput, SnapshotError, unknown
from armwise.predictors.ability import published
from armwise.predictors.effects import Places, absorb, gains, scores
from armwise.predictors.gaussian import clipped_sigmoid
from armwise.predictors.kin import ABILITY, COMMON, TRAITS, traits
from armwise.predictors.standardise import Standardiser


class SharedModel:
    """Arm k's weights are a sum of effects: theta[k] = sum over e of loading[k, e] * effect[e].

    Effects are what all arms have in common, a slope for each trait of :mod:`armwise.predictors.kin` (published
    ability, price, family, ...), and a deviation of the arm's own. Each is normal with mean (d,) and covariance (d, d);
    an arm's loadings are its traits, and 1 on its own deviation. This is the mixed-effect model of Aouali, Kveton &
    Katariya (2023) with a logistic link. What is learned of one arm is learned of its kin in proportion to what they
    share, and a new arm starts from its kin's weights with its own deviation still wide open.

    A lesson is one Newton step (online Laplace) in the joint belief; then the correlations that it makes between
    effects are dropped, so that each keeps a matrix of its own (assumed-density filtering: Minka 2001). The exact joint
    covariance would be of (effects x d)^2. Dropping them makes what is shared too sure of itself where most lessons
    came from one arm; an arm's own deviation stays honest. ``posterior`` leaves out the uncertainty of what all arms
    have alike, for it moves all scores together and cancels in a comparison; the rest it takes as independent between
    arms, which over-explores a little among kin.

    Args:
        dimension: length of the context vectors.
        slope_precision, intercept_precision: of the prior of an arm's weights, as in the logistic engine.
        prior_quality: of the average arm. An arm with a prior of its own starts from that instead.
        kinship: share of the slopes' prior variance that is not the arm's own; 0, with ``level_kinship`` 0 and no
            kin, is the disjoint logistic engine.
        level_kinship: the same of the intercepts. Where published ability is among the kin it is high: how good a model
            is on the whole is known far better beforehand than what it is good at.
        common: share of the kinship's variance that all arms have alike; the traits that an arm has split the rest.
        level_common: the same of the intercepts; None is as ``common``.
        doubt: factor on the variance of an arm's own intercept where nothing is published of one of its models, so that
            a guess from size or price never keeps an arm from being tried.
        kin: kinds of traits to share by.
        spread: deviation that every feature is brought to as contexts come (:mod:`armwise.predictors.standardise`), so
            that the precisions mean the same on narrow traffic and on wide; None takes contexts as they are.
        forgetting: as in the logistic engine, on all effects that a lesson touches.

    Raises:
        BadInput: on parameters out of range or an unknown kind of trait.
    """

    knowledge: ClassVar[Knowledge] = Knowledge.POSTERIOR

    def __init__(
        self,
        dimension: int,
        *,
        slope_precision: float = 9.0,
        intercept_precision: float = 0.5,
        prior_quality: float = 0.82,
        kinship: float = 0.82,
        level_kinship: float = 0.917,
        common: float = 0.78,
        level_common: float | None = None,
        doubt: float = 2.5,
        kin: Iterable[str] = (ABILITY,),
        spread: float | None = 0.25,
        forgetting: float = 1.0,
    ) -> None:
        if dimension < 1:
            raise BadInput(f"dimension must be at least 1, got {dimension}")
        if not min(slope_precision, intercept_precision) > 0:
            raise BadInput(f"precisions must be positive, got {slope_precision} and {intercept_precision}")
        if not 0 < prior_quality < 1:
            raise BadInput(f"prior_quality must be between 0 and 1, both excluded, got {prior_quality}")
        if level_common is None:
            level_common = common
        if not 0 <= kinship < 1 or not 0 <= level_kinship < 1 or not 0 < common <= 1 or not 0 < level_common <= 1:
            raise BadInput(
                f"kinship and level_kinship must be in [0, 1), common and level_common in (0, 1], "
                f"got {kinship}, {level_kinship}, {common} and {level_common}"
            )
        if not doubt > 0:
            raise BadInput(f"doubt must be positive, got {doubt}")
        if not 0 < forgetting <= 1:
            raise BadInput(f"forgetting must be above 0 and at most 1, got {forgetting}")
        kinds = (kin,) if isinstance(kin, str) else tuple(kin)
        for kind in kinds:
            if kind not in TRAITS:
                raise BadInput(unknown("kind of trait", kind, TRAITS))
        self.dimension = dimension
        self.slope_precision, self.intercept_precision = slope_precision, intercept_precision
        self.prior_quality, self.common, self.level_common = prior_quality, common, level_common
        self.kinship, self.level_kinship, self.doubt = kinship, level_kinship, doubt
        self.kin, self.forgetting = kinds, forgetting
        self._variance = np.full(dimension, 1.0 / slope_precision)
        self._variance[0] = 1.0 / intercept_precision
        self._kinship = np.full(dimension, kinship)
        self._kinship[0] = level_kinship
        self._common = np.full(dimension, common)
        self._common[0] = level_common
        self._scale = Standardiser(dimension, spread)
        self._effects: list[str] = []
        self._loading = np.zeros((0, 0))
        self._mean = np.zeros((0, dimension))
        self._covariance = np.zeros((0, dimension, dimension))
        self._prior = np.zeros((0, dimension))
        self._lessons = 0
        self._point()

    @property
    def spec(self) -> Mapping[str, Any]:
        names = (
            "dimension slope_precision intercept_precision prior_quality kinship level_kinship common level_common "
            "doubt forgetting"
        )
        return {
            "engine": type(self).__name__,
            **{name: getattr(self, name) for name in names.split()},
            "kin": list(self.kin),
            "spread": self._scale.spread,
        }

    @property
    def lessons(self) -> int:
        return self._lessons

    @property
    def arms(self) -> int:
        """Number of slots."""
        return len(self._loading)

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects: traits, and ``arm:`` with the slot of the arm whose own deviation it is."""
        return tuple(self._effects)

    # ---------------------------------------------------------------------------- arms

    def add_arm(self, arm: Arm) -> int:
        slot = self.arms
        having = {
            trait: strength
            for trait, strength in traits(arm).items()
            if strength and (trait == COMMON or trait.partition(":")[0] in self.kin)
        }
        particular = max(len(having) - 1, 1)
        for trait in having:
            part = self._common if trait == COMMON else (1.0 - self._common) / particular
            self._effect(trait, self._kinship * part)
        share = 1.0 - self._kinship
        if ABILITY in self.kin and any(published(model) is None for model in arm.models):
            share[0] *= self.doubt
        own = self._effect(f"arm:{slot}", share)
        self._loading = grown(self._loading, slot + 1)
        for trait, strength in having.items():
            self._loading[slot, self._effects.index(trait)] = strength
        self._loading[slot, own] = 1.0
        priors = [model.quality_prior for model in arm.models if model.quality_prior is not None]
        if priors:
            start = logit(min(max(*priors, 0.01), 0.99))
            self._mean[own, 0] = start - float(self._loading[slot] @ self._mean[:, 0])
        self._point()
        return slot

    def _effect(self, name: str, share: Vector) -> int:
        """Place of an effect; a new one gets this share of the prior variance, weight by weight."""
        if name in self._effects:
            return self._effects.index(name)
        place = len(self._effects)
        self._effects.append(name)
        self._mean, self._covariance, self._prior = (
            grown(a, place + 1) for a in (self._mean, self._covariance, self._prior)
        )
        self._prior[place] = share * self._variance
        self._covariance[place] = np.diag(self._prior[place])
        if name == COMMON:
            self._mean[place, 0] = logit(self.prior_quality)
        if name == ABILITY:
            self._mean[place, 0] = 1.0  # log-odds for log-odds, until the traffic says otherwise
        self._loading = np.column_stack((self._loading, np.zeros(self.arms)))
        return place

    def _point(self) -> None:
        """What follows from the loadings: each arm's effects, and the squares that make up a score's variance."""
        self._of: list[Places] = [np.flatnonzero(row) for row in self._loading]
        self._strengths: list[Vector] = [row[row != 0.0] for row in self._loading]
        self._squared = self._loading**2
        if COMMON in self._effects:
            self._squared[:, self._effects.index(COMMON)] = 0.0

    # ---------------------------------------------------------------------------- predictions

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        score = self._loading @ (self._mean @ self._scale(vector))
        return sigmoid(score if slots.size == self.arms else score[slots])

    def posterior(self, vector: Vector, slots: Slots) -> Posterior:
        """Belief about each arm's score, less what is uncertain of all arms alike."""
        vector = self._scale(vector)
        mean, variance = scores(self._mean, self._covariance, self._loading, self._squared, vector)
        if slots.size != self.arms:
            mean, variance = mean[slots], variance[slots]
        return Posterior(mean, np.sqrt(np.maximum(variance, 0.0)), True)  # rounding may go below zero

    def posterior_many(self, vectors: NDArray[np.float64], slots: Slots) -> Posterior:
        """:meth:`posterior` for contexts [n, d]; arrays of shape (n, arms)."""
        vectors, loading = self._scale(vectors), self._loading[slots]
        spread = np.empty((len(vectors), len(self._effects)))
        for place, covariance in enumerate(self._covariance):
            spread[:, place] = ((vectors @ covariance) * vectors).sum(axis=1)
        variance = spread @ self._squared[slots].T
        return Posterior(vectors @ self._mean.T @ loading.T, np.sqrt(np.maximum(variance, 0.0)), True)

    def predict_many(self, vectors: NDArray[np.float64], slots: Slots) -> NDArray[np.float64]:
        """Mean quality for contexts [n, d]; shape (n, arms)."""
        return sigmoid(self._scale(vectors) @ self._mean.T @ self._loading[slots].T)

    # ---------------------------------------------------------------------------- lessons

    def learn(self, experience: Experience) -> None:
        """One step of online Laplace on the effects that the drawn arm is made of.

        A correction takes the lesson that it replaces out in the same step, to first order.
        """
        self.learn_foretold(experience)

    def learn_foretold(self, experience: Experience) -> float:
        """:meth:`learn`, and the log-likelihood that the lesson's quality had before, times its weight.

        Of the normal belief about the score through the logistic link (MacKay 1992); what all arms have alike counts.
        """
        vector, slot, weight = self._scale(experience.vector), experience.slot, experience.weight
        of, strengths = self._of[slot], self._strengths[slot]
        if self.forgetting < 1.0 and experience.replaces is None:
            self._forget(of)
        score, variance, gained = gains(self._mean, self._covariance, of, strengths, vector)
        fitted = clipped_sigmoid(score)
        pull, taken_back = weight * (experience.quality - fitted), 0.0
        if experience.replaces is not None:
            taken_back = experience.replaced_weight
            pull -= taken_back * (experience.replaces - fitted)
        curvature = max(fitted * (1.0 - fitted), 1e-3) * (weight - taken_back)
        left = 1.0 + curvature * variance
        if curvature < 0.0:  # never back beyond the prior
            prior = float(self._loading[slot] ** 2 @ (self._prior @ (vector * vector)))
            left = max(left, 1.0 / (1.0 - curvature * prior))
        absorb(self._mean, self._covariance, of, gained, curvature / left, pull / left)
        self._lessons += (weight > 0.0) - (taken_back > 0.0)
        if experience.replaces is None:
            self._scale.see(experience.vector)
        return weight * _log_likelihood(experience.quality, score, max(variance, 0.0))

    def _forget(self, of: Places) -> None:
        """Widen the belief about some effects, never beyond the prior."""
        for effect in of:
            covariance = self._covariance[effect]
            covariance *= 1.0 / self.forgetting
            spread = np.sqrt(np.maximum(np.diagonal(covariance) / np.maximum(self._prior[effect], 1e-300), 1.0))
            covariance /= np.multiply.outer(spread, spread)

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        names = ("loading", "mean", "covariance", "prior")
        kept = {name: getattr(self, f"_{name}").copy() for name in names}
        return {**kept, "effects": list(self._effects), "lessons": self._lessons, "scale": self._scale.state()}

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if its dimension is another.
        """
        if state["mean"].shape[1] != self.dimension:
            raise SnapshotError(
                f"snapshot has {state['mean'].shape[1]} features per arm, this model has {self.dimension}"
            )
        for name in ("loading", "mean", "covariance", "prior"):
            setattr(self, f"_{name}", state[name].copy())
        self._effects = [str(name) for name in state["effects"]]
        self._lessons = int(state["lessons"])
        self._scale.restore(state["scale"])
        self._point()


def _log_likelihood(quality: float, score: float, variance: float) -> float:
    """Of a quality, under a normal belief about its score; a share of a success counts as that share."""
    expected = min(max(clipped_sigmoid(score / math.sqrt(1.0 + math.pi / 8.0 * variance)), 1e-4), 1.0 - 1e-4)
    return quality * math.log(expected) + (1.0 - quality) * math.log(1.0 - expected)
