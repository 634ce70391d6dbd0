"""The lowest cost at a quality that is held: quality >= fraction x the reference arm's, from judged traffic only.

Two knobs. The *cost weight* moves along the policy's own frontier: up while the policy's quality is above the floor,
down while it is below. The *share* is how much of the traffic the policy decides at all; the rest goes to the
reference. A share that cannot break the floor whatever the policy is worth, by what is known by now, is

    share <= (1 - f) q_ref / (q_ref - q_policy)

(conservative exploration: Kazerouni, Ghavamzadeh, Abbasi-Yadkori & Van Roy 2017; here in expectation, not round by
round). So the start is safe: little but the reference, until judgements have shown what the policy is worth.

How qualities are known. A judgement is one noisy number, but predictions are there for every arm of every decision; so
the controller steers by predictions, corrected by what judgements have shown them to be wrong by on average: one
correction for the reference, from its own draws weighted to all traffic, one for the other arms as drawn. What the
corrections are not sure of yet, ``caution`` standard errors, is taken off. Whether the floor is held is not left to
this: see :mod:`armwise.pacing.evidence`.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from armwise.contracts import Context, Decision, JudgeDraw, Request, State, Trade, Vector
from armwise.pacing.evidence import Evidence, FloorReport

_LOWEST, _HIGHEST = 1e-3, 1e3
_DRAWS_KEPT = 50_000
_LEAST_SHARE = 0.02


class Correction:
    """By how much predictions are wrong on average: a mean over some ``memory`` residuals, shrunk towards none.

    A residual weighs the more the later it came, in proportion to how many came before: arms are predicted worst at
    the start, and drawn where they are overrated, which says little of how they are predicted now.
    """

    def __init__(self, *, memory: float) -> None:
        self._memory = memory
        self.seen = 0.0
        self.mean = 0.0
        self.square = 0.25
        self.spread = 1.0

    def add(self, residual: float, weight: float) -> None:
        self.seen = min(self.seen + weight, self._memory)
        rate = 2.0 * weight / (self.seen + 40.0)
        self.mean += rate * (residual - self.mean)
        self.square += rate * (residual * residual - self.square)
        self.spread = (1.0 - rate) ** 2 * self.spread + rate * rate

    @property
    def variance(self) -> float:
        """Of the mean: few heavy weights tell less than many light ones."""
        return self.square * self.spread

    def state(self) -> State:
        return {"seen": self.seen, "mean": self.mean, "square": self.square, "spread": self.spread}

    def restore(self, state: State) -> None:
        self.seen, self.mean, self.square, self.spread = (
            float(state[name]) for name in ("seen", "mean", "square", "spread")
        )


class QualityFloor:
    """Serves :meth:`Objective.min_cost`.

    Where the reference is not eligible for a request, nothing is compared. Where it has left the pool, the floor is
    held against its quality as last known; without any, the weight stays where it is.

    Args:
        fraction: of the reference's quality.
        exploration: least share of the traffic that the reference gets for ever, so that it stays known.
        caution: standard errors taken off what the policy is believed to be worth.
        step: change of the log cost weight per point of quality above the floor, per decision.
        start: the first cost weight, per ``cost_ref_usd``. The lowest is a fifth of 1 - ``fraction``: who trades at it
            loses no more than a fifth of what the floor leaves to spare, and what is not sure yet is up to the share.
    """

    kind = "quality floor"
    mixes = True

    def __init__(
        self,
        *,
        fraction: float,
        reference: str,
        cost_ref_usd: float,
        latency_weight: float = 0.0,
        latency_ref_ms: float = 1_000.0,
        exploration: float = 0.04,
        caution: float = 0.5,
        step: float = 0.2,
        start: float = 0.05,
        memory: float = 2_000.0,
        level: float = 0.95,
    ) -> None:
        self.fraction = fraction
        self.reference = reference
        self.cost_ref_usd = cost_ref_usd
        self.latency_weight = latency_weight
        self.latency_ref_ms = latency_ref_ms
        self.exploration = exploration
        self.caution = caution
        self.step = step
        self.evidence = Evidence(fraction=fraction, level=level)
        self._log_weight = math.log(start)
        self._lowest = math.log(min(start, max((1.0 - fraction) / 5.0, _LOWEST)))
        self._highest = math.log(_HIGHEST)
        self._share = _LEAST_SHARE
        self._of_reference = Correction(memory=memory)
        self._of_others = Correction(memory=memory)
        self._gap = 0.0
        self._level = 0.0
        self._decisions = 0
        self._gone = False
        self._looked: OrderedDict[str, float] = OrderedDict()

    # ---------------------------------------------------------------------------- what it says; changes nothing

    def trade(self, at: float, request: Request, context: Context) -> Trade:
        return Trade(math.exp(self._log_weight), self.latency_weight, self.cost_ref_usd, self.latency_ref_ms)

    def mixed(self, arms: tuple[str, ...], probabilities: Vector) -> Vector:
        if self.reference not in arms:
            return probabilities
        out = probabilities * self._share
        out[arms.index(self.reference)] += 1.0 - self._share
        return out

    def report(self) -> FloorReport:
        difference, lower, upper = self.evidence.bounds
        verdict = "holding" if lower >= 0 else "short" if upper < 0 else "unproven"
        return FloorReport(
            reference=self.reference,
            fraction=self.fraction,
            judged=self.evidence.judged,
            quality=self.evidence.quality,
            reference_quality=self.evidence.reference_quality,
            difference=difference,
            lower=lower,
            upper=upper,
            level=self.evidence.level,
            verdict="reference left" if self._gone else verdict,
            cost_weight=math.exp(self._log_weight),
            share=self._share,
        )

    # ---------------------------------------------------------------------------- what happens

    def decided(self, decision: Decision) -> None:
        """Steer: compare what the policy is believed to be worth on this request with the floor."""
        quality, probabilities = decision.predictions.quality, decision.probability_of
        others = self._of_others.mean
        if self.reference in decision.arms:
            self._gone = False
            place = decision.arms.index(self.reference)
            wanted = float(quality[place]) + self._of_reference.mean
            policy_reference = max(0.0, (float(probabilities[place]) - 1.0 + self._share) / self._share)
            rest = 1.0 - policy_reference
            elsewhere = float(probabilities @ quality) - float(probabilities[place] * quality[place])
            worth = elsewhere / self._share + rest * others + policy_reference * wanted
        elif self.reference not in decision.excluded and self._level:
            self._gone = True
            wanted, policy_reference, rest = self._level, 0.0, 1.0
            worth = float(probabilities @ quality) + others
        else:
            return  # not eligible for this request
        self._decisions += 1
        fraction = self.fraction
        unsure = self.caution * math.sqrt(
            rest * rest * self._of_others.variance + (fraction - policy_reference) ** 2 * self._of_reference.variance
        )
        gap = worth - fraction * wanted - unsure
        rate = 1.0 / min(self._decisions, 300)
        self._gap += rate * (gap - self._gap)
        self._level += rate * (wanted - self._level)
        whole = gap + self.exploration * ((1.0 - fraction) * wanted - gap)  # what the reference explores helps
        self._log_weight = min(max(self._log_weight + self.step * whole, self._lowest), self._highest)
        spare = max((1.0 - fraction) * self._level, 1e-9)
        share = 1.0 if self._gap >= 0 else spare / (spare - self._gap)
        self._share = min(max(share, _LEAST_SHARE), 1.0 - self.exploration)

    def judged(self, decision: Decision, quality: float, before: float | None) -> None:
        """Correct: compare the judgement with what was predicted."""
        looked = self._looked.pop(decision.id, 1.0)
        predicted = float(decision.predictions.quality[decision.arms.index(decision.arm)])
        drawn = decision.arm == self.reference
        if before is not None:  # what is compared once is not compared again, only the news counts
            correction = self._of_reference if drawn else self._of_others
            correction.mean += 2.0 * (quality - before) / (correction.seen + 40.0)
            return
        seen_weight = 1.0 / max(looked, 0.01)
        if drawn:
            self._of_reference.add(quality - predicted, min(seen_weight / decision.propensity, 10.0))
        else:
            self._of_others.add(quality - predicted, min(seen_weight, 10.0))
        if self.reference in decision.arms:
            self.evidence.add(
                quality,
                predicted_reference=float(decision.predictions.quality[decision.arms.index(self.reference)]),
                reference_weight=1.0 / decision.propensity if drawn else 0.0,
                seen_weight=seen_weight,
            )

    def drawn(self, draw: JudgeDraw) -> None:
        """A judge was drawn to look at a decision: with what probability."""
        if draw.drawn and draw.probability > 0:
            self._looked[draw.decision_id] = draw.probability
            if len(self._looked) > _DRAWS_KEPT:
                self._looked.popitem(last=False)

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        names = ("log_weight", "share", "gap", "level", "decisions", "gone")
        return {
            **{name: getattr(self, f"_{name}") for name in names},
            "of_reference": self._of_reference.state(),
            "of_others": self._of_others.state(),
            "evidence": self.evidence.state(),
            "looked": [list(self._looked), list(self._looked.values())],
        }

    def restore(self, state: State) -> None:
        for name in ("log_weight", "share", "gap", "level", "decisions", "gone"):
            setattr(self, f"_{name}", state[name])
        self._of_reference.restore(state["of_reference"])
        self._of_others.restore(state["of_others"])
        self.evidence.restore(state["evidence"])
        self._looked = OrderedDict(zip(*state["looked"], strict=True))
